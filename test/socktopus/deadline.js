'use strict';
const { assert, join, sleep, main } = require('./lib');

main(async () => {
  const began = Date.now();
  const quiet = await join('quiet');
  const wild = await join('wild');
  setTimeout(() => wild.send('PING'), 19000);
  await quiet.want('CLOSE');
  const stayed = Date.now() - began;
  assert(stayed >= 20000 && stayed < 23000, `${stayed} ms`);
  await wild.want('PONG');
  await sleep(3000);
  assert.equal(wild.code, undefined);
});
