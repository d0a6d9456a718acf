'use strict';
// Clients of several servers that do what they are told, line by line:
//   {"op":"join","name":"a","url":"http://127.0.0.1:8080","token":"..."}
//   {"op":"say","name":"a","text":"PING"}
//   {"op":"end","name":"a"}
// and that report what they see: {"name":"a","saw":"open|refused|frame|closed","text":"..."}.
const readline = require('node:readline');
const { Client } = require('./lib');

const clients = new Map();
const report = (name, saw, text = '') => process.stdout.write(JSON.stringify({ name, saw, text: String(text) }) + '\n');

const ops = {
  join({ name, url, token }) {
    const c = new Client(token, '/recieve', url);
    clients.set(name, c);
    c.socket.on('message', (data) => report(name, 'frame', data));
    c.opened.then(() => report(name, 'open'), () => report(name, 'refused', c.refused ? c.refused.body : ''));
    c.closed.then((code) => report(name, 'closed', code));
  },
  say({ name, text }) { clients.get(name).send(text); },
  end({ name }) { clients.get(name).socket.terminate(); },
};

readline.createInterface({ input: process.stdin })
  .on('line', (line) => { const o = JSON.parse(line); ops[o.op](o); })
  .on('close', () => process.exit(0));
