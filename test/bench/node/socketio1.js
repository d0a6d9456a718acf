// socket.io 1.3.5, which the Node server Poosh stood on, wired as it was there.
'use strict';

const http = require('http');
const socketio = require('socket.io-1');
const publish = require('./publish');

const server = http.createServer((req, res) => res.end());
const io = socketio(server);
io.on('connection', (socket) => {
  socket.on('room', (room) => socket.join(room));
});
server.listen(Number(process.env.CLIENT_PORT), process.env.HOST);
publish(io);
