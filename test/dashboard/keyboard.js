'use strict';
// Search, room, connection, back, and the form that sends: by keyboard alone. Alt with an
// arrow is not the page's but the browser's, which has no keys where it has no window.
const { assert, site, launch, open, becomes, eventually, step, table, socketio, sleep, main } = require('./lib');

// focused says what has the focus, and whether that can be seen.
const focused = (page) => page.evaluate(() => {
  const at = document.activeElement;
  const shown = at.matches('.choice input') ? at.nextElementSibling : at;
  const style = getComputedStyle(shown), box = shown.getBoundingClientRect();
  return { text: (at.getAttribute('aria-label') ?? at.labels?.[0]?.innerText ?? at.textContent).trim(), tag: at.tagName,
    seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && box.width > 4 && box.height > 4 };
});

// tab presses Tab until something has the focus; all on the way is seen to have it.
async function tab(page, tag, text) {
  const passed = [];
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press('Tab');
    const at = await focused(page);
    passed.push(at.tag + ' ' + at.text);
    assert(at.tag === 'BODY' || at.seen, `nobody sees that ${at.tag} ${at.text} has the focus`);
    if (at.tag === tag && at.text === text) return passed;
  }
  assert.fail(`Tab does not lead to ${tag} ${text}, but over ${passed.join(', ')}`);
}

async function heading(page, text) {
  await page.getByRole('heading', { level: 1, name: text, exact: true }).waitFor();
  await becomes('the focus', async () => (await focused(page)).tag, 'H1');
}

main(async () => {
  const browser = await launch();
  const { page, watch } = await open(browser);
  const client = await socketio('4.8.1', 'websocket', ['a room', 'another']);

  step('head');
  // The first thing is the way past the head.
  assert.deepEqual(await tab(page, 'A', 'Skip to the content'), ['A Skip to the content']);
  await page.keyboard.press('Enter');
  assert.equal((await focused(page)).tag, 'MAIN');

  step('plot');
  // A window of time, with the arrows; a plot, read with the arrows.
  await tab(page, 'INPUT', '15 min');
  await page.keyboard.press('ArrowRight');
  assert.equal((await focused(page)).text, '1 h');
  await page.keyboard.press('ArrowLeft');
  await tab(page, 'DIV', 'Connections and open files, over time');
  const plot = page.getByRole('slider', { name: 'Connections and open files' });
  await eventually('two points', async () => Number(await plot.getAttribute('aria-valuemax')) >= 1);
  await page.keyboard.press('Home');
  const first = await plot.getAttribute('aria-valuetext');
  await page.keyboard.press('ArrowRight');
  const second = await plot.getAttribute('aria-valuetext');
  assert.match(first, /^\d\d:\d\d:\d\d: clients \d+, senders \d+, open files \d+$/);
  assert.notEqual(second, first);

  step('search');
  // From the search to a room, to who is in it, and back.
  await page.reload();
  await page.getByText('live', { exact: true }).waitFor();
  await tab(page, 'A', 'Rooms');
  await page.keyboard.press('Enter');
  await heading(page, 'Rooms');
  await tab(page, 'INPUT', 'Part of the name');
  await page.keyboard.type('a room');
  await becomes('rooms', async () => (await table(page, 'Rooms')).map((r) => r[0]), ['a room']);
  await tab(page, 'A', 'a room');
  await page.keyboard.press('Enter');
  await heading(page, 'Room a room');
  await page.getByRole('link', { name: client.id }).waitFor();
  await tab(page, 'A', client.id);
  // The table is written anew meanwhile, which must not take the focus away.
  await sleep(2500);
  assert.equal((await focused(page)).text, client.id);
  await page.keyboard.press('Enter');
  await heading(page, 'Connection ' + client.id);
  await page.goBack();
  await heading(page, 'Room a room');
  await page.goBack();
  await heading(page, 'Rooms');
  await becomes('the search', () => page.getByLabel('Part of the name').inputValue(), 'a room');
  await page.goForward();
  await heading(page, 'Room a room');

  step('form');
  // The form: prefilled with the room.
  await tab(page, 'A', 'Send to it');
  await page.keyboard.press('Enter');
  await heading(page, 'Send an event');
  await tab(page, 'INPUT', 'SERVER_SECRET');
  await page.keyboard.type('not the secret, at all');
  await tab(page, 'INPUT', 'Event');
  await page.keyboard.type('news');
  await tab(page, 'TEXTAREA', 'Payload, JSON');
  await page.keyboard.type('{"by": "keyboard"');
  await tab(page, 'BUTTON', 'Send');
  await page.keyboard.press('Enter');
  await page.getByText('The payload is no JSON').waitFor();
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('End');
  await page.keyboard.type('}');
  await tab(page, 'BUTTON', 'Send');
  watch.expected.push(/status of 403/);
  await page.keyboard.press('Enter');
  await becomes('the refusal', async () => /secret/i.test(await page.getByRole('alert').last().textContent()), true);
  assert.equal(client.got, 0);
  for (let i = 0; i < 20 && (await focused(page)).text !== 'SERVER_SECRET'; i++) await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Control+A');
  await page.keyboard.type(site.secret);
  await page.keyboard.press('Enter');
  await page.getByText('Handed to 1 connection.').waitFor();
  assert.equal((await focused(page)).text, 'Result');
  await becomes('the client', () => client.got, 1);
  assert.deepEqual((await table(page, 'By kind of connection'))[0].slice(0, 4), ['socket.io', 'EIO4 websocket', '1', '1']);

  step('secret');
  // The secret is nowhere but in its field, which goes with the view.
  assert.equal(await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state])),
    '[{},{},"",' + JSON.stringify(page.url()) + ',null]');
  await page.goBack();
  await heading(page, 'Room a room');
  await page.goForward();
  await heading(page, 'Send an event');
  assert.equal(await page.getByLabel('SERVER_SECRET').inputValue(), '');
  assert(!watch.requests.some((url) => url.includes(site.secret)), 'the secret is in an address');
  watch.check();
  await browser.close();
});
