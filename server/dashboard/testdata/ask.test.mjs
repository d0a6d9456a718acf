import assert from 'node:assert/strict';
import test from 'node:test';
import { poll, Refusal } from '../assets/ask.js';
import { told } from '../assets/told.js';

// What a browser has and Node.js has not.
globalThis.document = Object.assign(new EventTarget(), { hidden: false });

const soon = () => new Promise((done) => setTimeout(done, 20));

test('nothing is asked for while nobody looks', async () => {
  const stop = new AbortController();
  let asked = 0;
  document.hidden = true;
  const now = poll(1, stop.signal, async () => { asked++; });
  await soon();
  now();
  await soon();
  assert.equal(asked, 0);
  document.hidden = false;
  document.dispatchEvent(new Event('visibilitychange'));
  await soon();
  assert(asked > 0);
  stop.abort();
});

test('what is not told is refused, and a fault stays one', async () => {
  const whys = [];
  const refuse = (why) => whys.push(why);
  assert.equal(await told(Promise.resolve(7), refuse), 7);
  assert.equal(await told(Promise.reject(new Refusal(403, 'with a token alone')), refuse), undefined);
  assert.deepEqual(whys, ['with a token alone']);
  for (const err of [new Refusal(503, 'busy'), new Refusal(0, 'away'), new TypeError('x')]) await assert.rejects(told(Promise.reject(err), refuse), err);
  assert.equal(whys.length, 1);
});
