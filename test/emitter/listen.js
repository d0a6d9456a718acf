// Clients of every version on every transport, in the rooms that are given:
// node listen.js ROOMS URL... ; each client has one line of JSON for each thing that happens to it.
'use strict';
const rooms = JSON.parse(process.argv[2]);

function readable(v) {
  if (Buffer.isBuffer(v)) return { $buffer: v.toString('hex') };
  if (v instanceof ArrayBuffer) return { $buffer: Buffer.from(v).toString('hex') };
  if (Array.isArray(v)) return v.map(readable);
  if (v === null || typeof v !== 'object') return v;
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, readable(x)]));
}

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

process.argv.slice(3).forEach((url, i) => {
  for (const version of ['1.7.4', '2.5.0', '4.8.1']) {
    for (const transport of ['polling', 'websocket']) {
      const name = `${version} ${transport} ${i}`;
      const socket = require(`sio-${version}`)(url, { transports: [transport], forceNew: true });
      socket.on('connect', () => {
        say({ client: name, connected: socket.id });
        for (const room of rooms) socket.emit('room', room);
      });
      socket.on('disconnect', (why) => say({ client: name, disconnected: String(why) }));
      // All events: onAny is not there in the old ones.
      const onevent = socket.onevent;
      socket.onevent = function (packet) {
        say({ client: name, args: readable(packet.data) });
        onevent.call(this, packet);
      };
    }
  }
});
process.stdin.resume().on('end', () => process.exit()); // with the test
