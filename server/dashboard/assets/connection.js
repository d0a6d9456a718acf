// The view of one connection: what it is in and what waits for it, or why it left.

import { el, name, write } from './dom.js';
import { Table } from './table.js';
import { ask, poll, Refusal } from './ask.js';
import { age, bytes, count, unknown } from './format.js';
import { kind, left } from './clients.js';
import { room, whose } from './links.js';
import { told } from './told.js';

export function connection(context) {
  const { id = '' } = context.values;
  const summary = el('p', { class: 'hint', role: 'status', id: 'summary' });
  const open = el('div', { class: 'result' });
  const gone = left('Why it left', context.now);
  const goneCard = el('section', { class: 'card', hidden: true }, gone.element);
  const cards = new Map();

  poll(2000, context.signal, () => context.telling('the connection', async (signal) => {
    let one = { open: [], left: [] };
    try {
      one = await told(ask('api/connections/' + encodeURIComponent(id), { signal }), (why) => write(summary, why));
    } catch (err) {
      if (!(err instanceof Refusal) || err.status !== 404) throw err;
    }
    if (one) show(one);
  }));

  function show(one) {
    const keep = new Set(one.open.map(whose));
    for (const [key, card] of cards) if (!keep.has(key)) { card.element.remove(); cards.delete(key); }
    for (const c of one.open) {
      if (!cards.has(whose(c))) {
        cards.set(whose(c), openCard());
        open.append(cards.get(whose(c)).element);
      }
      cards.get(whose(c)).show(c, context.now());
    }
    goneCard.hidden = one.left.length === 0;
    gone.show(one.left);
    write(summary, one.open.length > 0 ? 'It is open.' : one.left.length > 0 ? 'It has left: ' + one.left[0].reason + '.' :
      'No connection has this id, and none of the last that left had it. Ids are compared to the letter.');
  }

  return { title: 'Connection ' + id, nodes: [el('div', {}, el('h1', { tabindex: '-1' }, 'Connection ', name(id)), summary), open, goneCard] };
}

// facts are what is said of one that is open.
const facts = [
  ['Of', whose],
  ['Kind', kind],
  ['User', (c) => c.user || unknown],
  ['From', (c) => c.remote],
  ['Open for', (c, now) => age((now - Date.parse(c.since)) / 1000)],
  ['Waits for it', (c) => bytes(c.waiting_bytes)],
  ['Takes events', (c) => (c.ending ? 'no: ' + c.ending : 'yes')],
];

// openCard shows one that is open.
function openCard() {
  const values = facts.map(() => el('dd', {}, el('bdi', {})));
  const rooms = new Table({
    caption: 'What it is in', none: 'It is in no room.', key: (r) => r.room,
    columns: [{ head: 'Room', of: room }],
  });
  const more = el('p', { class: 'hint' });
  return {
    element: el('section', { class: 'card result' }, el('dl', { class: 'facts' }, facts.map(([title], i) => el('div', {}, el('dt', {}, title), values[i]))), rooms.element, more),
    show(c, now) {
      facts.forEach(([, of], i) => write(values[i].firstChild, of(c, now)));
      rooms.show(c.rooms.map((r) => ({ dialect: c.dialect, app: c.app, room: r })));
      more.hidden = c.room_count <= c.rooms.length;
      write(more, count(c.room_count - c.rooms.length) + ' more');
    },
  };
}
