'use strict';
// The address may ask for what is no view, or have the password in it; answers that are
// overtaken say nothing, and a stream that is not open is not said to be.
const { assert, site, home, launch, open, Watch, table, becomes, eventually, socketio, sleep, main, step } = require('./lib');

main(async () => {
  const browser = await launch();
  const { page, watch } = await open(browser);

  for (const name of ['constructor', '__proto__', 'nothing']) {
    step(name);
    await page.evaluate((to) => { location.hash = to; }, '#/' + name);
    await page.getByRole('heading', { name: 'There is no such view' }).waitFor();
    await page.evaluate(() => { location.hash = '#/rooms'; });
    await page.getByRole('heading', { name: 'Rooms' }).waitFor();
  }
  await overtaken(page);
  await connecting(page);
  watch.check();

  step('password in the address');
  const other = new Watch();
  const named = other.page(await (await browser.newContext()).newPage());
  await named.goto(home.replace('//', `//operator:${site.token}@`) + '/');
  await named.getByText('live', { exact: true }).waitFor();
  other.requests = other.requests.map((url) => url.replace(/\/\/.*@/, '//'));
  other.check();
  await browser.close();
});

// overtaken has a search answered with a fault after the next one was answered well.
async function overtaken(page) {
  step('overtaken');
  await socketio('4.8.1', 'websocket', ['ab']);
  let late = 0;
  await page.route(/api\/rooms\?search=a&/, async (route) => {
    await sleep(1500);
    late++;
    await route.fulfill({ status: 500, body: '{"error": "too late"}' }).catch(() => {}); // nobody waits for it
  });
  await page.getByLabel('Part of the name').fill('a');
  await page.waitForRequest(/api\/rooms\?search=a&/);
  await page.getByLabel('Part of the name').fill('ab');
  await becomes('rooms', async () => (await table(page, 'Rooms')).map((r) => r[0]), ['ab']);
  await becomes('the late answer', () => late, 1);
  await sleep(300);
  assert.equal(await page.locator('#main > .error').isVisible(), false);
}

// connecting asks for another stream of sends, which is late.
async function connecting(page) {
  step('connecting');
  await page.evaluate(() => { location.hash = '#/tail'; });
  const follows = page.getByText('Sends as they happen.');
  await follows.waitFor();
  let answer;
  await page.route(/api\/tail\?payload=1/, (route) => { answer = () => route.continue(); });
  await page.getByLabel('show payloads').check();
  await page.getByText('connecting', { exact: true }).waitFor();
  for (const name of ['Pause', 'Go on']) await page.getByRole('button', { name }).click();
  assert.equal(await follows.count(), 0);
  await eventually('the request', () => answer);
  answer();
  await follows.waitFor();
}
