'use strict';
const { assert, join, main, send } = require('./lib');

main(async () => {
  const c = await join('1');
  await c.synced();
  await send({ recipient: '1', content: 'last' });
  console.log('ready');
  assert.equal(await c.closed, 1001);
  assert.deepEqual(c.frames, ['DATA:last']);
});
