// The numbers of this moment.

import { el, set, write } from './dom.js';
import { bytes, byteRate, count, percent, rate, seconds } from './format.js';

const share = (part, whole) => (whole > 0 ? part / whole : null);

// fullest is the fullest of those that one bound holds for.
const fullest = (w) => Math.max(w.backlog_bytes, w.stuck_bytes, w.unfetched_bytes);

// Each tile: its title, what it says in large and in small, and a share of 1 where it has
// a bound.
const tiles = [
  { id: 'clients', title: 'Clients', big: (o) => count(o.connections.clients.open), more: (o) => 'of ' + count(o.connections.clients.limit) + ' connections',
    full: (o) => share(o.connections.clients.open, o.connections.clients.limit) },
  { id: 'senders', title: 'Senders', big: (o) => count(o.connections.senders.open), more: (o) => 'of ' + count(o.connections.senders.limit) + ' connections',
    full: (o) => share(o.connections.senders.open, o.connections.senders.limit) },
  { id: 'sends', title: 'Sends', big: (o) => rate(o.traffic.sends.per_second), more: (o) => count(o.traffic.sends.total) + ' in all' },
  { id: 'deliveries', title: 'Deliveries', big: (o) => rate(o.traffic.deliveries.per_second), more: (o) => count(o.traffic.deliveries.total) + ' in all' },
  { id: 'bytes', title: 'Written to sockets', big: (o) => byteRate(o.traffic.sent_bytes.per_second), more: (o) => byteRate(o.traffic.received_bytes.per_second) + ' read' },
  { id: 'latency', title: 'Latency, 99 of 100', big: (o) => (o.latency ? seconds(o.latency.p99) : seconds(null)),
    more: (o) => (o.latency ? seconds(o.latency.p50) + ' half, ' + seconds(o.latency.max) + ' most' : 'nothing measured') },
  { id: 'cpu', title: 'CPU', big: (o) => percent(share(o.process.cpu, o.process.processors)), more: (o) => 'of ' + count(o.process.processors) + (o.process.processors === 1 ? ' processor' : ' processors'),
    full: (o) => share(o.process.cpu, o.process.processors) },
  { id: 'memory', title: 'Memory', big: (o) => bytes(o.process.resident_bytes ?? o.process.memory_bytes),
    more: (o) => (o.process.memory_limit_bytes ? 'of ' + bytes(o.process.memory_limit_bytes) : bytes(o.process.heap_bytes) + ' heap'),
    full: (o) => share(o.process.resident_bytes ?? o.process.memory_bytes, o.process.memory_limit_bytes) },
  { id: 'files', title: 'Open files', big: (o) => count(o.process.open_files), more: (o) => (o.process.open_files_limit ? 'of ' + count(o.process.open_files_limit) : ''),
    full: (o) => share(o.process.open_files, o.process.open_files_limit) },
  { id: 'backlog', title: 'Backlog', big: (o) => bytes(fullest(o.waiting)), more: (o) => 'of ' + bytes(o.waiting.limit_bytes), full: (o) => share(fullest(o.waiting), o.waiting.limit_bytes) },
];

export class Tiles {
  #parts = tiles.map((tile) => {
    const big = el('span', { class: 'big' }), more = el('span', { class: 'more' });
    const meter = tile.full ? el('meter', { min: 0, max: 1, high: 0.8, optimum: 0, 'aria-label': tile.title + ', share of the limit' }) : null;
    return { tile, big, more, meter };
  });

  element = el('dl', { class: 'tiles' }, this.#parts.map(({ tile, big, more, meter }) =>
    el('div', { class: 'card tile', id: 'tile-' + tile.id }, el('dt', {}, tile.title), el('dd', {}, big), el('dd', { class: 'more' }, more, meter))));

  show(overview) {
    for (const { tile, big, more, meter } of this.#parts) {
      write(big, tile.big(overview));
      write(more, tile.more(overview));
      if (!meter) continue;
      const full = tile.full(overview);
      meter.hidden = full === null;
      if (full !== null) set(meter, 'value', Math.min(1, full).toFixed(3));
    }
  }
}
