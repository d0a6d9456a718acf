import assert from 'node:assert/strict';
import test from 'node:test';
import { address, parse } from '../assets/router.js';
import { withQuery } from '../assets/ask.js';
import { Window } from '../assets/series.js';
import { written } from '../assets/send.js';
import { tailOf } from '../assets/sendlist.js';
import { whose } from '../assets/links.js';

test('an address says which view, whatever the names in it', () => {
  for (const room of ['', 'news', '<img src=x onerror=alert(1)>', '#/?&=%00+ \u202e', '\u{1F600}', '../x']) {
    assert.deepEqual(parse(address('room', { dialect: 'socket.io', app: 'poosh', room })), { view: 'room', values: { dialect: 'socket.io', app: 'poosh', room } });
  }
  assert.deepEqual(parse(address('rooms', { search: null })), { view: 'rooms', values: {} });
  for (const hash of ['', '#', '#/']) assert.deepEqual(parse(hash), { view: '', values: {} });
});
test('a query has what is known', () => assert.equal(withQuery('api/x', { a: 'b c', d: null, e: undefined, f: '', g: 0 }), 'api/x?a=b+c&f=&g=0'));

test('a window of time', () => {
  const w = new Window({ seconds: 10, step: 1 }, ['a', 'b']);
  w.add([100, 101], new Map([['a', [1, null]]]), 101);
  w.add([101, 102, 105], new Map([['a', [9, 3, 4]], ['b', [0, 5, 6]]]), 105);
  assert.deepEqual(w.times, [100, 101, 102, 103, 104, 105]);
  assert.deepEqual(w.of('a'), [1, null, 3, null, null, 4]);
  assert.deepEqual(w.of('b'), [null, null, 5, null, null, 6]);
  w.add([], new Map(), 114);
  assert.deepEqual([w.times, w.of('a'), w.of('c')], [[104, 105], [null, 4], []]);
  w.add([1e9], new Map([['a', [7]]]), 1e9);
  assert.deepEqual([w.times.length, w.times.at(-1), w.of('a').at(-1)], [11, 1e9, 7]);
  w.add([], new Map(), 2e9);
  assert.deepEqual([w.times, w.of('a')], [[], []]);
});

test('a send is what was typed', () => {
  const app = { dialect: 'pusher', app: '1', connected: 3 };
  const wants = { event: true };
  assert.equal(written({ app, wants, secret: 's"', room: 'r', event: 'e', payload: ' {"n":12345678901234567890} ' }),
    '{"dialect":"pusher","app":"1","secret":"s\\"","room":"r","event":"e","payload": {"n":12345678901234567890} }');
  assert.equal(written({ app, wants, secret: 's', room: null, event: 'e', payload: '1' }), '{"dialect":"pusher","app":"1","secret":"s","event":"e","payload":1}');
  assert.equal(written({ app, wants: { isText: true }, secret: 's', room: 'r', event: '', payload: 'a "b"' }), '{"dialect":"pusher","app":"1","secret":"s","room":"r","payload":"a \\"b\\""}');
  for (const payload of ['', '{', '1,"secret":"x"', '1}{']) assert.throws(() => written({ app, wants, secret: '', room: '', event: '', payload }), /no JSON/);
  assert.throws(() => written({ app: null, wants }), /no app/);
});

test('an app is left out where its dialect has no other, whatever others are called', () => {
  for (const [dialect, app, said, asked] of [
    ['socket.io', 'poosh', 'socket.io', null], ['push socket', 'pushsocket', 'push socket', null], ['pusher', '3', 'pusher 3', '3'],
    ['pusher', 'poosh', 'pusher poosh', 'poosh'], ['socktopus', 'pushsocket', 'socktopus pushsocket', 'pushsocket'],
    ['socktopus', 'constructor', 'socktopus constructor', 'constructor'], ['constructor', 'a', 'constructor a', 'a'],
  ]) {
    assert.equal(whose({ dialect, app }), said);
    assert.deepEqual(tailOf({ dialect, app, room: 'r' }), { dialect, app: asked, room: 'r' });
  }
  assert.deepEqual([whose({ dialect: 'socket.io' }), whose({ dialect: 'socket.io', app: '' }), tailOf(null)], ['socket.io', 'socket.io', {}]);
});
