'use strict';
// What the scripts share: the browser with the dashboard in it, which is watched for
// whatever it must not do, and clients and senders of every dialect as their users have
// them. A script is given where the server is and what its secrets are, as JSON.

process.removeAllListeners('warning'); // old packages call what newer Node warns about
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { chromium } = require('playwright-core');
const axolotl = require('axolotl-crypto');
const Pusher = require('pusher-js');
const PusherServer = require('pusher');
const WebSocket = require('ws');

const site = JSON.parse(process.argv[2]);
const at = (port, path = '') => `http://127.0.0.1:${port}${path}`;
const home = at(site.admin);
const patience = 30000;

// --- The browser ---

async function launch(...args) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-dev-shm-usage', ...args],
  });
}

// A Watch collects what pages of a context must not do.
class Watch {
  faults = [];
  requests = [];
  expected = [/status of 503.*\/ready$/]; // of faults: a slow machine may be degraded, and what a test does on purpose
  page(page) {
    page.setDefaultTimeout(patience);
    page.on('request', (r) => this.requests.push(r.url()));
    page.on('pageerror', (err) => this.faults.push(String(err)));
    page.on('dialog', (dialog) => { this.faults.push('a dialog: ' + dialog.message()); dialog.dismiss(); });
    page.on('console', (line) => { if (line.type() === 'error' || /Content.Security.Policy/i.test(line.text())) this.faults.push(line.text() + ' ' + line.location().url); });
    return page;
  }
  // check fails for a fault, and for a request that did not go to the operators' port.
  check() {
    assert.deepEqual(this.faults.filter((f) => !this.expected.some((e) => e.test(f))), []);
    assert(this.requests.length > 10, 'the page has asked for nothing');
    assert.deepEqual(this.requests.filter((url) => !url.startsWith(home + '/')), [], 'something was fetched from elsewhere');
  }
}

// open opens the dashboard in a context of its own.
async function open(browser, options = {}) {
  const context = await browser.newContext({ httpCredentials: { username: 'operator', password: site.token }, ...options });
  const watch = new Watch();
  const page = watch.page(await context.newPage());
  await page.goto(home + '/');
  await page.getByText('live', { exact: true }).waitFor();
  return { page, watch, context };
}

// table reads a table by its caption: rows of texts.
const table = (page, caption) => page.locator('table', { has: page.locator('caption', { hasText: caption }) }).evaluate((t) =>
  [...t.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent)));

// tile reads one of the tiles.
const tile = (page, id) => page.locator('#tile-' + id).evaluate((t) => [...t.querySelectorAll('.big, span.more')].map((s) => s.textContent));

// becomes waits until read returns what is wanted.
async function becomes(what, read, want) {
  let got;
  for (const end = Date.now() + patience; Date.now() < end; await sleep(100)) {
    got = await read();
    if (JSON.stringify(got) === JSON.stringify(want)) return;
  }
  assert.deepEqual(got, want, what);
}

// eventually waits until something is true.
async function eventually(what, is) {
  for (const end = Date.now() + patience; Date.now() < end; await sleep(50)) if (await is()) return;
  assert.fail('waited in vain for ' + what);
}

// step says where a script is, for who reads why it failed.
const step = (word) => process.stderr.write(word + '\n');

const number = (text) => Number(text.replace(/[^\d.]/g, ''));

// --- Clients; each counts the events that it got ---

function once(emitter, event) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('waited in vain for ' + event)), patience);
    (emitter.on ?? emitter.bind).call(emitter, event, (data) => { clearTimeout(late); resolve(data); });
  });
}

// socketio connects a client of socket.io on one way and has it join rooms.
async function socketio(version, way, rooms = [], port = site.client) {
  const lib = require('sio-' + version);
  const socket = (lib.io || lib)(at(port), { forceNew: true, transports: [way], reconnection: false });
  const c = { socket, got: 0, close: () => socket.close() };
  socket.on('news', () => { c.got++; });
  await once(socket, 'connect');
  c.id = socket.id;
  for (const room of rooms) socket.emit('room', room);
  return c;
}

// pusher connects pusher-js and subscribes to channels.
async function pusher(channels) {
  const client = new Pusher(site.key, { wsHost: '127.0.0.1', wsPort: site.pusher, forceTLS: false, enabledTransports: ['ws'], disableStats: true, cluster: 'mt1' });
  const c = { client, got: 0, close: () => client.disconnect() };
  client.bind('news', () => { c.got++; });
  await once(client.connection, 'connected');
  c.id = client.connection.socket_id;
  for (const channel of channels) await once(client.subscribe(channel), 'pusher:subscription_succeeded');
  return c;
}

// socktopus joins under an id, with a token as its README describes it.
async function socktopus(id) {
  const hex = (text) => Buffer.from(text).toString('hex');
  const time = String(Date.now());
  const token = [hex(time), hex('MyApp'), hex(id), crypto.createHmac('sha256', site.socktopusSecret).update(time + id).digest('hex')].join('h');
  const socket = new WebSocket(at(site.socktopus, '/recieve?token=' + token).replace('http', 'ws'));
  const c = { socket, id, got: 0, close: () => socket.close(), stall: () => socket.pause(), closed: new Promise((done) => socket.on('close', done)) };
  socket.on('message', (data) => { if (String(data).startsWith('DATA:')) c.got++; });
  await once(socket, 'open');
  return c;
}

// device registers keys, connects with socket.io and authorizes.
async function device() {
  const pair = axolotl.generateKeyPair();
  const username = Buffer.from(pair.public).toString('base64') + '|1';
  const password = () => {
    const digits = String(Date.now());
    const bytes = new Uint8Array(2 * digits.length); // the digits, and as many zero bytes
    for (let i = 0; i < digits.length; i++) bytes[i] = digits.charCodeAt(i);
    return digits + '|' + Buffer.from(axolotl.sign(pair.private, bytes.buffer)).toString('base64');
  };
  const request = async (path, body) => {
    const res = await fetch(at(site.pushSocket, path), { method: 'POST', body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', Authorization: 'Basic ' + Buffer.from(username + ':' + password()).toString('base64') } });
    assert.equal(res.status, 200, await res.text());
  };
  await request('/api/v1/key/initial', { lastResortKey: { id: 16777215 }, prekeys: [{ id: 1, preKey: 'k', signature: 's' }] });
  const c = await socketio('2.5.0', 'websocket', [], site.pushSocket);
  c.socket.on('message', () => { c.got++; });
  c.socket.emit('authentication', { username, password: password() });
  await once(c.socket, 'authorized');
  // mail sends a message to another device.
  c.mail = (to, body) => request('/api/v1/message/', { messages: [{ headers: [{ recipient: to.username, messageHeader: 'h' }], body }] });
  c.username = username;
  return c;
}

// --- Senders ---

async function send(room, payload, event = 'news') {
  const text = JSON.stringify(payload);
  const res = await fetch(at(site.sender, '/send'), { method: 'POST', body: JSON.stringify({ room, event, payload }),
    headers: { 'Content-Type': 'application/json', Authorization: crypto.createHash('sha1').update(site.secret + text).digest('hex') } });
  assert.equal(res.status, 200, await res.text());
  return Number(res.headers.get('x-poosh-delivered'));
}

const pusherServer = new PusherServer({ appId: site.app, key: site.key, secret: site.appSecret, host: '127.0.0.1', port: site.pusher, useTLS: false });

// message sends one message of Socktopus and reports whether it was handed over.
async function message(recipient, content) {
  const res = await fetch(at(site.socktopus, '/send'), { method: 'POST', body: JSON.stringify({ secretName: 'myapp', secret: site.socktopusSecret, messages: [{ recipient, content }] }) });
  assert.equal(res.status, 200);
  return (await res.json()).failed.length === 0;
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// main runs a script and ends the process, whatever is still open.
function main(run) {
  run().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
}

module.exports = { assert, site, at, home, launch, open, Watch, table, tile, number, becomes, eventually, step, socketio, pusher, socktopus, device, send, pusherServer, message, sleep, main };
