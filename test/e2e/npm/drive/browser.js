// Drives socket.io clients in Chromium: one page for each client, all in one
// browser, each page of this process's own origin, so that the server under test
// is another one. Commands and reports as in node.js.
//
// Each page has a browser context of its own: pages of one context share its six
// connections to a host, and polls that wait would hold them all.
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const readline = require('readline');
const { chromium } = require('playwright-core');

// say writes at once, so that nothing is lost when the process ends behind it.
const say = line => writeAll(Buffer.from(JSON.stringify(line) + '\n'));
function writeAll(bytes) {
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(fs.writeSync(1, bytes));
    } catch (err) {
      if (err.code !== 'EAGAIN') throw err;
    }
  }
}
const fault = err => {
  say({ id: '', saw: 'fault', text: String(err && err.stack || err) });
  shut(1);
};

// bundle finds the file of a version that a page includes.
function bundle(version) {
  const home = path.dirname(require.resolve(`sio-${version}/package.json`, { paths: [path.join(__dirname, '..')] }));
  return ['dist/socket.io.js', 'socket.io.js'].map(f => path.join(home, f)).find(f => fs.existsSync(f));
}

// pages holds the HTML of pages given by the command itself, by client id.
const pages = new Map();

const site = http.createServer((req, res) => {
  const url = new URL(req.url, 'http://site');
  const id = url.searchParams.get('id');
  const html = (text) => res.setHeader('Content-Type', 'text/html; charset=utf-8').end(text);
  if (url.pathname === '/page') return html(pages.get(id));
  if (url.pathname === '/client.js') return js(res, path.join(__dirname, 'client.js'));
  if (url.pathname.startsWith('/bundle/')) return js(res, bundle(url.pathname.slice('/bundle/'.length)));
  res.writeHead(404).end();
});
const js = (res, file) => res.setHeader('Content-Type', 'text/javascript').end(fs.readFileSync(file));

let browser;

const ready = (async () => {
  await new Promise(done => site.listen(0, '127.0.0.1', done));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    handleSIGHUP: false,
    handleSIGINT: false,
    handleSIGTERM: false,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
      // Pages in the background keep their timers: all but one are there.
      '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
      // What a test has to say about certificates, for one.
      ...(process.env.CHROMIUM_FLAGS || '').split(' ').filter(Boolean)]
  });
  say({ id: '', saw: 'ready' });
})().catch(fault);

const open = new Map();

async function run(command) {
  await ready;
  switch (command.op) {
    case 'open': {
      const origin = `http://127.0.0.1:${site.address().port}`;
      const page = await (await browser.newContext()).newPage();
      open.set(command.id, page);
      page.on('pageerror', err => say({ id: command.id, saw: 'error', name: 'pageerror', text: String(err) }));
      page.on('console', line => say({ id: command.id, saw: 'console', text: line.text() }));
      await page.exposeFunction('report', seen => say({ id: command.id, ...seen }));
      if (command.html) {
        pages.set(command.id, command.html.replaceAll('{{bundle}}', `${origin}/bundle/${command.version}`));
      } else {
        pages.set(command.id, `<!doctype html><title>${command.id}</title>
          <script src="/bundle/${command.version}"></script><script src="/client.js"></script>`);
      }
      await page.goto(`${origin}/page?id=${encodeURIComponent(command.id)}${command.search || ''}`);
      if (!command.html) await page.evaluate(c => { window.client = openClient(window.io, c, window.report); }, command);
      return say({ id: command.id, saw: 'loaded' });
    }
    case 'emit': return open.get(command.id).evaluate(args => window.client.emit(args), command.args);
    case 'close': return open.get(command.id).evaluate(() => window.client.close());
    // leave takes the page away, as a visitor who closes the tab does.
    case 'leave': return open.get(command.id).context().close();
    // reload loads the page anew, which has lost nothing but what its script knew.
    case 'reload': return open.get(command.id).reload({ waitUntil: 'domcontentloaded' });
    // text reports what the page shows.
    case 'text': {
      const text = await open.get(command.id).evaluate(() => document.body.innerText);
      return say({ id: command.id, saw: 'text', text });
    }
    default: throw new Error('unknown op ' + command.op);
  }
}

async function shut(code) {
  try { if (browser) await browser.close(); } catch (err) { /* it is gone already */ }
  process.exit(code);
}

// Commands to one page run one after the other, those to different pages at once.
const queues = new Map();
readline.createInterface({ input: process.stdin })
  .on('line', line => {
    const command = JSON.parse(line);
    const before = queues.get(command.id) || ready;
    queues.set(command.id, before.then(() => run(command)).catch(fault));
  })
  .on('close', () => Promise.all([ready, ...queues.values()]).then(() => shut(0)));
process.on('uncaughtException', fault);
