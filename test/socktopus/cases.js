'use strict';
const { assert, raw, token, Client, join, request, send, kick, sleep, main } = require('./lib');

const error = (code, message) => ({ status: code, type: 'application/json', body: JSON.stringify({ code, message }) });

async function refused(text, code, message) {
  const c = new Client(text);
  await assert.rejects(c.opened, undefined, message);
  assert.deepEqual(c.refused, error(code, message));
}

main(async () => {
  const now = String(Date.now());
  // Tokens: the order of checks, times, and the digit that moves from id to time.
  await refused('', 400, 'Malformed token');
  await refused('hhh', 400, 'Malformed token');
  await refused(token('1').replace('h', 'H'), 400, 'Malformed token');
  await refused(raw('+5', 'MyApp', '1', '51', 's3cret-of-myapp'), 400, 'Malformed token');
  await refused(token('1', 6000), 401, 'Token expired');
  await refused(token('1', -3600000), 401, 'Token ahead of the clock');
  await refused(raw(now + '1', 'MyApp', '2', now + '12', 's3cret-of-myapp'), 401, 'Token ahead of the clock');
  await refused(token('1', 0, 'nobody'), 404, 'Secret not found');
  await refused(token('1', 0, 'MyApp', 'wrong'), 401, 'Invalid signature');
  for (const path of ['/recieve', '/receive']) {
    const c = new Client(token('path', 4000), path);
    await c.opened;
    await c.synced();
    c.socket.close(4001);
    assert.equal(await c.closed, 4001);
  }
  const ahead = await join('ahead', -2000);
  await ahead.synced();
  // Reuse within the five seconds is allowed.
  const text = token('again');
  for (let i = 0; i < 2; i++) {
    const c = new Client(text);
    await c.opened;
    await c.synced();
    c.socket.terminate();
  }

  // Frames.
  const talker = await join('talker');
  for (const ignored of ['ping', '', 'PING ', 'DATA:x', 'PONG']) talker.send(ignored);
  await talker.synced();
  talker.send('CLOSE');
  await talker.want('CLOSE');
  assert.equal(await talker.closed, 1000);
  const binary = await join('binary');
  binary.socket.send(Buffer.from('PING'));
  await binary.want('CLOSE');
  assert.equal(await binary.closed, 1000);

  // Messages, to whoever is there, under any spelling of the name.
  const one = await join('1', 0, 'MYAPP');
  const two = await join('caf\u00e9', 0, 'myapp');
  const empty = await join('');
  const other = await join('1', 0, 'Other', '0ther-secret');
  for (const c of [one, two, empty, other]) await c.synced();
  const m = (recipient, content) => ({ recipient, content });
  const messages = [m('1', 'a'), m('nobody', 'x'), m('caf\u00e9', '\u{1F600} <b>'), m('1', ''), m('', 'none'), m('1', 'CLOSE')];
  assert.deepEqual(await send(...messages), { succeeded: messages.filter((x) => x.recipient !== 'nobody'), failed: [messages[1]] });
  await one.want('DATA:a', 'DATA:', 'DATA:CLOSE');
  await two.want('DATA:\u{1F600} <b>');
  await empty.want('DATA:none');
  await other.synced(); // and nothing before
  // Sixteen sends at once, with pings: the original's process ended.
  await Promise.all(Array.from({ length: 16 }, (_, i) => { one.send('PING'); return send(m('1', String(i))); }));
  const got = [];
  for (let i = 0; i < 32; i++) got.push(await one.next());
  assert.equal(got.filter((f) => f === 'PONG').length, 16);
  assert.deepEqual(got.filter((f) => f !== 'PONG').sort(), Array.from({ length: 16 }, (_, i) => 'DATA:' + i).sort());

  // Replacement: the old one goes, the new one stays.
  const newer = await join('1');
  await one.want('CLOSE');
  assert.equal(await one.closed, 1000);
  await sleep(100);
  assert.equal((await send(m('1', 'new'))).failed.length, 0);
  await newer.want('DATA:new');

  // Requests.
  const good = '"secretName":"MyApp","secret":"s3cret-of-myapp"';
  for (const [method, path, body, want] of [
    ['POST', '/send', '{', error(400, 'Malformed request')],
    ['POST', '/send', `{${good},"x":1}`, error(400, 'Malformed request')],
    ['POST', '/send', `{${good},"messages":[{"x":1}]}`, error(400, 'Malformed request')],
    ['POST', '/send', `{${good},"Secret":"x"}`, error(400, 'Malformed request')],
    ['POST', '/send', '{"secretName":"nobody"}', error(404, 'Secret not found')],
    ['POST', '/kick', '{"secretName":"myapp","secret":"x"}', error(401, 'Invalid secret')],
    ['POST', '/send', `{${good}} and more`, { status: 200, type: 'application/json', body: '{"succeeded":[],"failed":[]}' }],
    ['POST', '/kick', `{${good},"connections":["nobody"]}`, { status: 200, type: 'application/json', body: '200' }],
    ['GET', '/send', undefined, error(405, 'Method not allowed')],
    ['OPTIONS', '/kick', undefined, error(405, 'Method not allowed')],
    ['GET', '/unknown', undefined, error(404, 'Not found')],
    ['GET', '/recieve', undefined, error(400, 'Malformed token')],
    ['GET', '/recieve?token=' + token('1'), undefined, error(426, 'WebSocket upgrade required')],
  ]) assert.deepEqual(await request(method, path, body), want, `${method} ${path} ${body}`);
  const home = await request('GET', '/');
  assert.equal(home.status, 200);
  assert.match(home.body, /There are currently \d+ connected client\(s\)/);
  assert.match(home.body, /<li>myapp<\/li>\s*<li>other<\/li>/);

  // Kick with a token that has expired: at once.
  const old = await join('old', 4900);
  await sleep(200);
  const took = await kick('old', 'nobody');
  assert(took < 2000, `${took} ms`);
  await old.want('CLOSE');

  // The deadline, 2 s here: only PING renews it, whatever else is said.
  const began = Date.now();
  const quiet = await join('quiet');
  const pinger = await join('pinger');
  const speaking = setInterval(() => { quiet.send('hello'); quiet.socket.ping(); pinger.send('PING'); }, 300);
  await quiet.want('CLOSE');
  assert.equal(await quiet.closed, 1000);
  const stayed = Date.now() - began;
  assert(stayed > 1900 && stayed < 5000, `${stayed} ms`);
  await sleep(1500);
  assert.equal(pinger.code, undefined);
  clearInterval(speaking);
});
