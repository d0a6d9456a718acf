'use strict';
// What the scripts share: tokens as the original's README describes them, a client
// on the npm package ws that keeps what it sees, and the two requests.

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const WebSocket = require('ws');

const base = process.argv[2];
const hex = (text) => Buffer.from(text).toString('hex');

// raw makes a token of its four parts.
const raw = (time, name, id, signed, secret) =>
  [hex(time), hex(name), hex(id), crypto.createHmac('sha256', secret).update(signed).digest('hex')].join('h');

// token makes one for the application MyApp that is age milliseconds old.
function token(id, age = 0, name = 'MyApp', secret = 's3cret-of-myapp') {
  const time = String(Date.now() - age);
  return raw(time, name, id, time + id, secret);
}

class Client {
  constructor(text, path = '/recieve', url = base) {
    this.frames = [];
    this.waiting = [];
    this.socket = new WebSocket(url.replace('http', 'ws') + path + '?token=' + encodeURIComponent(text));
    this.opened = new Promise((resolve, reject) => {
      this.socket.on('open', resolve);
      this.socket.on('error', reject);
      this.socket.on('unexpected-response', (_, res) => {
        const parts = [];
        res.on('data', (part) => parts.push(part));
        res.on('end', () => {
          this.refused = { status: res.statusCode, type: res.headers['content-type'], body: Buffer.concat(parts).toString() };
          reject(new Error('refused: ' + this.refused.body));
        });
      });
    });
    this.opened.catch(() => {});
    this.closed = new Promise((resolve) => this.socket.on('close', (code) => { this.code = code; this.look(); resolve(code); }));
    this.socket.on('message', (data, binary) => { this.frames.push(binary ? data : data.toString()); this.look(); });
  }
  look() { this.waiting = this.waiting.filter((f) => !f()); }
  send(text) { this.socket.send(text); }
  // next returns the next frame that was not taken yet.
  next() {
    return new Promise((resolve, reject) => {
      const take = () => {
        if (this.frames.length > 0) resolve(this.frames.shift());
        else if (this.code !== undefined) reject(new Error('closed with ' + this.code));
        else return false;
        return true;
      };
      if (!take()) this.waiting.push(take);
    });
  }
  async want(...texts) {
    for (const text of texts) assert.equal(await this.next(), text);
  }
  async synced() { this.send('PING'); await this.want('PONG'); }
}

async function join(id, age, name, secret) {
  const c = new Client(token(id, age, name, secret));
  await c.opened;
  return c;
}

async function request(method, path, body) {
  const res = await fetch(base + path, { method, body: typeof body === 'object' ? JSON.stringify(body) : body });
  return { status: res.status, type: res.headers.get('content-type'), body: await res.text() };
}

async function send(...messages) {
  const res = await request('POST', '/send', { secretName: 'myapp', secret: 's3cret-of-myapp', messages });
  assert.equal(res.status, 200, res.body);
  return JSON.parse(res.body);
}

async function kick(...connections) {
  const began = Date.now();
  const res = await request('POST', '/kick', { secretName: 'MYAPP', secret: 's3cret-of-myapp', connections });
  assert.deepEqual([res.status, res.body], [200, '200']);
  return Date.now() - began;
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// main runs a script and ends the process, whatever is still open.
function main(run) {
  run().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
}

module.exports = { assert, base, raw, token, Client, join, request, send, kick, sleep, main };
