'use strict';
// Devices at several servers that do what they are told, line by line:
//   {"op":"register","device":"d","url":"http://127.0.0.1:3100"}
//   {"op":"connect","name":"c","device":"d","url":"...","version":"4.8.1","way":"polling|websocket|upgrade","confirm":true}
//   {"op":"mail","name":"m","device":"d","to":"e","url":"...","text":"..."}
//   {"op":"remove","name":"m","device":"d","url":"..."}
//   {"op":"close","name":"c"}
// and that report what they see: {"name":"c","saw":"authorized|refused|message|disconnect","text":"..."},
// and of a request {"name":"m","saw":"answer","text":"200 ..."}. Who confirms does so for each message.
const readline = require('node:readline');
const { Device, Socket } = require('./lib');

const devices = new Map();
const sockets = new Map();
const report = (name, saw, text = '') => process.stdout.write(JSON.stringify({ name, saw, text: String(text) }) + '\n');
const answer = (name, asked) => asked.then((res) => report(name, 'answer', res.status + ' ' + res.body), (err) => report(name, 'answer', '0 ' + err.message));

const ops = {
  register({ device, url }) {
    const d = new Device('1', url);
    devices.set(device, d);
    d.register().then(() => report(device, 'registered'), (err) => report(device, 'fault', err.message));
  },
  connect({ name, device, url, version, way, confirm }) {
    const d = devices.get(device);
    const s = new Socket(version, way, url);
    sockets.set(name, s);
    s.socket.on('connect', () => s.emit('authentication', d.credentials()));
    s.socket.on('authorized', () => report(name, 'authorized'));
    s.socket.on('not authorized', (why) => report(name, 'refused', why.message));
    s.socket.on('message', (m) => { report(name, 'message', m.body); if (confirm) s.received(m); });
    s.socket.on('disconnect', (why) => report(name, 'disconnect', why));
    s.socket.on('connect_error', (err) => report(name, 'fault', err));
  },
  mail({ name, device, to, url, text }) {
    const body = { messages: [{ headers: [{ recipient: devices.get(to).username, messageHeader: 'h' }], body: text }] };
    answer(name, devices.get(device).request('POST', '/api/v1/message/', body, url));
  },
  remove({ name, device, url }) { answer(name, devices.get(device).request('DELETE', '/api/v1/key/', undefined, url)); },
  close({ name }) { sockets.get(name).close(); },
};

readline.createInterface({ input: process.stdin })
  .on('line', (line) => { const o = JSON.parse(line); ops[o.op](o); })
  .on('close', () => process.exit(0));
