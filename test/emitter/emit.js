// Emits with one of the emitters of socket.io: node emit.js MAJOR PORT SCRIPT
// SCRIPT is JSON, a list of [rooms, except, arguments]. What JSON has not is written as {"$buffer": hex},
// {"$date": ms} and {"$undefined": 1}. It ends when Redis has answered the last.
'use strict';
const [major, port, script] = [Number(process.argv[2]), Number(process.argv[3]), JSON.parse(process.argv[4])];

function value(v) {
  if (Array.isArray(v)) return v.map(value);
  if (v === null || typeof v !== 'object') return v;
  if ('$buffer' in v) return Buffer.from(v.$buffer, 'hex');
  if ('$date' in v) return new Date(v.$date);
  if ('$undefined' in v) return undefined;
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, value(x)]));
}

function emitAll(emitter) {
  for (const [rooms, except, args] of script) {
    if (args[0] === '$disconnect') {
      let to = emitter;
      for (const r of rooms) to = to.in(r);
      to.disconnectSockets();
      continue;
    }
    let to = emitter;
    for (const r of rooms) to = to.to(r);
    for (const r of except) to = to.except(r);
    to.emit(...args.map(value));
  }
}

if (major >= 4) {
  const { createClient } = require('redis');
  const { Emitter } = require(`emitter-${major}`);
  const client = createClient({ socket: { port, host: '127.0.0.1' } });
  client.connect().then(() => {
    emitAll(new Emitter(client));
    return client.quit();
  });
} else {
  const client = require('redis-2').createClient({ port, host: '127.0.0.1', return_buffers: false });
  client.on('ready', () => {
    emitAll(require(`emitter-${major}`)(client));
    client.quit();
  });
}
