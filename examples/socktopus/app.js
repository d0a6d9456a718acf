'use strict';
// An application with Socktopus: it serves a page and makes tokens for it.
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const name = 'demo';
const secret = process.env.DEMO_SOCKTOPUS_SECRET;
const server = process.env.SOCKTOPUS_URL || 'http://localhost:8080';
const port = process.env.APP_PORT || 3000;
if (!secret) {
  console.error('set DEMO_SOCKTOPUS_SECRET to the secret that Poosh was started with');
  process.exit(1);
}

// token lets whoever has it join as id during the next five seconds.
function token(id) {
  const time = String(Date.now());
  const signature = crypto.createHmac('sha256', secret).update(time + id).digest('hex');
  const hex = (text) => Buffer.from(text).toString('hex');
  return [hex(time), hex(name), hex(id), signature].join('h');
}

http.createServer((req, res) => {
  const url = new URL(req.url, 'http://localhost');
  if (url.pathname === '/token') {
    // A real application asks here who is logged in, and takes the id from there.
    const id = url.searchParams.get('id') || 'guest';
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify({ url: `${server.replace(/^http/, 'ws')}/recieve?token=${token(id)}` }));
  } else if (url.pathname === '/') {
    res.setHeader('Content-Type', 'text/html; charset=utf-8');
    res.end(fs.readFileSync(path.join(__dirname, 'index.html')));
  } else {
    res.statusCode = 404;
    res.end();
  }
}).listen(port, '127.0.0.1', () => console.log(`http://localhost:${port}/?id=alice`));
