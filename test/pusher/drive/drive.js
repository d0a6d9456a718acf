// Runs Pusher clients in Node and in Chromium, the npm server library, and the
// endpoint of an application that signs subscriptions with it. Commands come as
// JSON lines on standard input, reports leave the same way on standard output.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const readline = require('readline');
const Server = require('pusher');
const makeClients = require('./clients.js');

// say reports. Who reads may be slow: nothing of it is lost for that.
function say(line) {
  let rest = Buffer.from(JSON.stringify(line) + '\n');
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(1, rest));
    } catch (err) {
      if (err.code !== 'EAGAIN') throw err;
    }
  }
}
const fault = err => {
  say({ id: '', saw: 'fault', text: String((err && err.stack) || err) });
  process.exit(1);
};
process.on('uncaughtException', fault);
process.on('unhandledRejection', fault);

const settings = JSON.parse(process.argv[2]); // of the app, and of the server's port
const server = new Server({
  appId: settings.app, key: settings.key, secret: settings.secret, host: '127.0.0.1', port: settings.port,
  useTLS: false, encryptionMasterKeyBase64: settings.masterKey,
});

const resumeFile = path.join(__dirname, '..', '..', '..', 'examples', 'pusher', 'resume.js');
let Echo; // a module of the newer kind, which only import loads

// load finds what a version of pusher-js exports in Node.
function load(version) {
  if (version === 'echo') return Echo;
  if (version === 'resume') return require(resumeFile);
  const m = require('pusher-js-' + version);
  return m.Pusher || m.default || m;
}
// pusher-js 4 asks a browser's navigator about encrypted channels, which Node before
// 21 does not have.
if (typeof navigator === 'undefined') globalThis.navigator = { product: 'Node' };
const inNode = makeClients(load, say);

// The application's site: signs for whoever asks, as the user it names, and gives
// out the page that runs in Chromium.
const script = file => fs.readFileSync(file);
const modules = path.join(__dirname, '..', 'node_modules');
let examplePage = '';
const rights = {}; // as whom the site signs for a user from now on
let ignored = 0; // so many of the next requests to sign a subscription are never answered
const site = http.createServer((req, res) => {
  res.setHeader('Access-Control-Allow-Origin', '*');
  res.setHeader('Access-Control-Allow-Headers', '*');
  const url = new URL(req.url, 'http://site');
  if (req.method === 'OPTIONS') return res.writeHead(204).end();
  if (url.pathname === '/page') {
    const full = url.searchParams.get('version');
    return res.setHeader('Content-Type', 'text/html').end(`<!doctype html><meta charset="utf-8"><title>page</title>
      <script src="/modules/pusher-js-${full}/dist/web/pusher-with-encryption.min.js"></script>
      <script src="/resume.js"></script>
      <script src="/clients.js"></script><script>window.command = makeClients(version => (version === 'resume' ? resumePusher : Pusher), line => window.say(line));</script>`);
  }
  if (url.pathname === '/example') return res.setHeader('Content-Type', 'text/html').end(examplePage);
  if (url.pathname === '/resume.js') return res.setHeader('Content-Type', 'text/javascript').end(script(resumeFile));
  if (url.pathname === '/clients.js') return res.setHeader('Content-Type', 'text/javascript').end(script(path.join(__dirname, 'clients.js')));
  if (url.pathname.startsWith('/modules/')) {
    return res.setHeader('Content-Type', 'text/javascript').end(script(path.join(modules, url.pathname.slice(9))));
  }
  if (url.pathname !== '/auth' && url.pathname !== '/user') return res.writeHead(404).end();
  let body = '';
  req.on('data', d => { body += d; });
  req.on('end', () => {
    const form = new URLSearchParams(body);
    const asked = form.get('user') || url.searchParams.get('user') || '';
    const user = rights[asked] || asked;
    const socket = form.get('socket_id'), channel = form.get('channel_name');
    res.setHeader('Content-Type', 'application/json');
    if (url.pathname === '/auth' && ignored > 0) {
      ignored--;
      return say({ id: '', saw: 'ignored', name: channel });
    }
    if (user === 'nobody') return res.writeHead(403).end('{}');
    if (url.pathname === '/user') {
      return res.end(JSON.stringify(server.authenticateUser(socket, {
        id: user, user_info: { name: 'user ' + user }, watchlist: form.get('watch') ? form.get('watch').split(',') : undefined,
      })));
    }
    if (user === 'forger') return res.end(JSON.stringify({ auth: settings.key + ':' + '0'.repeat(64) }));
    const presence = channel.startsWith('presence-') ? { user_id: user, user_info: { name: 'user ' + user } } : undefined;
    res.end(JSON.stringify(server.authorizeChannel(socket, channel, presence)));
  });
});

// The browser, and a page for each client.
let browser;
const pages = new Map();
async function inChromium(cmd) {
  if (cmd.page) pages.set(cmd.id, pages.get(cmd.page)); // it stands in that of another client
  if (cmd.op !== 'open' || cmd.page) return pages.get(cmd.id).evaluate(c => { window.command(c); }, cmd);
  const page = await launch();
  page.on('pageerror', fault);
  await page.exposeFunction('say', say);
  await page.goto(`http://localhost:${site.address().port}/page?version=${cmd.version}`);
  pages.set(cmd.id, page);
  await page.evaluate(c => { window.command(c); }, cmd);
}

// launch starts the browser once.
async function launch() {
  const { chromium } = require('playwright-core');
  browser = browser || await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  });
  return (await browser.newContext()).newPage();
}

// A page of the examples, with the client from here in place of the one on the
// network. Reports the text of its two elements as it changes.
async function example(cmd) {
  const page = await launch();
  page.on('pageerror', fault);
  await page.route('https://js.pusher.com/**', route => route.fulfill({ path: path.join(modules, 'pusher-js-8/dist/web/pusher.min.js') }));
  // From a real address: Chromium keeps pages from elsewhere away from this machine.
  examplePage = cmd.html;
  await page.goto(`http://localhost:${site.address().port}/example?` + new URLSearchParams(cmd.query));
  let last = {};
  const look = setInterval(async () => {
    for (const name of ['state', 'events']) {
      const text = await page.textContent('#' + name).catch(() => clearInterval(look));
      if (text !== last[name]) say({ id: cmd.id, saw: 'text', name, text, channel: text });
      last[name] = text;
    }
  }, 50);
  look.unref();
}

// The server library.
async function call(cmd) {
  try {
    const res = await server[cmd.call](...(cmd.args || []));
    say({ id: cmd.id, saw: 'reply', name: String(res && res.status), text: res && res.text ? await res.text() : JSON.stringify(res === undefined ? null : res) });
  } catch (err) {
    say({ id: cmd.id, saw: 'reply', name: String(err.status || 'error'), text: err.body || String(err) });
  }
}

function webhook(cmd) {
  const hook = server.webhook({ headers: cmd.headers, rawBody: cmd.body });
  say({ id: cmd.id, saw: 'reply', name: String(hook.isValid()), text: JSON.stringify(hook.isValid() ? hook.getEvents() : null) });
}

let queue = Promise.resolve();
const inBrowser = new Set();
function run(line) {
  const cmd = JSON.parse(line);
  if (cmd.op === 'call') return call(cmd);
  if (cmd.op === 'webhook') return webhook(cmd);
  if (cmd.op === 'page') return example(cmd);
  if (cmd.op === 'ignore') return ignored++;
  if (cmd.op === 'sign') return rights[cmd.user] = cmd.as;
  if (cmd.browser) inBrowser.add(cmd.id);
  if (cmd.op === 'open') cmd.options = JSON.parse(JSON.stringify(cmd.options).replaceAll('SITE', 'http://localhost:' + site.address().port));
  if (!inBrowser.has(cmd.id)) return inNode(cmd);
  queue = queue.then(() => inChromium(cmd));
  return queue;
}

site.listen(0, 'localhost', async () => {
  Echo = (await import('laravel-echo')).default;
  say({ id: '', saw: 'ready' });
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', line => { Promise.resolve().then(() => run(line)).catch(fault); });
  lines.on('close', async () => {
    await queue;
    if (browser) await browser.close();
    process.exit(0);
  });
});
