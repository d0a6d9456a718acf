// socket.io 4.8.1 as one of several nodes, with its Redis adapter wired as its documentation
// has it.
'use strict';

const http = require('http');
const { createAdapter } = require('@socket.io/redis-adapter');
const { createClient } = require('redis');
const { Server } = require('socket.io-4');
const publish = require('./publish');

async function main() {
  const pub = createClient({ url: process.env.REDIS });
  const sub = pub.duplicate();
  for (const client of [pub, sub]) {
    client.on('error', (err) => console.error(err.message)); // without which it throws
  }
  await Promise.all([pub.connect(), sub.connect()]);
  const server = http.createServer((req, res) => res.end());
  const io = new Server(server, { adapter: createAdapter(pub, sub) });
  io.on('connection', (socket) => {
    socket.on('room', (room) => socket.join(room));
  });
  server.listen(Number(process.env.CLIENT_PORT), process.env.HOST);
  publish(io);
}

main();
