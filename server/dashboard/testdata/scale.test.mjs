import assert from 'node:assert/strict';
import test from 'node:test';
import * as s from '../assets/scale.js';

test('ticks are round and hold the value', () => {
  assert.deepEqual(s.ticks(0), { top: 1, list: [0, 1] });
  assert.deepEqual(s.ticks(NaN), { top: 1, list: [0, 1] });
  assert.deepEqual(s.ticks(100), { top: 100, list: [0, 25, 50, 75, 100] });
  assert.deepEqual(s.ticks(101), { top: 150, list: [0, 50, 100, 150] });
  assert.deepEqual(s.ticks(64 * 2 ** 20, 4, true).list.map((b) => b / 2 ** 20), [0, 16, 32, 48, 64]);
  for (let v = 0.0001; v < 1e12; v *= 1.37) {
    for (const binary of [false, true]) {
      const { top, list } = s.ticks(v, 4, binary);
      assert(top >= v * (1 - 1e-6) && top <= 2.01 * v, `${v}: ${top}`);
      assert(list.length >= 2 && list.length <= 6 && list[0] === 0, `${v}: ${list}`);
    }
  }
});
test('times are round by the clock of who reads', () => {
  assert.deepEqual(s.timeTicks(1000, 1900, 5), [1200, 1500, 1800]);
  assert.deepEqual(s.timeTicks(0, 86400, 4, 3600), [6, 12, 18, 24].map((h) => (h - 1) * 3600));
  for (const seconds of [900, 3600, 21600, 86400]) assert(s.timeTicks(12345, 12345 + seconds, 4).length <= 5);
});
const x = (i) => i, y = (v) => v;
test('a line ends where a value is not known', () => {
  assert.equal(s.line([1, 2, null, undefined, 5, null, 0], x, y), 'M0.0 1.0L1.0 2.0M4.0 5.0h0.1M6.0 0.0h0.1');
  assert.equal(s.line([], x, y), '');
});
test('so does an area', () => assert.equal(s.area([3, null, 4, 5], x, y), 'M0.0 0.0L0.0 3.0L0.0 0.0ZM2.0 0.0L2.0 4.0L3.0 5.0L3.0 0.0Z'));
test('the largest', () => {
  assert.equal(s.largest([[1, null], [3, undefined]]), 3);
  assert.equal(s.largest([]), 0);
});
test('gathered points keep what was high', () => {
  assert.deepEqual(s.gathered([1, 2, 3], 3), [1, 2, 3]);
  assert.deepEqual(s.gathered([9, 1, 7, null, null, 5, 0], 3), [9, 7, 5]);
  assert.deepEqual(s.gathered([1, null, null], 2), [1, null]);
});
