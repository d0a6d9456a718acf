'use strict';
// Without a token ids of clients are not told, and payloads are not: each view says so where
// they would stand, and shows the rest.
const { assert, site, home, launch, Watch, table, becomes, socketio, main, step } = require('./lib');

main(async () => {
  const browser = await launch();
  const watch = new Watch();
  const page = watch.page(await (await browser.newContext()).newPage());
  watch.expected.push(/status of 403/);
  await page.goto(home + '/');
  await page.getByText('live', { exact: true }).waitFor();
  const client = await socketio('4.8.1', 'websocket', ['a room']);

  step('overview');
  await page.getByText('slow clients are shown with ADMIN_TOKEN alone', { exact: true }).waitFor();
  await becomes('connections by kind', () => table(page, 'Connections by kind'), [['socket.io', 'websocket', 'EIO4', '1']]);
  assert.equal(await page.locator('#main > .error').first().isVisible(), false);

  const view = async (name, hash, ...says) => {
    step(name);
    await page.evaluate((to) => { location.hash = to; }, '#/' + hash);
    for (const text of says) await page.getByText(text, { exact: true }).waitFor();
    assert.equal(await page.locator('#main > .error').first().isVisible(), false, name);
  };
  await view('clients', 'clients', 'slow clients are shown with ADMIN_TOKEN alone', 'clients that left are shown with ADMIN_TOKEN alone');
  await view('connection', 'connection?id=' + client.id, 'connections are shown with ADMIN_TOKEN alone');
  await view('room', 'room?dialect=socket.io&app=poosh&room=a+room', 'who is in a room is shown with ADMIN_TOKEN alone', 'Sends as they happen.');
  await view('tail', 'tail', 'Sends as they happen.');
  await page.getByLabel('show payloads').check();
  await page.getByText('payloads are shown with ADMIN_TOKEN alone', { exact: true }).waitFor();
  await view('rooms', 'rooms');
  await becomes('rooms', async () => (await table(page, 'Rooms')).map((r) => r[0]), ['a room']);
  await page.getByLabel('also clients’ own rooms').check();
  await page.getByText("clients' own rooms are shown with ADMIN_TOKEN alone", { exact: true }).waitFor();
  assert.deepEqual(await table(page, 'Rooms'), []);
  await page.getByLabel('also clients’ own rooms').uncheck();
  await becomes('rooms', async () => (await table(page, 'Rooms')).map((r) => r[0]), ['a room']);

  await view('send', 'send');
  for (const [label, text] of [['SERVER_SECRET', site.secret], ['Room', 'a room'], ['Event', 'news'], ['Payload, JSON', '1']]) await page.getByLabel(label, { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByText('events are sent from here with ADMIN_TOKEN alone', { exact: true }).waitFor();
  assert.equal(client.got, 0);
  watch.check();
  await browser.close();
});
