import assert from 'node:assert/strict';
import test from 'node:test';
import * as f from '../assets/format.js';

test('counts have all their digits', () => {
  assert.deepEqual([0, 7, 1234567, null, undefined, NaN].map(f.count), ['0', '7', '1,234,567', '–', '–', '–']);
});
test('amounts and rates', () => {
  assert.deepEqual([0, 0.5, 12.34, 999, 999.9, 1234, 123456, 9.99e6].map(f.amount), ['0', '0.5', '12.3', '999', '1 k', '1.23 k', '123 k', '9.99 M']);
  assert.deepEqual([12, null].map(f.rate), ['12/s', '–']);
});
test('bytes', () => {
  assert.deepEqual([0, 1, 1023, 1024, 1536, 67108864, 2 ** 50].map(f.bytes), ['0 B', '1 B', '1,023 B', '1 KiB', '1.5 KiB', '64 MiB', '1,024 TiB']);
  assert.equal(f.byteRate(2048), '2 KiB/s');
});
test('shares', () => assert.deepEqual([0, 0.0123, 1, null].map(f.percent), ['0 %', '1.23 %', '100 %', '–']));
test('durations', () => {
  assert.deepEqual([0, 0.0000125, 0.0125, 1.25, 75, 3600, 90061, null].map(f.seconds), ['0 s', '12.5 µs', '12.5 ms', '1.25 s', '1 min 15 s', '1 h', '1 d 1 h', '–']);
  assert.deepEqual([-1, 0, 59.9, 60, 3599, 86399].map(f.age), ['0 s', '0 s', '59 s', '1 min', '59 min 59 s', '23 h 59 min']);
});
test('times of day', () => {
  assert.match(f.clock(Date.UTC(2026, 0, 2, 3, 4, 5)), /^\d\d:\d\d:05$/);
  assert.match(f.clock(0, false), /^\d\d:\d\d$/);
  assert.equal(f.clock(NaN), '–');
});
