import assert from 'node:assert/strict';
import test from 'node:test';
import { payloadOf, Recent } from '../assets/recent.js';

const at = (i) => '2026-01-02T03:04:05.' + String(i).padStart(6, '0') + 'Z';

test('sends stand by time, however they come', () => {
  const r = new Recent();
  for (const i of [5, 3, 9, 3, 1]) r.take('r' + i, { at: at(i) });
  assert.deepEqual(r.list.map((s) => s.row), ['r9', 'r5', 'r3', 'r1']);
  r.take('r3', { at: at(3), payload: '1' });
  r.take('r3', { at: at(3) });
  assert.deepEqual(r.list.map((s) => s.payload), [undefined, undefined, '1', undefined]);
});

test('the newest are kept, and the rest is forgotten', () => {
  const r = new Recent();
  for (let i = 0; i < 300; i++) r.take('r' + i, { at: at(i) });
  r.take('r0', { at: at(0) }); // too old
  assert.deepEqual([r.list.length, r.list[0].row, r.list.at(-1).row], [200, 'r299', 'r100']);
  r.take('r99', { at: at(400) });
  assert.deepEqual([r.list.length, r.list[0].row, r.list.at(-1).row], [200, 'r99', 'r101']);
});

test('a payload is shown as it was sent, and not all of a large one', () => {
  for (const [json, want] of [
    ['{"id":"1"}', undefined], ['{"room":"payload","event":"\\"payload\\":1"}', undefined], ['{"a":{"payload":1}}', undefined],
    ['{"payload":null}', 'null'],
    ['{"event":"a\\\\","payload":{"n":12345678901234567890,"f":1.50,"payload":[1,"},]"]},"z":2}', '{"n":12345678901234567890,"f":1.50,"payload":[1,"},]"]}'],
    ['{ "payload" : "\\u003cimg\\u003e \\\\u003c \\u00e9" }', '"<img> \\\\u003c é"'],
    ['{"payload":"' + 'x'.repeat(4094) + '"}', '"' + 'x'.repeat(4094) + '"'],
    ['{"payload":"' + 'x'.repeat(4095) + '"}', '"' + 'x'.repeat(4095) + '…'],
    ['{"payload":[' + '1,'.repeat(1e6) + '1]}', ('[' + '1,'.repeat(3000)).slice(0, 4096) + '…'],
    ['{"payload":"' + '\\u003c'.repeat(4094) + '"}', '"' + '<'.repeat(4094) + '"'],
  ]) assert.equal(payloadOf(json), want, json.slice(0, 80));
});
