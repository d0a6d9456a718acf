// socket.io 4.8.1 with what it does by default, which is ws and no compression.
'use strict';

const http = require('http');
const { Server } = require('socket.io-4');
const publish = require('./publish');

const server = http.createServer((req, res) => res.end());
const io = new Server(server);
io.on('connection', (socket) => {
  socket.on('room', (room) => socket.join(room));
});
server.listen(Number(process.env.CLIENT_PORT), process.env.HOST);
publish(io);
