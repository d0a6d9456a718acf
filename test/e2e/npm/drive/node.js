// Drives socket.io clients of many versions in one Node process: commands come
// as JSON lines on stdin, reports leave as JSON lines on stdout. It ends with
// its stdin.
'use strict';
const fs = require('fs');
const readline = require('readline');
const open = require('./client.js');

// Old clients call what newer Node versions warn about; stderr is for faults.
process.removeAllListeners('warning');

const clients = new Map();
// say writes at once, so that nothing is lost when the process ends behind it.
const say = line => writeAll(Buffer.from(JSON.stringify(line) + '\n'));
function writeAll(bytes) {
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(fs.writeSync(1, bytes));
    } catch (err) {
      if (err.code !== 'EAGAIN') throw err;
    }
  }
}

// openPusher connects a client of Pusher, and reports whenever it is connected and subscribed.
function openPusher(command, report) {
  const Pusher = require('../../../pusher/node_modules/pusher-js-8');
  const url = new URL(command.url);
  const pusher = new Pusher(command.options.key, {
    wsHost: url.hostname, wsPort: Number(url.port), forceTLS: false, enabledTransports: ['ws'], disableStats: true, cluster: 'mt1',
  });
  for (const room of command.rooms) pusher.subscribe(room).bind('pusher:subscription_succeeded', () => report({ saw: 'connect' }));
  pusher.connection.bind('failed', () => report({ saw: 'error', text: 'it gives up' }));
  clients.set(command.id, { close: () => pusher.disconnect() });
}

function run(command) {
  switch (command.op) {
    case 'open': {
      if (command.version === 'pusher-js') return openPusher(command, seen => say({ id: command.id, ...seen }));
      const io = require('sio-' + command.version);
      clients.set(command.id, open(io.io || io, command, seen => say({ id: command.id, ...seen })));
      return;
    }
    case 'emit': return clients.get(command.id).emit(command.args);
    case 'close': return clients.get(command.id).close();
    default: throw new Error('unknown op ' + command.op);
  }
}

readline.createInterface({ input: process.stdin })
  .on('line', line => run(JSON.parse(line)))
  .on('close', () => process.exit(0));
process.on('uncaughtException', err => {
  say({ id: '', saw: 'fault', text: String(err && err.stack || err) });
  process.exit(1);
});
