// The view of clients: one by its id, those who are slow, and those who have left.

import { el } from './dom.js';
import { Table } from './table.js';
import { ask, poll } from './ask.js';
import { age, bytes } from './format.js';
import { connection, stranger, whose } from './links.js';
import { address } from './router.js';
import { told } from './told.js';

// slowClients is the table of those for whom most waits. now tells the server's time.
export const slowClients = (now) => new Table({
  caption: 'Slow clients, for whom most waits', none: 'Nothing waits for any client.', key: (c) => JSON.stringify([c.dialect, c.app, c.id]),
  columns: [
    { head: 'Connection', of: (c) => connection(c.id) }, { head: 'Of', of: whose }, { head: 'Kind', of: kind },
    { head: 'From', of: (c) => stranger(c.remote) }, { head: 'For', of: (c) => since(c.since, now), number: true },
    { head: 'Waiting', of: (c) => bytes(c.waiting_bytes), number: true },
  ],
});

// kind says how a client is connected.
export const kind = (c) => [c.transport, c.version].filter(Boolean).join(', ');

// since says how long ago a time was, and when on the pointer.
const since = (time, now) => ({ text: age((now() - Date.parse(time)) / 1000), note: time });

// left is a table of connections that have left.
export const left = (caption, now) => new Table({
  caption, none: 'Nobody has left.', key: (c) => JSON.stringify([c.dialect, c.app, c.id, c.at]),
  columns: [
    { head: 'Connection', of: (c) => connection(c.id) }, { head: 'Of', of: whose }, { head: 'Reason', of: (c) => c.reason },
    { head: 'Left ago', of: (c) => since(c.at, now), number: true }, { head: 'After', of: (c) => age((Date.parse(c.at) - Date.parse(c.since)) / 1000), number: true },
    { head: 'From', of: (c) => stranger(c.network) }, { head: 'Waited for it', of: (c) => bytes(c.waiting_bytes), number: true },
  ],
});

export function clients(context) {
  const slow = slowClients(context.now);
  const gone = left('The last that left', context.now);
  const reason = el('select', { id: 'reason', change: () => refresh() }, el('option', { value: '' }, 'any reason'));
  const known = new Set();

  const refresh = poll(2000, context.signal, () => context.telling('clients', async (signal) => {
    const slowest = await told(ask('api/slow', { signal, query: { limit: 50 } }), (why) => slow.refuse(why));
    if (slowest) slow.show(slowest.clients);
    const chosen = reason.value;
    const list = await told(ask('api/left', { signal, query: { reason: chosen || null, limit: 100 } }), (why) => gone.refuse(why));
    if (list && chosen === reason.value) gone.show(list.left);
  }));

  const id = el('input', { id: 'id', name: 'id', required: true, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' });
  const find = (event) => {
    event.preventDefault();
    location.hash = address('connection', { id: id.value.trim() });
  };
  return {
    title: 'Clients',
    nodes: [
      el('h1', { tabindex: '-1' }, 'Clients'),
      el('form', { class: 'card', role: 'search', submit: find }, el('div', { class: 'row' }, el('label', {}, 'Id of a connection', id), el('button', { class: 'main' }, 'Find'))),
      el('section', { class: 'card' }, slow.element),
      el('section', { class: 'card' }, el('div', { class: 'row narrow' }, el('label', {}, 'Left for', reason)), gone.element),
    ],
    update(now) {
      for (const { reason: text } of now.closes) {
        if (known.has(text)) continue;
        known.add(text);
        reason.append(el('option', { value: text }, text));
      }
    },
  };
}
