// The view of webhooks: what waits, what arrived and what did not.

import { el, write } from './dom.js';
import { Table } from './table.js';
import { bytes, count, rate } from './format.js';

export function webhooks() {
  const waiting = el('p', { id: 'waiting' });
  const table = new Table({
    caption: 'What became of events', none: 'None has been sent yet.', key: (o) => o.outcome,
    columns: [{ head: 'Outcome', of: (o) => o.outcome }, { head: 'In all', of: (o) => count(o.total), number: true }, { head: 'now', of: (o) => rate(o.per_second), number: true }],
  });
  const card = el('section', { class: 'card result' }, waiting, table.element);
  const off = el('p', { class: 'hint', hidden: true }, 'Webhooks are of Pusher’s apps, and there is none.');
  return {
    title: 'Webhooks',
    nodes: [el('h1', { tabindex: '-1' }, 'Webhooks'), card, off],
    update({ webhooks: now }) {
      card.hidden = now === null;
      off.hidden = now !== null;
      if (now === null) return;
      write(waiting, count(now.queued) + (now.queued === 1 ? ' event waits' : ' events wait') + ', ' + bytes(now.queued_bytes) + '.');
      table.show(now.outcomes);
    },
  };
}
