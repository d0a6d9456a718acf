'use strict';
const { Client, send, assert, main } = require('./lib');

main(async () => {
  const c = new Client(process.argv[3]);
  await c.opened;
  await c.synced();
  assert.equal((await send({ recipient: '12', content: 'x' })).failed.length, 0);
  await c.want('DATA:x');
});
