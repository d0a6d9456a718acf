'use strict';
// A device: node device.js NAME listen | send ADDRESS TEXT | remove
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');

const server = process.env.PUSH_SOCKET_URL || 'http://localhost:3100';
const [name, command, ...args] = process.argv.slice(2);
if (!name || !['listen', 'send', 'remove'].includes(command) || (command === 'send') !== (args.length === 2)) {
  console.error('usage: node device.js NAME listen | send ADDRESS TEXT | remove');
  process.exit(2);
}

// The key is made at the first start and kept beside this program's caller.
const file = name + '.pem';
if (!fs.existsSync(file)) {
  const pair = crypto.generateKeyPairSync('ed25519');
  fs.writeFileSync(file, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
}
const key = crypto.createPrivateKey(fs.readFileSync(file));
const raw = crypto.createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-32);
const address = raw.toString('base64') + '|1'; // identity key | device id

// password is good for a minute: the time, and the time signed.
function password(time = String(Date.now())) {
  return time + '|' + crypto.sign(null, Buffer.from(time), key).toString('base64');
}

function request(method, path, body) {
  return new Promise((resolve, reject) => {
    const req = http.request(server + path, { method, auth: address + ':' + password() }, (res) => {
      let text = '';
      res.on('data', (part) => { text += part; });
      res.on('end', () => resolve({ status: res.statusCode, text }));
    });
    req.on('error', reject);
    req.end(body && JSON.stringify(body));
  });
}

async function register() {
  const res = await request('POST', '/api/v1/key/initial', { lastResortKey: { id: 1 }, prekeys: [{ id: 2 }, { id: 3 }] });
  if (res.status >= 300 && res.text !== 'registered') throw new Error(`${res.status} ${res.text}`);
}

async function send([recipient, text]) {
  const header = Buffer.from('no header').toString('base64');
  const res = await request('POST', '/api/v1/message/', {
    messages: [{ headers: [{ recipient, messageHeader: header }], body: Buffer.from(text).toString('base64') }],
  });
  console.log(res.status, res.text);
}

function listen() {
  const { io } = require('socket.io-client');
  const socket = io(server);
  socket.on('connect', () => socket.emit('authentication', { username: address, password: password() }));
  socket.on('authorized', () => console.log('listening as', address));
  socket.on('not authorized', ({ message, serverTime }) => {
    if (message === 'time') { // this machine's clock is wrong: sign the server's time
      socket.emit('authentication', { username: address, password: password(serverTime) });
      return;
    }
    console.error('not authorized:', message);
    process.exit(1);
  });
  socket.on('message', (message) => {
    console.log('message:', Buffer.from(message.body, 'base64').toString());
    socket.emit('recieved', { messageId: message.id }); // the protocol's spelling
  });
}

async function main() {
  if (command === 'remove') {
    const res = await request('DELETE', '/api/v1/key/');
    console.log(res.status, res.text);
    return;
  }
  await register();
  if (command === 'send') await send(args);
  else listen();
}

main().catch((err) => { console.error(err.message); process.exit(1); });
