// Records what browsers and senders send to poosh and writes each head to a file,
// with {placeholders} for what differs from one request to the next:
//
//   node capture.js PROGRAM DIRECTORY
'use strict';
const { spawn, execFile } = require('child_process');
const fs = require('fs');
const http = require('http');
const net = require('net');
const os = require('os');
const path = require('path');

const [program, directory] = process.argv.slice(2).map(p => path.resolve(p));
const modules = path.join(__dirname, '..', '..', 'e2e', 'npm');
const secret = 'thisisthesharedsecret';
const sessionCookie = 'io=0I7-vJ8e5Zo2cQkRAAAB';
const limit = 60_000; // milliseconds that all of it may take

const seen = new Map(); // heads by name
let wake = () => {};

// record forwards connections to a port of poosh and keeps the head of each
// request under the name that nameOf gives it.
function record(port, nameOf) {
  const server = net.createServer(client => {
    const upstream = net.connect(port, '127.0.0.1');
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => { client.destroy(); upstream.destroy(); });
    let buffered = Buffer.alloc(0);
    const read = chunk => {
      buffered = Buffer.concat([buffered, chunk]);
      for (let end; (end = buffered.indexOf('\r\n\r\n')) >= 0;) {
        const head = buffered.subarray(0, end + 4).toString('latin1');
        const name = nameOf(head);
        if (name && !seen.has(name)) { seen.set(name, head); wake(); }
        if (/^upgrade: websocket/im.test(head)) return client.off('data', read);
        const length = Number((/^content-length: *(\d+)/im.exec(head) || [])[1] || 0);
        if (buffered.length < end + 4 + length) return;
        buffered = buffered.subarray(end + 4 + length);
      }
    };
    client.on('data', read);
  });
  return new Promise(done => server.listen(0, '127.0.0.1', () => done(server.address().port)));
}

// clientName names requests of browsers: the handshake of a WebSocket, and the
// GETs and POSTs of a session that polls.
function clientName(head) {
  const browser = /firefox/i.test(head) ? 'firefox' : 'chromium';
  if (/^upgrade: websocket/im.test(head)) return `${browser}-websocket`;
  if (!/sid=/.test(head.split('\r\n')[0])) return '';
  return `${browser}-${head.startsWith('POST') ? 'post' : 'poll'}`;
}

// senderName is what senders put at the end of the event's path.
const senderName = head => (/^POST \S*[?&]as=([a-z-]+)/.exec(head) || [])[1];

// fill puts placeholders where requests differ. A browser without a window calls
// itself so; it is the only thing that tells it from one with a window.
function fill(head) {
  return head
    .replace(/^(\S+) \S+ HTTP\/1\.1/, '$1 {target} HTTP/1.1')
    .replace(/^(host): .*$/im, '$1: {host}')
    .replace(/^(origin): .*$/im, '$1: {origin}')
    .replace(/^(referer): .*$/im, '$1: {origin}/')
    .replace(/^(cookie): .*$/im, '$1: {cookie}')
    .replace(/^(sec-websocket-key): .*$/im, '$1: {key}')
    .replace(/^(authorization): .*$/im, '$1: {token}')
    .replace(/^(content-length): .*$/im, '$1: {length}')
    .replaceAll('HeadlessChrome', 'Chrome');
}

// site is where the page of the browsers comes from. It stands on the same host as
// poosh, so that its cookie goes there, as from www.example.com to push.example.com.
function site(port) {
  const script = `document.cookie = '${sessionCookie}; path=/';
    for (const transport of ['websocket', 'polling']) {
      const socket = io('http://127.0.0.1:${port}', { transports: [transport], forceNew: true });
      socket.on('connect', () => socket.emit('room', 'news'));
    }`;
  const bundle = path.join(modules, 'node_modules', 'sio-1.3.4', 'socket.io.js');
  const server = http.createServer((req, res) => {
    if (req.url === '/socket.io.js') return res.setHeader('Content-Type', 'text/javascript').end(fs.readFileSync(bundle));
    res.setHeader('Content-Type', 'text/html').end(`<!doctype html><script src="/socket.io.js"></script><script>${script}</script>`);
  });
  return new Promise(done => server.listen(0, '127.0.0.1', () => done(`http://127.0.0.1:${server.address().port}/`)));
}

const children = [];
const start = (file, args, options) => {
  const child = spawn(file, args, { stdio: 'ignore', ...options });
  child.on('error', fail);
  children.push(child);
};

// until waits for heads of all these names.
const until = names => new Promise(done => {
  wake = () => names.every(n => seen.has(n)) && done();
  wake();
});

const run = (file, args) => new Promise((done, fault) => execFile(file, args, (err, out, errors) =>
  err ? fault(new Error(`${file}: ${err.message}\n${out}${errors}`)) : done(out)));

async function browsers(url) {
  const { chromium } = require(path.join(modules, 'node_modules', 'playwright-core'));
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  await (await browser.newPage()).goto(url);
  const kinds = ['websocket', 'poll', 'post'];
  await until(kinds.map(k => `chromium-${k}`));
  await browser.close();
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'firefox-'));
  start('firefox-esr', ['--headless', '--no-remote', '--profile', profile, url]);
  await until(kinds.map(k => `firefox-${k}`));
}

async function senders(port) {
  const url = name => `http://127.0.0.1:${port}/send?as=${name}`;
  const php = ['php-curl-send', 'php-stream-send', 'php-guzzle-send', 'php-guzzle-pusher'];
  for (const name of php) await run('php', [path.join(__dirname, 'send.php'), name, url(name), secret]);
  await run('curl', ['-sS', url('curl-send'), '-H', 'Content-Type: application/json', '-H', 'Authorization: t', '-d', '{"event":"e"}']);
  await fetch(url('node-fetch-send'), {
    method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: 't' }, body: '{"event":"e"}',
  });
  await until([...php, 'curl-send', 'node-fetch-send']);
}

async function free() {
  const server = net.createServer();
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise(done => server.close(done));
  return port;
}

function end(code) {
  for (const child of children) child.kill('SIGKILL');
  process.exit(code);
}
function fail(err) {
  console.error(err);
  end(1);
}

(async () => {
  setTimeout(() => fail(new Error(`not in time; seen: ${[...seen.keys()]}`)), limit);
  const [clients, events] = [await free(), await free()];
  start(program, [], {
    cwd: os.tmpdir(),
    env: { HOST: '127.0.0.1', SERVER_SECRET: secret, CLIENT_PORT: String(clients), SERVER_PORT: String(events) },
  });
  await new Promise(done => setTimeout(done, 1000)); // it listens in far less
  await senders(await record(events, senderName));
  await browsers(await site(await record(clients, clientName)));
  for (const [name, head] of seen) fs.writeFileSync(path.join(directory, `${name}.http`), fill(head));
  end(0);
})().catch(fail);
