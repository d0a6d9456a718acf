'use strict';
// Clients of every dialect come, are sent to, stall and leave; the page shows what they
// counted. Pictures of all views are taken meanwhile.
const { assert, site, home, launch, open, table, tile, number, becomes, eventually, step, socketio, pusher, socktopus, device, send, pusherServer, message, sleep, main } = require('./lib');
const http = require('node:http');
const path = require('node:path');

const evil = '<img src=x onerror=alert(1)>';

// hooks takes webhooks: says no to the first request, then yes. It counts events.
const hooks = { taken: 0, refused: 0 };
http.createServer(async (req, res) => {
  let body = '';
  for await (const part of req) body += part;
  const { length } = JSON.parse(body).events;
  if (hooks.refused === 0) {
    hooks.refused += length;
    res.statusCode = 500;
  } else hooks.taken += length;
  res.end();
}).listen(site.hooks, '127.0.0.1');

const sorted = (rows) => rows.map((row) => row.join()).sort();

main(async () => {
  const browser = await launch();
  const { page, watch } = await open(browser);
  assert.equal(await page.title(), 'Overview · poosh');

  const c = await come(page);
  for (const act of [sent, theRoom, forms, stalled, views, left, webhooks]) {
    step(act.name);
    await act(page, c, browser);
  }
  watch.check();
  await browser.close();
});

// come has clients connect, and the page counts each.
async function come(page) {
  const c = { sio: [], pusher: [], socktopus: [], device: [] };
  for (const [version, way] of [['4.8.1', 'websocket'], ['4.8.1', 'websocket'], ['4.8.1', 'polling'], ['4.8.1', 'polling'], ['2.5.0', 'websocket']]) c.sio.push(await socketio(version, way, [evil]));
  for (let i = 0; i < 2; i++) c.pusher.push(await pusher(['news-of-all', 'another']));
  for (const id of ['alice', 'bob', '<b>carol']) c.socktopus.push(await socktopus(id));
  for (let i = 0; i < 2; i++) c.device.push(await device());
  await becomes('connections by kind', async () => sorted(await table(page, 'Connections by kind')), sorted([
    ['socket.io', 'websocket', 'EIO4', 2], ['socket.io', 'polling', 'EIO4', 2], ['socket.io', 'websocket', 'EIO3', 1],
    ['pusher', 'websocket', 'protocol 7', 2], ['socktopus', 'websocket', '', 3], ['push socket', 'websocket', 'EIO3', 2],
  ]));
  const [clients] = await tile(page, 'clients');
  // A client that polls has a connection or two.
  assert(number(clients) >= 10 && number(clients) <= 16, clients);
  return c;
}

// sent has each dialect's clients sent to, and the page counts sends and copies.
async function sent(page, c) {
  for (let i = 0; i < 7; i++) assert.equal(await send(evil, { i }), 5);
  for (let i = 0; i < 3; i++) await pusherServer.trigger('news-of-all', 'news', { i });
  for (let i = 0; i < 4; i++) assert(await message('alice', 'hello'));
  for (let i = 0; i < 2; i++) await c.device[0].mail(c.device[1], 'hello');
  const got = (list) => list.reduce((sum, one) => sum + one.got, 0);
  const want = { 'socket.io': [7, 35], pusher: [3, 6], socktopus: [4, 4], 'push socket': [2, 2] };
  await becomes('what clients counted', () => [c.sio, c.pusher, c.socktopus, c.device].map(got), Object.values(want).map((w) => w[1]));
  await becomes('traffic by dialect', async () => sorted((await table(page, 'Traffic by dialect')).map((r) => [r[0], r[1], r[3]])), sorted(Object.entries(want).map(([d, n]) => [d, ...n])));
  const [, sends] = await tile(page, 'sends'), [, deliveries] = await tile(page, 'deliveries');
  assert.deepEqual([number(sends), number(deliveries)], [16, 47]);
  await eventually('the top of rooms', async () => (await table(page, 'Top rooms')).some((r) => r[0] === evil));
}

// theRoom looks for a room with an awkward name, and follows what is sent to it.
async function theRoom(page, c) {
  await page.getByRole('link', { name: 'Rooms' }).click();
  await page.getByLabel('Part of the name').fill('ONERROR');
  await page.getByText('No room has such a name.').waitFor();
  await page.getByLabel('Part of the name').fill('onerror');
  await becomes('rooms found', () => table(page, 'Rooms'), [[evil, 'socket.io', '5', '']]);
  await page.getByRole('link', { name: evil }).click();
  await becomes('who is in it', async () => (await table(page, 'Who is in it')).map((r) => r[0]).sort(), c.sio.map((s) => s.id).sort());
  assert.equal(await page.title(), `Room ${evil} · poosh`);
  await page.getByLabel('show payloads').check();
  await page.getByText('Sends as they happen.').waitFor();
  const payload = { deep: [1.5, evil] }, text = JSON.stringify(payload);
  await send(evil, payload);
  await becomes('the tail', async () => (await table(page, 'What was sent to it'))[0]?.slice(1, 5), ['news', '5', text.length + ' B', text]);
  assert.equal(await page.locator('img:not([alt=""])').count(), 0, 'a name became markup');

  await page.getByRole('link', { name: c.sio[0].id }).click();
  await page.getByText('It is open.').waitFor();
  await becomes('what it is in', async () => (await table(page, 'What it is in')).map((r) => r[0]).filter((r) => r !== c.sio[0].id), [evil]);
  await page.goBack();
  await page.getByRole('heading', { name: 'Room ' + evil }).waitFor();
}

// forms sends from the page with the secret of each dialect.
async function forms(page, c) {
  await page.getByRole('link', { name: 'Send', exact: true }).click();
  const fill = async (app, fields, said) => {
    await page.locator('#app').selectOption({ label: app });
    for (const [label, text] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(text);
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByLabel('Result').getByText(said).waitFor();
  };
  const before = [c.sio[0].got, c.pusher[0].got, c.socktopus[1].got];
  await fill('socket.io', { SERVER_SECRET: site.secret, Room: evil, Event: 'news', 'Payload, JSON': '{"n": 12345678901234567890}' }, 'Handed to 5 connections.');
  assert.deepEqual((await table(page, 'By kind of connection')).map((r) => [r[1], r[2], r[3]]).sort(), [['EIO3 websocket', '1', '1'], ['EIO4 polling', '2', '2'], ['EIO4 websocket', '2', '2']]);
  await fill('pusher 3', { 'Secret of the app': site.appSecret, Channel: 'another', Event: 'news', 'Payload, JSON': '"x"' }, 'Handed to 2 connections.');
  await fill('socktopus myapp', { 'Secret of the application': site.socktopusSecret, 'Id of the connection': 'bob', 'Message, any text': 'no "JSON"' }, 'Handed to 1 connection.');
  await fill('socktopus myapp', { 'Id of the connection': 'nobody' }, 'Handed to 0 connections.');
  await fill('socket.io', { SERVER_SECRET: site.secret, Room: 'no such room', 'Payload, JSON': '1' }, 'no_such_room');
  await becomes('what was sent', () => [c.sio[0].got, c.pusher[0].got, c.socktopus[1].got], before.map((n) => n + 1));
}

// waits reports whether something waits for a client.
async function waits(id) {
  const res = await fetch(home + '/api/connections/' + id, { headers: { Authorization: 'Bearer ' + site.token } });
  return (await res.json()).open[0].waiting_bytes > 0;
}

// stalled has a client stop reading: it is named, then closed, and the page says why.
async function stalled(page) {
  await page.goto(home + '/#/');
  const slow = await socktopus('sloth');
  slow.stall();
  const content = 'x'.repeat(100000);
  let taken = 0;
  // The sockets' own buffers are filled first.
  while (!await waits('sloth')) assert(await message('sloth', content) && ++taken < 200, 'it was closed before anything waited');
  const named = async () => (await table(page, 'Slow clients')).find((r) => r[0] === 'sloth');
  await eventually('the page to name it', named);
  assert.match((await named()).at(-1), /^[\d.]+ [KM]iB$/);
  while (await message('sloth', content)) assert(++taken < 200, 'it was never closed');
  await eventually('why it was closed', async () => (await table(page, 'Closes by reason')).some((r) => r[1] === 'socktopus' && r[2] === '1'));
  const [reason] = (await table(page, 'Closes by reason')).find((r) => r[1] === 'socktopus');
  await becomes('slow clients', () => named(), undefined);
  await page.getByRole('link', { name: 'Clients' }).click();
  await page.getByLabel('Id of a connection').fill('sloth');
  await page.getByLabel('Id of a connection').press('Enter');
  await page.getByText(`It has left: ${reason}.`).waitFor();
  assert.match(reason, /slow|full|read|backlog|outbox/i);
  slow.socket.terminate();
}

// left has everybody go, and the page counts each with a reason.
async function left(page, c) {
  await page.getByRole('link', { name: 'Overview' }).click();
  const closed = async () => Object.fromEntries(['socket.io', 'pusher', 'socktopus', 'push socket'].map((d) => [d, 0]).concat(
    Object.entries(grouped(await table(page, 'Closes by reason'))).map(([d, rows]) => [d, rows.reduce((sum, r) => sum + number(r[2]), 0)])));
  const before = await closed();
  for (const one of [...c.sio, ...c.pusher, ...c.socktopus, ...c.device]) one.close();
  await becomes('connections by kind', () => table(page, 'Connections by kind'), []);
  await becomes('closes', closed, { 'socket.io': before['socket.io'] + 5, pusher: before.pusher + 2, socktopus: before.socktopus + 3, 'push socket': before['push socket'] + 2 });
  await becomes('clients', async () => (await tile(page, 'clients'))[0], '0');
}

// grouped are rows by the dialect in their second column.
function grouped(rows) {
  const by = {};
  for (const r of rows) (by[r[1]] ??= []).push(r);
  return by;
}

// webhooks has the page say that some were refused, and that all arrived in the end: that
// two channels were occupied, and that they were vacated.
async function webhooks(page) {
  await page.getByRole('link', { name: 'Webhooks' }).click();
  await becomes('webhooks', async () => [Object.fromEntries((await table(page, 'What became of events')).map((r) => [r[0], number(r[1])])), hooks.taken],
    [{ sent: 4, retried: hooks.refused }, 4]);
  await page.getByText('0 events wait, 0 B.').waitFor();
}

// views looks at each view: that nothing of it is wider than the screen, and that it is bright
// or dark as it is to be. Pictures of each are written, in light on a desk and in dark on a
// phone, and of the first in both.
async function views(_, c, browser) {
  const all = {
    overview: '', rooms: 'rooms', room: 'room?' + new URLSearchParams({ dialect: 'socket.io', app: 'poosh', room: evil }), clients: 'clients',
    connection: 'connection?' + new URLSearchParams({ id: c.sio[0].id }), tail: 'tail', send: 'send', webhooks: 'webhooks',
  };
  // What stands in a view once it was told it.
  const filled = { overview: 'figure path.line', rooms: 'tbody tr', room: 'tbody tr', connection: 'tbody tr', tail: 'tbody tr', webhooks: '#waiting:not(:empty)' };
  for (const [name, viewport, schemes] of [['desk', { width: 1280, height: 900 }, ['light', 'dark']], ['phone', { width: 360, height: 740 }, ['dark', 'light']]]) {
    const { page, watch, context } = await open(browser, { viewport, colorScheme: schemes[0] });
    for (const [view, hash] of Object.entries(all)) {
      await page.evaluate((to) => { location.hash = to; }, '#/' + hash);
      await page.locator('h1').waitFor();
      if (view === 'tail') {
        await page.getByText('Sends as they happen.').waitFor();
        await send(evil, { i: 1 });
      }
      if (filled[view]) await page.locator(filled[view]).first().waitFor({ state: 'attached' });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert(wide <= 0, `${view} on a ${name} is ${wide} px too wide`);
      for (const colorScheme of view === 'overview' ? schemes.toReversed() : [schemes[0]]) {
        await page.emulateMedia({ colorScheme });
        await picture(page, `${view}-${name}-${colorScheme}`, colorScheme);
      }
    }
    watch.check();
    await context.close();
  }
}

// picture writes one, and sees that the page is as bright as it is to be.
async function picture(page, name, colorScheme) {
  await page.screenshot({ path: path.join(site.pictures, name + '.png'), fullPage: true });
  const background = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const bright = background.match(/\d+/g).slice(0, 3).reduce((sum, n) => sum + Number(n), 0) / 3;
  assert(colorScheme === 'light' ? bright > 200 : bright < 60, `${name}: ${background}`);
}
