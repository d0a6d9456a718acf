'use strict';
// What the scripts share: devices with keys of the npm package axolotl-crypto, the
// key server's HTTP API through Node's http, and a socket.io client that keeps what
// it sees.

process.removeAllListeners('warning'); // old packages call what newer Node warns about
const assert = require('node:assert/strict');
const http = require('node:http');
const axolotl = require('axolotl-crypto');

const base = process.argv[2];

class Device {
  constructor(id = '1', url = base) {
    this.url = url;
    const pair = axolotl.generateKeyPair();
    this.private = pair.private;
    this.key = Buffer.from(pair.public).toString('base64');
    this.id = id;
    this.username = this.key + '|' + id;
  }
  // password signs the digits of a time followed by as many zero bytes.
  password(time = Date.now()) {
    const digits = String(time);
    const bytes = new Uint8Array(2 * digits.length);
    for (let i = 0; i < digits.length; i++) bytes[i] = digits.charCodeAt(i);
    return digits + '|' + Buffer.from(axolotl.sign(this.private, bytes.buffer)).toString('base64');
  }
  credentials(time) { return { username: this.username, password: this.password(time) }; }
  authorization() { return 'Basic ' + Buffer.from(this.username + ':' + this.password()).toString('base64'); }

  request(method, path, body, url = this.url) {
    return new Promise((resolve, reject) => {
      const headers = { Authorization: this.authorization() };
      if (body !== undefined) headers['Content-Type'] = 'application/json';
      const req = http.request(url + path, { method, headers }, (res) => {
        const parts = [];
        res.on('data', (part) => parts.push(part));
        res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(parts).toString() }));
      });
      req.on('error', reject);
      req.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
  async register(prekeys = 5) {
    const body = { lastResortKey: { id: 16777215 }, prekeys: [] };
    for (let i = 0; i < prekeys; i++) body.prekeys.push({ id: i, preKey: 'k' + i, signature: 's' });
    const res = await this.request('POST', '/api/v1/key/initial', body);
    assert.deepEqual([res.status, res.body], prekeys ? [200, 'OK'] : [205, 'Reset Content']);
  }
  // mail sends messages, each to one recipient, and returns the report.
  async mail(...messages) {
    const res = await this.request('POST', '/api/v1/message/', {
      messages: messages.map(([to, header, body]) => ({ headers: [{ recipient: to.username, messageHeader: header }], body })),
    });
    assert(res.status === 200 || res.status === 205, res.status + ' ' + res.body);
    return JSON.parse(res.body);
  }
}

const events = ['connect', 'authorized', 'not authorized', 'message', 'disconnect'];

class Socket {
  constructor(version, way, url = base) {
    const lib = require('sio-' + version);
    const transports = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] }[way];
    this.seen = [];
    this.waiting = [];
    this.socket = (lib.io || lib)(url, { forceNew: true, 'force new connection': true, transports, reconnection: false });
    for (const name of events) {
      this.socket.on(name, (data) => {
        this.seen.push([name, data]);
        this.waiting = this.waiting.filter((f) => !f());
      });
    }
  }
  emit(...args) { this.socket.emit(...args); }
  // next returns the next event that was not taken yet.
  next() {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('waited in vain for an event')), 20000);
      const take = () => {
        if (this.seen.length === 0) return false;
        clearTimeout(late);
        resolve(this.seen.shift());
        return true;
      };
      if (!take()) this.waiting.push(take);
    });
  }
  async want(name, data) {
    const got = await this.next();
    assert.deepEqual(got, [name, data]);
  }
  // messages takes the next events, which must be messages with these bodies.
  async messages(...bodies) {
    const list = [];
    for (const body of bodies) {
      const [name, data] = await this.next();
      assert.deepEqual([name, data && data.body], ['message', body]);
      assert.match(data.id, /^[0-9a-f]{24}$/);
      list.push(data);
    }
    return list;
  }
  received(message) { this.emit('recieved', { messageId: message.id }); }
  close() { this.socket.close(); }
}

async function connect(version, way) {
  const s = new Socket(version, way);
  await s.want('connect', undefined);
  return s;
}

// authorized connects as a device.
async function authorized(device, version, way) {
  const s = await connect(version, way);
  s.emit('authentication', device.credentials());
  await s.want('authorized', null);
  return s;
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// main runs a script and ends the process, whatever is still open.
function main(run) {
  run().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
}

module.exports = { assert, base, Device, Socket, connect, authorized, sleep, main };
