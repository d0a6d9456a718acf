'use strict';
// A backlog of many times what an outbox holds, on one way:
// node backlog.js URL VERSION polling|websocket|upgrade
const { assert, Device, authorized, main } = require('./lib');

const [version, way] = process.argv.slice(3);
const count = 200;

main(async () => {
  const alice = new Device();
  await alice.register();
  const filler = 'x'.repeat(60000);
  for (let i = 0; i < count; i++) {
    const { messagesQueued } = await alice.mail([alice, 'h', i + ' ' + filler]);
    assert.equal(messagesQueued, 1);
  }
  const s = await authorized(alice, version, way);
  for (let i = 0; i < count; i++) {
    const [name, data] = await s.next();
    assert.equal(name, 'message', `${i}: ${name} ${data}`);
    assert.equal(data.body, i + ' ' + filler);
    s.received(data);
  }
  await alice.mail([alice, 'h', 'live']);
  await s.messages('live');
});
