// A server of socket.io as people have them, of the version that is named: a join, events to a
// room, and an echo. It prints its port, and ends with its stdin.
'use strict';
const http = require('http');

const version = process.argv[2];
const library = require('socket.io-' + version);
const server = http.createServer((req, res) => res.end());
const io = version === '1' ? library(server) : new library.Server(server, { allowEIO3: true });
io.on('connection', socket => {
  socket.on('join', room => socket.join(room));
  socket.on('publish', (room, data) => io.to(room).emit('news', data));
  socket.on('ping me', data => socket.emit('pong', data));
  // What a faulty server does.
  socket.on('twice', (room, data) => { for (let i = 0; i < 2; i++) io.to(room).emit('news', data); });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
