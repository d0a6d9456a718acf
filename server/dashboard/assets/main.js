// The page: its head, which says how the server does, and the view that the address asks
// for. One stream brings the numbers of each second, to the head and to the view.

import { el, set, write } from './dom.js';
import { age } from './format.js';
import { poll, Refusal } from './ask.js';
import { here } from './here.js';
import { follow, headPatience } from './sse.js';
import { parse } from './router.js';
import { overview } from './overview.js';
import { rooms } from './rooms.js';
import { room } from './room.js';
import { clients } from './clients.js';
import { connection } from './connection.js';
import { tail } from './tail.js';
import { send } from './send.js';
import { webhooks } from './webhooks.js';

// Views, and for those that the head has no link to, the one that they belong to.
const views = { '': overview, rooms, room, clients, connection, tail, send, webhooks };
const above = { room: 'rooms', connection: 'clients' };
const silence = 5000; // milliseconds: the server says something every second

const main = document.getElementById('main');
const state = document.getElementById('state');
const notice = document.getElementById('notice');
const version = document.getElementById('version');

let latest = null;   // the newest overview
let lost = null;     // why there is no connection to the server, null while there is one
let health = null;   // the newest answer of /ready
let loaded = null;   // the version of the server that this page is from
let open = null;     // the view that is shown

// show has the view shown that the address asks for.
function show(first) {
  open?.stop.abort();
  const { view, values } = parse(location.hash);
  const stop = new AbortController();
  const faults = new Faults();
  const context = {
    values, signal: stop.signal,
    get latest() { return latest; },
    now: () => (latest ? Date.parse(latest.at) : Date.now()),
    telling: (what, act, signal = stop.signal) => faults.telling(what, signal, act),
  };
  open = { ...(Object.hasOwn(views, view) ? views[view] : nowhere)(context), stop };
  main.replaceChildren(faults.element, ...open.nodes);
  document.title = open.title + ' · poosh';
  for (const link of document.querySelectorAll('nav a')) set(link, 'aria-current', link.dataset.view === view ? 'page' : link.dataset.view === above[view] ? 'true' : null);
  if (latest) open.update?.(latest);
  if (first) return;
  window.scrollTo(0, 0);
  main.querySelector('h1').focus({ preventScroll: true }); // who uses a screen reader is told where he is
}

const nowhere = () => ({ title: 'Not here', nodes: [el('h1', { tabindex: '-1' }, 'There is no such view')] });

// Faults says what a view could not be told.
class Faults {
  element = el('p', { class: 'error', role: 'status', hidden: true });
  #by = new Map();

  // telling runs what asks the server, and shows what went wrong until it goes well.
  async telling(what, signal, act) {
    try {
      await act(signal);
      if (signal.aborted) return;
      this.#by.delete(what);
    } catch (err) {
      if (signal.aborted) return;
      if (!(err instanceof Refusal)) reportError(err); // a fault of this page
      // That the server is away is said once, in the head.
      if (err.status === 0) this.#by.delete(what);
      else this.#by.set(what, what + ': ' + err.message);
    }
    write(this.element, [...this.#by.values()].join('; '));
    this.element.hidden = this.#by.size === 0;
  }
}

// head writes what the head of the page says.
function head() {
  const [kind, text] = stateOf();
  write(state, text);
  set(state, 'class', 'state ' + kind);
  const why = noticeOf();
  write(notice, why);
  notice.hidden = why === '';
  set(notice, 'class', kind === 'warn' ? 'notice warn' : 'notice');
  set(main, 'class', lost !== null && latest ? 'stale' : null);
  write(version, latest ? latest.version + ', up ' + age(latest.uptime_seconds) : '');
  set(version, 'title', latest ? latest.go + ', started ' + latest.started : null);
}

function stateOf() {
  if (lost !== null) return ['bad', 'connection lost'];
  if (!latest) return ['', 'connecting'];
  if (latest.draining) return ['warn', 'draining'];
  if (health?.status === 'not ready') return ['bad', 'not ready'];
  if (health?.status === 'degraded') return ['warn', 'degraded'];
  return ['good', 'live'];
}

function noticeOf() {
  if (lost !== null) return 'No connection to the server: ' + lost + '. This page tries again by itself' + (latest ? '; what it shows is old.' : '.');
  if (latest?.draining) return 'The server ends: it lets its clients go and takes no new events.';
  if (health?.status && health.status !== 'ok') return 'The server is ' + health.status + ': ' + (health.faults ?? []).map((f) => f.part + ' ' + f.why).join('; ') + '.';
  if (loaded && latest && loaded !== latest.version) return 'This page is of version ' + loaded + ': load it again to have the one that belongs to this server.';
  return '';
}

function start() {
  addEventListener('hashchange', () => show(false));
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault(); // the address says which view is shown
    main.focus();
  });
  show(true);
  head();
  follow('api/stream', {
    event(name, data) {
      if (name !== 'overview') return;
      latest = data;
      loaded ??= data.version;
      open.update?.(data);
      head();
    },
    state(isOpen, why) {
      const back = isOpen && lost !== null;
      lost = isOpen ? null : why;
      head();
      if (back) open.back?.();
    },
  }, silence);
  // What is not ready is answered 503, with the same JSON.
  poll(5000, new AbortController().signal, async () => {
    try {
      const res = await fetch(here('ready'), { signal: AbortSignal.timeout(headPatience) });
      health = await res.json();
    } catch {
      health = null; // the stream tells
    }
    head();
  });
}

start();
