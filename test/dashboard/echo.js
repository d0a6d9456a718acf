'use strict';
// The form sends to pages with Laravel Echo, by the HTTP API and a key of it, and says what that answers.
const { assert, home, launch, open, socketio, table, becomes, main, step } = require('./lib');

const [port, key] = process.argv.slice(3);

main(async () => {
  const browser = await launch();
  const { page, watch } = await open(browser);
  const client = await socketio('4.8.1', 'websocket', [], port);
  const got = [];
  client.socket.on('App\\Events\\Paid', (...args) => got.push(args));
  client.socket.emit('subscribe', { channel: 'orders', auth: { headers: {} } });

  step('a wrong key');
  await page.goto(home + '/#/send');
  await page.locator('#app').selectOption({ label: 'echo' });
  const fill = async (fields) => {
    for (const [label, text] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(text);
    await page.getByRole('button', { name: 'Send' }).click();
  };
  watch.expected.push(/status of 403.*api\/send$/);
  await fill({ 'Key of ECHO_KEYS': 'another-key', Channel: 'orders', Event: 'App\\Events\\Paid', 'Payload, JSON': '{"n":1}' });
  await page.getByText('the secret is not that of the app').waitFor();

  step('an event');
  await fill({ 'Key of ECHO_KEYS': key, 'Payload, JSON': '{"n":2}' });
  await page.getByLabel('Result').getByText('Handed to 1 connection.').waitFor();
  assert.deepEqual((await table(page, 'By kind of connection'))[0].slice(0, 4), ['echo', 'EIO4 websocket', '1', '1']);
  await becomes('what came', () => got, [['orders', { n: 2 }]]);

  step('nobody');
  await fill({ Channel: 'nobody-is-here' });
  await page.getByLabel('Result').getByText('Handed to 0 connections.').waitFor();
  await page.getByLabel('Result').getByText('no_such_room').waitFor();
  await fill({ 'Payload, JSON': 'null' });
  await page.getByLabel('Result').getByText('It answered 400.').waitFor();
  assert.equal(got.length, 1);
  client.close();
  watch.check();
  await browser.close();
});
