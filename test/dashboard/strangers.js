'use strict';
// Who has no token, a wrong one, or comes with a page of elsewhere.
const { assert, site, home, launch, open, socketio, becomes, sleep, main } = require('./lib');
const http = require('node:http');

const paths = ['/', '/assets/main.js', '/assets/style.css', '/api/overview', '/api/stream', '/api/rooms'];

main(async () => {
  const browser = await launch();
  await tokens(browser);
  await elsewhere(browser);
  await slowed();
  await browser.close();
});

// tokens: none and a wrong one get nothing, the right one gets the page.
async function tokens(browser) {
  for (const path of paths) {
    const res = await fetch(home + path);
    const text = await res.text();
    assert.equal(res.status, 401, path);
    assert(!text.includes('<') && res.headers.get('www-authenticate').includes('Basic'), path);
  }
  for (const credentials of [undefined, { username: 'operator', password: 'the-token-of-somebody' }]) {
    const context = await browser.newContext({ httpCredentials: credentials });
    const page = await context.newPage();
    // Chromium shows a page of its own where a user would be asked, and did not answer.
    const res = await page.goto(home + '/').catch((err) => err);
    assert(res instanceof Error ? /INVALID_AUTH|HTTP_RESPONSE/.test(res.message) : res.status() === 401, String(res));
    assert.equal(await page.locator('#main').count(), 0);
    await context.close();
  }
  for (const username of ['operator', 'anybody', '']) {
    const res = await fetch(home + '/', { headers: { Authorization: 'Basic ' + Buffer.from(username + ':' + site.token).toString('base64') } });
    assert.equal(res.status, 200, username);
  }
  const bearer = await fetch(home + '/', { headers: { Authorization: 'Bearer ' + site.token } });
  assert.equal(bearer.status, 200);
  const { watch, context } = await open(browser);
  watch.check();
  await context.close();
}

// elsewhere: a page of another origin, in a browser that knows the token, reads nothing
// and sends nothing.
async function elsewhere(browser) {
  const other = http.createServer((req, res) => res.setHeader('Content-Type', 'text/html').end('<!doctype html><title>elsewhere</title><body></body>'));
  await new Promise((done) => other.listen(0, '127.0.0.1', done));
  const client = await socketio('4.8.1', 'websocket', ['r']);
  const { context } = await open(browser);
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  const body = JSON.stringify({ dialect: 'socket.io', app: 'poosh', secret: site.secret, room: 'r', event: 'news', payload: 1 });
  const statuses = [];
  page.on('response', (res) => { if (res.url().startsWith(home)) statuses.push([new URL(res.url()).pathname, res.status()]); });
  const did = await page.evaluate(async ({ home, body, paths }) => {
    const did = {};
    const tries = (name, act) => act().then((what) => { did[name] = what; }, () => { did[name] = 'refused'; });
    for (const path of paths) {
      await tries('read ' + path, async () => (await fetch(home + path, { credentials: 'include' })).text());
      await tries('look at ' + path, async () => (await fetch(home + path, { credentials: 'include', mode: 'no-cors' })).text());
    }
    await tries('post', async () => (await fetch(home + '/api/send', { method: 'POST', body, credentials: 'include', headers: { 'Content-Type': 'application/json' } })).text());
    await tries('post without asking', async () => (await fetch(home + '/api/send', { method: 'POST', body, credentials: 'include', mode: 'no-cors' })).text());
    const element = (tag, attributes) => new Promise((done, fail) => {
      const at = Object.assign(document.createElement(tag), attributes, { onload: done, onerror: fail });
      document.body.append(at);
      setTimeout(() => fail(new Error('nothing')), 20000);
    });
    await tries('script', () => element('script', { src: home + '/assets/main.js', type: 'module', crossOrigin: 'use-credentials' }).then(() => 'loaded'));
    await tries('style', () => element('link', { href: home + '/assets/style.css', rel: 'stylesheet' }).then(() => 'loaded'));
    await tries('image', () => element('img', { src: home + '/assets/favicon.svg' }).then(() => 'loaded'));
    await tries('stream', () => new Promise((done, fail) => {
      const stream = new EventSource(home + '/api/stream', { withCredentials: true });
      stream.onopen = () => done('opened');
      stream.onerror = () => { stream.close(); fail(); };
    }));
    const frame = Object.assign(document.createElement('iframe'), { src: home + '/', name: 'frame' });
    document.body.append(frame);
    await new Promise((done) => { frame.onload = done; setTimeout(done, 20000); });
    return did;
  }, { home, body, paths });
  for (const [what, got] of Object.entries(did)) assert.equal(got, 'refused', what);
  const frame = page.frame({ name: 'frame' });
  assert.equal(await frame?.locator('#main').count() ?? 0, 0, 'the page is in a frame');
  assert(statuses.every(([, status]) => status === 403 || status === 401), JSON.stringify(statuses));

  // A form needs no permission to be sent.
  await page.evaluate(({ home, body }) => {
    const form = Object.assign(document.createElement('form'), { method: 'post', action: home + '/api/send', enctype: 'text/plain' });
    const [name, value] = [body.slice(0, 20), body.slice(20)];
    form.append(Object.assign(document.createElement('input'), { name, value }));
    document.body.append(form);
    form.submit();
  }, { home, body });
  await becomes('the form', () => statuses.some(([path, status]) => path === '/api/send' && status === 403), true);
  await sleep(300);
  assert.equal(client.got, 0, 'a page of elsewhere has sent');

  // But a link may lead to the dashboard.
  const link = await context.newPage();
  await link.goto(`http://127.0.0.1:${other.address().port}/`);
  await link.evaluate((to) => { location.href = to; }, home + '/');
  await link.getByText('live', { exact: true }).waitFor();
  client.close();
  other.close();
  await context.close();
}

// slowed: who guesses is not looked at any more, and the token is not in an answer.
async function slowed() {
  let status = 401, tries = 0;
  for (; status === 401 && tries < 30; tries++) {
    const res = await fetch(home + '/', { headers: { Authorization: 'Bearer the-token-of-guess-' + tries } });
    status = res.status;
    if (status === 429) assert(Number(res.headers.get('retry-after')) > 0);
  }
  assert.equal(status, 429);
  assert(tries > 3 && tries < 20, `${tries} guesses`);
}
