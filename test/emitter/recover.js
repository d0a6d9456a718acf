// A client of socket.io 4.8.1 that loses its connection when it is told to, and comes back when it is told
// to: node recover.js URL ROOMS; a line of input each. It has one line of JSON for each thing that happens.
'use strict';
const socket = require('sio-4.8.1')(process.argv[2], { transports: ['websocket'], auth: { recovery: true }, reconnection: false });
const rooms = JSON.parse(process.argv[3]);
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
let first = true;
socket.on('connect', () => {
  say({ connected: socket.id, recovered: socket.recovered });
  if (first) for (const room of rooms) socket.emit('room', room);
  first = false;
});
socket.onAny((...args) => say({ args: args.map((a) => (Buffer.isBuffer(a) ? a.toString('hex') : a)) }));
const lines = require('readline').createInterface({ input: process.stdin });
lines.on('line', (text) => {
  if (text === 'go') {
    socket.once('disconnect', () => say({ away: true }));
    socket.io.engine.close();
  } else {
    socket.connect();
  }
});
lines.on('close', () => process.exit()); // with the test
