#!/usr/bin/env node
// A stand-in for the server under test that is made of the original's parts: the
// transcripts were recorded from it. With ORIGINAL=4 its clients meet socket.io
// 4.8.1, which knows EIO 4, and otherwise 1.3.5. From the top of the repository:
//
//   npm install --prefix test/e2e/original
//   export POOSH_E2E_BINARY=$PWD/test/e2e/original/server.js
//   go test ./test/e2e -run 'Transcripts/^[12]' -update
//   ORIGINAL=4 go test ./test/e2e -run 'Transcripts/^[34]' -update
//
// The tests of test/clients run against it in the same way.
//
// The tests ask how many connections a send was handed to, what ended a session, and
// how many there are; the original did not say, this does.
'use strict';
const crypto = require('crypto');
const http = require('http');
const bodyParser = require('body-parser');
const express = require('express');

const { CLIENT_PORT, SERVER_PORT, SERVER_SECRET, HOST, ORIGINAL } = process.env;
const milliseconds = (time, otherwise) => (time ? parseFloat(time) * 1000 : otherwise);
const heartbeat = {
  pingInterval: milliseconds(process.env.PING_INTERVAL, 25000),
  pingTimeout: milliseconds(process.env.PING_TIMEOUT, 60000),
};

const pages = express();
pages.get('*', (req, res) => res.json({ message: "You're not a websocket client!" }));
const clients = http.createServer(pages);
const io = ORIGINAL === '4'
  ? new (require('socket.io-4').Server)(clients, { ...heartbeat, cors: { origin: true, credentials: true } })
  : require('socket.io-1')(clients, heartbeat);
io.on('connection', socket => socket.on('room', name => socket.join(name)));

let sessions = 0;
const engine = io.engine || io.eio;
engine.on('connection', session => {
  sessions++;
  session.on('close', reason => {
    sessions--;
    console.log(`msg="session closed" reason="${reason}"`);
  });
});
process.on('SIGUSR1', () => {
  const transports = Object.values(engine.clients).map(c => c.transport.name);
  console.log(`msg=status sessions=${sessions} websockets=${transports.filter(n => n === 'websocket').length}`);
});

const inRoom = name => {
  const room = ORIGINAL === '4' ? io.sockets.adapter.rooms.get(name) : io.sockets.adapter.rooms[name];
  return ORIGINAL === '4' ? (room ? room.size : 0) : Object.keys(room || {}).length;
};

const senders = express();
senders.use(bodyParser.json());
senders.post('/send', (req, res) => {
  const { room, event, payload } = req.body;
  const token = crypto.createHash('sha1').update(SERVER_SECRET + JSON.stringify(payload)).digest('hex');
  if (token !== req.get('Authorization')) return res.status(401).end();
  io.to(room).emit(event, payload);
  res.set('X-Poosh-Delivered', String(inRoom(room))).end();
});

clients.listen(CLIENT_PORT, HOST);
senders.listen(SERVER_PORT, HOST);
process.on('SIGTERM', () => process.exit(0));
