// What became of an event that was sent from here.

import { el, name } from './dom.js';
import { Table } from './table.js';
import { count } from './format.js';
import { connection } from './links.js';

// explanation shows the answer of api/send as nodes.
export function explanation({ status, id, delivered, answer }) {
  const good = status >= 200 && status < 300;
  const nodes = [
    el('h2', {}, good ? 'Sent' : 'Refused by the dialect'),
    el('p', { class: good ? null : 'error' }, good ? handed(delivered, answer) : 'It answered ' + status + '.'),
  ];
  if (id) nodes.push(el('p', { class: 'hint' }, 'Its id is ', el('span', { class: 'mono' }, id), '.'));
  if (Array.isArray(answer?.rooms) && answer.uncounted) return nodes;
  if (Array.isArray(answer?.rooms)) nodes.push(...answer.rooms.flatMap(ofRoom));
  else if (answer !== null && answer !== undefined) nodes.push(el('p', {}, 'The answer: ', el('span', { class: 'mono' }, JSON.stringify(answer))));
  return nodes;
}

// handed says how many took it, as far as the dialect says so.
function handed(delivered, answer) {
  if (answer?.uncounted) return 'It ' + answer.text + '.';
  if (Array.isArray(answer?.failed)) delivered = answer.succeeded.length; // Socktopus names recipients
  if (delivered === null) return 'To how many connections it was handed the dialect does not say.';
  return 'Handed to ' + count(delivered) + (delivered === 1 ? ' connection.' : ' connections.');
}

function ofRoom(r) {
  const by = new Table({
    caption: 'By kind of connection', none: 'Nobody was there.', key: (b) => [b.dialect, b.app, b.kind].join(),
    columns: [
      { head: 'Dialect', of: (b) => b.dialect }, { head: 'Kind', of: (b) => b.kind ?? '' }, { head: 'There', of: (b) => count(b.matched), number: true },
      { head: 'Handed', of: (b) => count(b.handed), number: true }, { head: 'Yet to poll', of: (b) => (b.waiting ? count(b.waiting) : ''), number: true },
    ],
  });
  by.show(r.by);
  const nodes = [el('h3', {}, ...(r.everyone ? ['To everyone'] : ['Room ', name(r.room)])), by.element];
  if (r.nodes?.length > 0) {
    const at = new Table({
      caption: 'By node', key: (n) => n.node,
      columns: [{ head: 'Node', of: (n) => n.node }, { head: 'There', of: (n) => count(n.matched), number: true }, { head: 'Handed', of: (n) => count(n.handed), number: true }],
    });
    at.show(r.nodes);
    nodes.push(at.element);
  }
  if (r.left_out.length > 0) {
    nodes.push(el('p', {}, 'Why others, or anybody, did not get it:'), el('ul', { class: 'reasons' }, r.left_out.map((l) =>
      el('li', {}, (l.count ? count(l.count) + ' × ' : '') + l.cause + ': ' + l.text))));
  }
  if (r.left?.length > 0) {
    const left = new Table({
      caption: 'Who was there until lately', key: (l) => l.client,
      columns: [{ head: 'Connection', of: (l) => connection(l.client) }, { head: 'Why', of: (l) => l.why ?? 'left the room' }, { head: 'Ago', of: (l) => l.ago, number: true }],
    });
    left.show(r.left);
    nodes.push(left.element);
  }
  return nodes;
}
