'use strict';
const { assert, token, Client, join, request, send, kick, main, sleep } = require('./lib');

main(async () => {
  const made = Date.now(); // no token is older
  const victim = await join('v');
  const others = await Promise.all(Array.from({ length: 8 }, (_, i) => join('o' + i)));
  const pings = setInterval(() => { for (const c of [victim, ...others]) if (c.code === undefined) c.send('PING'); }, 20);
  let over = false;
  const first = kick('v').then(() => {
    over = true;
    assert(Date.now() - made >= 5000, 'answered before the token had expired');
  });
  const kicks = Promise.all([first, ...others.slice(0, 4).map((_, i) => kick('o' + i))]);
  // A kick is under way once nobody would be let in, which is told without coming in.
  while ((await request('GET', '/recieve?token=' + token('v'))).status !== 403) await sleep(5);
  // Nobody comes back during the wait, whatever token; messages still arrive.
  let tries = 0;
  while (!over) {
    const c = new Client(token('v'));
    const joined = await c.opened.then(() => true, () => false);
    if (joined) {
      assert(Date.now() - made >= 5000, 'joined during the wait');
      await first; // its answer is on its way
    }
    if (!joined) { assert.equal(c.refused.status, 403); tries++; }
    else c.socket.terminate();
    await sleep(20);
    if (tries === 10) assert.equal((await send({ recipient: 'v', content: 'x' })).failed.length, 0);
  }
  await kicks;
  const took = Date.now() - made;
  assert(took >= 5000 && took < 8000, `${took} ms`);
  assert(tries > 20, `${tries} tries`);
  clearInterval(pings);
  // The answer to /kick may overtake the last frames on their way.
  await Promise.all([victim, ...others.slice(0, 4)].map((c) => c.closed));
  assert((victim.frames.includes('DATA:x')) && victim.frames.at(-1) === 'CLOSE', victim.frames.slice(-3));
  // A token made before the kick does not bring it back after it either.
  for (const c of others.slice(0, 4)) assert.equal(c.frames.at(-1), 'CLOSE');
  for (const c of others.slice(4)) assert.equal(c.code, undefined);
  const back = await join('v');
  await back.synced();
});
