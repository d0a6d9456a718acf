'use strict';
const { assert, join, send, sleep, main } = require('./lib');

main(async () => {
  const slow = await join('slow');
  await slow.synced();
  slow.socket.pause(); // reads nothing any more
  const content = 'x'.repeat(500000);
  let failed = 0;
  let sent = 0;
  while (failed === 0 && sent < 200) {
    const began = Date.now();
    failed = (await send({ recipient: 'slow', content })).failed.length;
    assert(Date.now() - began < 2000, 'the slow client held up a sender');
    sent++;
    // Others join and are sent to at once.
    const quick = await join('quick' + sent);
    assert.equal((await send({ recipient: 'quick' + sent, content: 'y' })).failed.length, 0);
    await quick.want('DATA:y');
    assert(Date.now() - began < 3000, 'the slow client held up a join');
    quick.socket.terminate();
  }
  console.log(`closed as a slow reader after ${sent} messages of 500 KB`);
  assert.equal(failed, 1);
  await sleep(200);
  const back = await join('slow');
  assert.equal((await send({ recipient: 'slow', content: 'z' })).failed.length, 0);
  await back.want('DATA:z');
});
