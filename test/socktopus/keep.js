'use strict';
const { assert, join, main, send, sleep } = require('./lib');

// What waits does so for five seconds. A machine that stands still for longer tries again.
const patience = 4000;

// sent sends one message and says under which heading it is answered.
async function sent(recipient, content) {
  const answer = await send({ recipient, content });
  const under = Object.keys(answer).filter((heading) => answer[heading].length > 0);
  assert.deepEqual(under.map((heading) => answer[heading]), [[{ recipient, content }]]);
  return under[0];
}

// comesBack has a client leave and return, and says whether that was in time.
async function comesBack(id, leave) {
  const first = await join(id);
  await first.synced();
  const began = Date.now();
  const late = () => Date.now() - began > patience;
  leave(first);
  // What is sent before the server knows is not kept.
  const missed = [];
  for (let i = 0; missed.length < 3; i++) {
    const under = await sent(id, 'm' + i);
    if (late()) return false;
    if (under === 'kept') {
      missed.push('DATA:m' + i);
      continue;
    }
    assert.deepEqual([under, missed], ['succeeded', []]);
    await sleep(5);
  }
  const again = await join(id);
  if (late()) return false;
  await again.want(...missed);
  assert.equal(await sent(id, 'live'), 'succeeded');
  await again.want('DATA:live');
  await again.synced();
  // It is given once.
  const third = await join(id);
  await third.synced();
  return true;
}

main(async () => {
  assert.equal(await sent('nobody', 'x'), 'failed');
  for (const [name, leave] of [['lost', (c) => c.socket.terminate()], ['closed', (c) => c.socket.close(1001)]]) {
    let tries = 0;
    while (!await comesBack(name + tries, leave)) assert.ok(++tries < 5, 'this machine is too slow');
  }
  // Nothing waits for who has asked for the end.
  const c = await join('done');
  c.send('CLOSE');
  await c.closed;
  let under;
  do under = await sent('done', 'x'); while (under === 'succeeded');
  assert.equal(under, 'failed');
});
