// Server-Sent Events over fetch. Unlike EventSource it tells what an answer said when it
// was no stream, and it notices a connection that has died without a word.

import { here } from './here.js';

// A Parser takes text as it arrives and calls on(event, data) for each event that is
// whole: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6.
export class Parser {
  #rest = '';
  #name = '';
  #data = [];
  #on;

  constructor(on) { this.#on = on; }

  push(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line.endsWith('\r') ? line.slice(0, -1) : line);
  }

  #line(line) {
    if (line === '') {
      if (this.#data.length > 0) this.#on(this.#name || 'message', this.#data.join('\n'));
      this.#name = '';
      this.#data = [];
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#name = value;
    else if (field === 'data') this.#data.push(value);
  }
}

const firstPause = 500, longestPause = 5000; // milliseconds, between tries

// headPatience is how many milliseconds an answer may take to begin: a browser may ask
// somebody for the password meanwhile, and takes the question away with the request.
export const headPatience = 60000;

// follow keeps a stream open until the function that it returns is called, and opens it
// again when it ends. on.event(name, object, json) is told events; on.state(open, why)
// whether it is open, and in words why not. Nothing is asked for while nobody looks at the page:
// a browser has six connections to a server, for all its pages. silence is after how
// many milliseconds without a byte an answer that has begun counts as dead.
export function follow(path, on, silence, head = headPatience) {
  let stop = new AbortController();
  let pause = firstPause;
  let timer = 0;
  let over = false;

  async function run() {
    const mine = stop;
    let why;
    try {
      why = await read(path, mine, { head, silence }, (name, data) => {
        if (mine.signal.aborted) return;
        const object = JSON.parse(data);
        apart(() => on.event(name, object, data));
      }, () => {
        pause = firstPause;
        apart(() => on.state(true, ''));
      });
    } catch (err) {
      why = mine.signal.reason instanceof Error ? mine.signal.reason.message : reason(err);
    }
    if (over || mine !== stop) return;
    on.state(false, why);
    timer = setTimeout(start, pause);
    pause = Math.min(2 * pause, longestPause);
  }

  function start() {
    clearTimeout(timer);
    stop.abort('again');
    stop = new AbortController();
    if (!document.hidden) run();
  }

  const seen = () => {
    pause = firstPause;
    start();
  };
  document.addEventListener('visibilitychange', seen);
  window.addEventListener('online', seen);
  start();
  return () => {
    over = true;
    clearTimeout(timer);
    stop.abort('over');
    document.removeEventListener('visibilitychange', seen);
    window.removeEventListener('online', seen);
  };
}

// apart keeps a fault of who is told apart from those of the stream.
function apart(act) {
  try {
    act();
  } catch (err) {
    reportError(err);
  }
}

// read follows one answer to its end and returns why it ended.
async function read(path, stop, { head, silence }, onEvent, onOpen) {
  let dead = setTimeout(() => stop.abort(new Error('there was no answer within ' + head / 1000 + ' s')), head);
  const alive = () => {
    clearTimeout(dead);
    dead = setTimeout(() => stop.abort(new Error('nothing has come for ' + silence / 1000 + ' s')), silence);
  };
  try {
    const res = await fetch(here(path), { signal: stop.signal, headers: { Accept: 'text/event-stream' } });
    alive();
    if (!res.ok) return await complaint(res);
    onOpen();
    const parser = new Parser(onEvent);
    const text = new TextDecoder();
    for (const reader = res.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) return 'the server has ended it';
      alive();
      parser.push(text.decode(value, { stream: true }));
    }
  } finally {
    clearTimeout(dead);
  }
}

// complaint is what an answer says that is none of what was asked for.
export async function complaint(res) {
  const text = await res.text();
  try {
    const said = JSON.parse(text).error;
    if (typeof said === 'string') return said;
  } catch {
    // It is no JSON: a proxy's page, perhaps.
  }
  return 'the answer is ' + res.status + ' ' + res.statusText;
}

// reason says in words why a request failed.
export const reason = (err) => (err instanceof TypeError ? 'the server does not answer' : String(err?.message ?? err));
