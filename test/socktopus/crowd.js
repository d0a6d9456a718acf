'use strict';
const { assert, join, request, send, main } = require('./lib');

const count = Number(process.argv[3]);

main(async () => {
  const began = Date.now();
  const clients = [];
  const next = async () => {
    for (let i = clients.length; i < count; i = clients.length) {
      clients.push(null);
      clients[i] = await join('c' + i);
    }
  };
  await Promise.all(Array.from({ length: 100 }, next));
  await Promise.all(clients.map((c) => c.synced()));
  console.log(`${count} clients joined and pinged in ${Date.now() - began} ms`);
  assert.match((await request('GET', '/')).body, new RegExp(`currently ${count} connected`));

  // Every client is sent to, in one request and then in many at once.
  const sending = Date.now();
  const messages = clients.map((_, i) => ({ recipient: 'c' + i, content: 'first ' + i }));
  assert.equal((await send(...messages)).succeeded.length, count);
  await Promise.all(clients.map((c, i) => c.want('DATA:first ' + i)));
  console.log(`${count} messages of one request delivered in ${Date.now() - sending} ms`);
  const many = Date.now();
  const size = 250;
  const lots = Array.from({ length: Math.ceil(count / size) }, (_, k) => messages.slice(k * size, (k + 1) * size));
  for (let round = 0; round < 10; round++) {
    await Promise.all(lots.map(async (lot) => {
      const answer = await send(...lot.map((x) => ({ recipient: x.recipient, content: round + ' ' + x.recipient })));
      assert.equal(answer.failed.length, 0);
    }));
  }
  await Promise.all(clients.map(async (c, i) => {
    for (let round = 0; round < 10; round++) await c.want(`DATA:${round} c${i}`);
  }));
  console.log(`${10 * count} messages of ${10 * lots.length} requests delivered in ${Date.now() - many} ms, in order`);

  // Some are replaced; the others stay.
  const newer = await Promise.all(clients.slice(0, 500).map((_, i) => join('c' + i)));
  await Promise.all(clients.slice(0, 500).map(async (c) => { await c.want('CLOSE'); await c.closed; }));
  await Promise.all(newer.map((c) => c.synced()));
  assert.match((await request('GET', '/')).body, new RegExp(`currently ${count} connected`));
});
