// Asks the operators' port.

import { here } from './here.js';
import { complaint, headPatience, reason } from './sse.js';

const patience = 10000; // milliseconds, for what changes something

// A Refusal is an answer that says no; status is its HTTP status, 0 if there was none.
export class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

// ask returns what is at a path, with the values of query behind it; those that are
// undefined or null are left out. With a body, a text of JSON, it is a POST.
export async function ask(path, { query = {}, body, signal } = {}) {
  const most = body === undefined ? headPatience : patience;
  const late = AbortSignal.timeout(most);
  let res;
  try {
    res = await fetch(here(withQuery(path, query)), {
      signal: signal ? AbortSignal.any([signal, late]) : late,
      ...(body === undefined ? {} : { method: 'POST', body, headers: { 'Content-Type': 'application/json' } }),
    });
    if (res.ok) return await res.json();
  } catch (err) {
    if (signal?.aborted) throw err;
    throw new Refusal(0, late.aborted ? 'there was no answer within ' + most / 1000 + ' s' : reason(err));
  }
  throw new Refusal(res.status, await complaint(res));
}

// withQuery puts values behind a path.
export function withQuery(path, values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined && value !== null) query.set(name, value);
  const text = query.toString();
  return text ? path + '?' + text : path;
}

// poll calls an asynchronous function at once and so many milliseconds after it is done,
// while somebody looks at the page, until signal is aborted. It returns a function that
// has it called now, or again once it is done.
export function poll(ms, signal, act) {
  let timer = 0;
  let running = false;
  let again = false;
  async function run() {
    clearTimeout(timer);
    again = running;
    if (running || signal.aborted || document.hidden) return;
    running = true;
    try {
      await act();
    } finally {
      running = false;
      if (again) run();
      else if (!signal.aborted && !document.hidden) timer = setTimeout(run, ms);
    }
  }
  const seen = () => { if (!document.hidden) run(); };
  document.addEventListener('visibilitychange', seen);
  signal.addEventListener('abort', () => {
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', seen);
  });
  run();
  return run;
}
