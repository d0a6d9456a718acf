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

// serve has a server answer, and follow follow it, until until is true.
async function followed(silence, answer, until) {
  const server = http.createServer(answer);
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const events = [], states = [];
  await new Promise((done) => {
    const look = () => { if (until(events, states)) { stop(); done(); } };
    const stop = follow(`http://127.0.0.1:${server.address().port}/`, {
      event: (...e) => { events.push(e); queueMicrotask(look); },
      state: (...s) => { states.push(s); queueMicrotask(look); },
    }, silence);
  });
  server.closeAllConnections();
  server.close();
  return { events, states };
}

const begin = (res) => res.writeHead(200, { 'Content-Type': 'text/event-stream' });

test('it comes back after an end, a refusal and silence', async () => {
  let n = 0;
  const { events, states } = await followed(400, (req, res) => {
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
    [true, ''], [false, 'nothing has come for 0.4 s'], [true, ''],
  ]);
});

test('nobody is asked while nobody looks', async () => {
  let asked = 0;
  document.hidden = true;
  const done = followed(1000, (req, res) => { asked++; begin(res).write('event: e\ndata: 1\n\n'); }, (seen) => seen.length === 1);
  await new Promise((later) => setTimeout(later, 50));
  assert.equal(asked, 0);
  document.hidden = false;
  document.dispatchEvent(new Event('visibilitychange'));
  await done;
  assert.equal(asked, 1);
});
