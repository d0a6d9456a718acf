'use strict';
// The server goes away and comes back; the page says so each time and needs nobody. What
// it is to do is told to who runs this, a word a line, and an answer says that it is done.
const path = require('node:path');
const { assert, site, launch, open, tile, becomes, step, socketio, socktopus, message, main } = require('./lib');
const readline = require('node:readline');

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function tell(word) {
  step(word);
  process.stdout.write(word + '\n');
  assert.equal((await answers.next()).value, 'done');
}

main(async () => {
  const browser = await launch();
  const { page, watch } = await open(browser);
  watch.expected.push(/ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED_ENCODING|status of 503/);
  const notice = page.locator('#notice');
  await socketio('4.8.1', 'websocket');
  await becomes('clients', async () => (await tile(page, 'clients'))[0], '1');

  const picture = (name) => page.screenshot({ path: path.join(site.pictures, name + '.png') });
  await tell('kill');
  await page.getByText('connection lost', { exact: true }).waitFor();
  assert.match(await notice.textContent(), /^No connection to the server: .*tries again by itself/);
  await picture('lost');
  await tell('restart');
  await page.getByText('live', { exact: true }).waitFor();
  assert.equal(await notice.isVisible(), false);
  await becomes('clients', async () => (await tile(page, 'clients'))[0], '0');

  // A stopped process holds its connections, and says nothing.
  await tell('stop');
  await page.getByText('connection lost', { exact: true }).waitFor();
  await tell('go on');
  await page.getByText('live', { exact: true }).waitFor();

  // It ends, and waits for a client that takes nothing.
  const slow = await socktopus('sloth');
  slow.stall();
  for (let i = 0; i < 40; i++) if (!await message('sloth', 'x'.repeat(100000))) break;
  const slower = await socktopus('slower');
  slower.stall();
  for (let i = 0; i < 4; i++) await message('slower', 'x'.repeat(100000));
  await tell('terminate');
  await page.getByText('draining', { exact: true }).waitFor();
  assert.match(await notice.textContent(), /^The server ends/);
  await picture('draining');
  for (const client of [slow, slower]) client.socket.terminate(); // nobody has to be waited for any more
  await page.getByText('connection lost', { exact: true }).waitFor();
  watch.check();
  await browser.close();
});
