'use strict';
// The whole life of a device, with one version of socket.io-client on one way:
// node life.js URL VERSION polling|websocket|upgrade
const { assert, Device, connect, authorized, sleep, main } = require('./lib');

const [version, way] = process.argv.slice(3);

main(async () => {
  const alice = new Device('1');
  const bob = new Device('16380');
  const carol = new Device('7');
  await bob.register();
  await carol.register(0);

  // Refused: badly formed, not registered, time, signature; the socket stays open.
  const s = await connect(version, way);
  s.emit('authentication');
  await s.want('not authorized', { message: 'badly formed credentials' });
  s.emit('authentication', { username: alice.key, password: alice.password() });
  await s.want('not authorized', { message: 'badly formed credentials' });
  s.emit('authentication', alice.credentials());
  await s.want('not authorized', { message: 'not registered' });
  await alice.register();
  s.emit('authentication', alice.credentials(Date.now() - 70000));
  const [name, data] = await s.next();
  assert.equal(name, 'not authorized');
  assert.equal(data.message, 'time');
  assert.match(data.serverTime, /^\d{13}$/);
  s.emit('authentication', { username: alice.username, password: bob.password() });
  await s.want('not authorized', { message: 'signature' });

  // A backlog, with the server's time signed as it is; then live.
  const odd = 'caf\u00e9 \u{1F600} \u2028 "\\ <b>';
  assert.deepEqual(await bob.mail([alice, 'h1', 'one'], [alice, 'h2', odd]), {
    messagesQueued: 2, keysNotFound: [], revokedKeys: [], missingDevices: [], fullDevices: [], droppedFor: [], messagesDropped: 0,
  });
  s.emit('authentication', alice.credentials(data.serverTime));
  await s.want('authorized', null);
  const [one, two] = await s.messages('one', odd);
  assert.deepEqual([one.header, two.header], ['h1', 'h2']);
  await bob.mail([alice, 'h3', 'three']);
  const [three] = await s.messages('three');
  s.received(one);
  s.received(three);

  // Nobody else can remove what waits for alice.
  const other = await authorized(carol, version, way);
  other.received(two);
  const stranger = await connect(version, way);
  stranger.received(two);
  await sleep(300);

  // Another connection is given what is unconfirmed, with the same id, and is the
  // newest. When it goes, the first takes over.
  const again = await authorized(alice, version, way);
  assert.deepEqual(await again.messages(odd), [two]);
  await bob.mail([alice, 'h4', 'four']);
  const [four] = await again.messages('four');
  again.close();
  assert.deepEqual(await s.messages('four'), [four]);
  s.received(two);
  s.received(four);
  // Seconds are understood too.
  s.emit('authentication', alice.credentials(Math.floor(Date.now() / 1000)));
  await s.want('authorized', null);

  // Two devices: a copy each, under an id of its own.
  const res = await bob.request('POST', '/api/v1/message', { messages: [{
    headers: [{ recipient: alice.username, messageHeader: 'for alice' }, { recipient: carol.username, messageHeader: 'for carol' }], body: 'both' }] });
  assert.equal(JSON.parse(res.body).messagesQueued, 2);
  const [hers] = await s.messages('both');
  const [its] = await other.messages('both');
  assert.deepEqual([hers.header, its.header], ['for alice', 'for carol']);
  assert.notEqual(hers.id, its.id);
  s.received(hers);
  await sleep(200);
  assert.deepEqual(await (await authorized(carol, version, way)).messages('both'), [its]);

  // Keys: taken one by one, the last resort stays.
  const path = '/api/v1/key/' + encodeURIComponent(alice.key);
  for (let i = 0; i < 5; i++) assert.deepEqual(JSON.parse((await bob.request('GET', path)).body), { 1: { id: i, preKey: 'k' + i, signature: 's' } });
  for (let i = 0; i < 2; i++) assert.deepEqual(JSON.parse((await bob.request('GET', path)).body), { 1: { id: 16777215 } });
  assert.equal((await alice.request('PUT', '/api/v1/key/update/', { prekeys: [{ id: 9 }] })).status, 200);
  assert.deepEqual(JSON.parse((await bob.request('GET', path)).body), { 1: { id: 9 } });

  // Revoked.
  const removed = await alice.request('DELETE', '/api/v1/key/');
  assert.deepEqual([removed.status, removed.body], [200, 'OK']);
  await s.want('not authorized', { message: 'revoked' });
  s.emit('authentication', alice.credentials());
  await s.want('not authorized', { message: 'revoked' });
  const refused = await alice.request('DELETE', '/api/v1/key/');
  assert.deepEqual([refused.status, refused.body, refused.headers['www-authenticate']], [401, 'revoked', 'Basic realm="Authorization Required"']);
  assert.equal((await bob.request('GET', path)).status, 410);
  assert.deepEqual((await bob.mail([alice, 'h', 'too late'])).revokedKeys, [alice.username]);
  const registered = await alice.request('POST', '/api/v1/key/initial', { lastResortKey: {}, prekeys: [] });
  assert.deepEqual([registered.status, registered.body], [401, 'registered']);
});
