// The view of one room: who is in it, and what is sent to it.

import { el, name, write } from './dom.js';
import { Table } from './table.js';
import { SendList } from './sendlist.js';
import { ask, poll, Refusal } from './ask.js';
import { age, bytes, count } from './format.js';
import { kind } from './clients.js';
import { connection, stranger, whose } from './links.js';
import { address } from './router.js';
import { told } from './told.js';

export function room(context) {
  const { dialect = '', app = '', room: called = '' } = context.values;
  const of = { dialect, app, room: called };
  const summary = el('p', { class: 'hint', id: 'summary' });
  const members = new Table({
    caption: 'Who is in it', none: 'Nobody.', key: (m) => m.id,
    columns: [
      { head: 'Connection', of: (m) => connection(m.id) }, { head: 'User', of: (m) => (m.user ? stranger(m.user) : '') }, { head: 'Kind', of: kind }, { head: 'From', of: (m) => stranger(m.remote) },
      { head: 'For', of: (m) => age((context.now() - Date.parse(m.since)) / 1000), number: true }, { head: 'Waiting', of: (m) => bytes(m.waiting_bytes), number: true },
    ],
  });
  const sends = new SendList({ caption: 'What was sent to it', of, signal: context.signal });

  poll(2000, context.signal, () => context.telling('the room', async (signal) => {
    let one;
    try {
      one = await told(ask('api/rooms/one', { signal, query: { ...of, limit: 200 } }), (why) => members.refuse(why));
    } catch (err) {
      if (!(err instanceof Refusal) || err.status !== 404) throw err;
      one = { connections: 0, users: 0, members: [], sends: [], more: false };
    }
    if (!one) {
      write(summary, whose(of));
      return;
    }
    members.show(one.members);
    sends.add(one.sends);
    write(summary, whose(of) + ', ' + count(one.connections) + (one.connections === 1 ? ' connection' : ' connections') +
      (one.users ? ' of ' + count(one.users) + (one.users === 1 ? ' user' : ' users') : '') + (one.more ? '; the first ' + count(one.members.length) + ' are listed' : ''));
  }));

  return {
    title: 'Room ' + called,
    nodes: [
      el('div', { class: 'top' }, el('div', {}, el('h1', { tabindex: '-1' }, 'Room ', name(called)), summary), el('a', { href: address('send', of) }, 'Send to it')),
      el('section', { class: 'card' }, members.element), sends.element,
    ],
  };
}
