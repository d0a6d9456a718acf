import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';
import { follow, Parser } from '../assets/sse.js';

test('events, however they are cut', () => {
  const text = ': hello\n\nevent: a\ndata: {"x":\ndata: 1}\n\ndata:2\r\n\r\nid: 7\nevent: lost\n\nevent: b\ndata:  two\n\nevent: half\ndata: 1\n';
  const want = [['a', '{"x":\n1}'], ['message', '2'], ['b', ' two']];
  for (let size = 1; size <= text.length; size++) {
    const got = [];
    const p = new Parser((...event) => got.push(event));
    for (let i = 0; i < text.length; i += size) p.push(text.slice(i, i + size));
    assert.deepEqual(got, want, `pieces of ${size}`);
  }
});

// What a browser has and Node.js has not.
globalThis.document = Object.assign(new EventTarget(), { hidden: false });
globalThis.window = new EventTarget();
const reported = [];
globalThis.reportError = (err) => reported.push(err.message);

// followed has a server answer, and follow follow it, until until is true. react is told
// events too.
async function followed(silence, answer, until, { head, react = () => {} } = {}) {
  const server = http.createServer((req, res) => (req.url === '/x/api/stream' ? answer(req, res) : res.writeHead(404).end()));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  globalThis.location = { origin: `http://127.0.0.1:${server.address().port}`, pathname: '/x/index.html' };
  const events = [], states = [];
  await new Promise((done) => {
    const look = () => { if (until(events, states)) { stop(); done(); } };
    const stop = follow('api/stream', {
      event: (...e) => { events.push(e); queueMicrotask(look); react(...e); },
      state: (...s) => { states.push(s); queueMicrotask(look); },
    }, silence, head);
  });
  server.closeAllConnections();
  server.close();
  return { events, states };
}

const begin = (res) => res.writeHead(200, { 'Content-Type': 'text/event-stream' });

test('it comes back after an end, a refusal and silence', async () => {
  let n = 0;
  const { events, states } = await followed(2000, (req, res) => {
    switch (++n) {
      case 1: begin(res).end('event: e\ndata: {"n":1}\n\n'); break;
      case 2: res.writeHead(503).end('{"error":"too many watch"}'); break;
      case 3: res.writeHead(502).end('<html>'); break;
      case 4: begin(res).write('event: e\ndata: {"n":4}\n\n'); break;
      default: begin(res).write('event: e\ndata: {"n":5}\n\n');
    }
  }, (seen) => seen.at(-1)?.[1].n === 5);
  assert.deepEqual(events.map(([, data]) => data.n), [1, 4, 5]);
  assert.deepEqual(states, [
    [true, ''], [false, 'the server has ended it'], [false, 'too many watch'], [false, 'the answer is 502 Bad Gateway'],
    [true, ''], [false, 'nothing has come for 2 s'], [true, ''],
  ]);
});

test('nobody is asked while nobody looks', async () => {
  let asked = 0;
  document.hidden = true;
  const done = followed(20000, (req, res) => { asked++; begin(res).write('event: e\ndata: 1\n\n'); }, (seen) => seen.length === 1);
  await new Promise((later) => setTimeout(later, 50));
  assert.equal(asked, 0);
  document.hidden = false;
  document.dispatchEvent(new Event('visibilitychange'));
  await done;
  assert.equal(asked, 1);
});

test('an answer may be late to begin, for a browser may ask for the password', async () => {
  const late = (req, res) => setTimeout(() => begin(res).write('event: e\ndata: 1\n\n'), 900);
  const { states } = await followed(300, late, (seen) => seen.length === 1);
  assert.deepEqual(states, [[true, '']]);
});

test('but not for ever', async () => {
  const { states } = await followed(20000, () => {}, (_, states) => states.length === 1, { head: 300 });
  assert.deepEqual(states, [[false, 'there was no answer within 0.3 s']]);
});

test('a fault of who is told is none of the stream', async () => {
  const { events, states } = await followed(20000, (req, res) => begin(res).write('event: e\ndata: 1\n\nevent: e\ndata:  12345678901234567890\n\n'),
    (seen) => seen.length === 2, { react(name, data) { if (data === 1) throw new TypeError('of the page'); } });
  assert.deepEqual([events[1][2], states, reported], [' 12345678901234567890', [[true, '']], ['of the page']]);
});
