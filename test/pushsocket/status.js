'use strict';
// What clients' HTTP libraries make of the status that says no prekeys are left:
// node status.js URL 205|200
const { assert, base, Device, main } = require('./lib');
const { execFileSync } = require('node:child_process');

const want = Number(process.argv[3]);

main(async () => {
  const device = new Device();
  const res = await device.request('POST', '/api/v1/key/initial', { lastResortKey: { id: 1 }, prekeys: [] });
  assert.deepEqual([res.status, res.body], [want, want === 205 ? 'Reset Content' : 'OK']);
  const path = '/api/v1/key/' + encodeURIComponent(device.key);
  const body = '{"1":{"id":1}}';
  const node = await device.request('GET', path);
  assert.deepEqual([node.status, node.body, node.headers['prekeys-left']], [want, body, '0']);
  // A kept-alive connection stays in step behind such an answer.
  const curl = execFileSync('curl', ['-sS', '-w', ' %{http_code}\n', '-H', 'Authorization: ' + device.authorization(), base + path, base + path]).toString();
  assert.equal(curl, `${body} ${want}\n`.repeat(2));
  const fetched = await fetch(base + path, { headers: { Authorization: device.authorization() } });
  const text = await fetched.text().catch((err) => 'error: ' + err.message);
  console.log(`${want}: fetch gives status ${fetched.status} and the body ${JSON.stringify(text)}`);
  if (want === 200) assert.equal(text, body);
});
