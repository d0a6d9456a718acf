// The nodes of a cluster, as each tells of itself.

import { el, write } from './dom.js';
import { Table } from './table.js';
import { age, count } from './format.js';

// nodes is a card that is there in a cluster alone.
export function nodes(now) {
  const engine = el('p', { role: 'status' });
  const load = (of) => (n) => n.load === null ? 'not told' : of(n.load);
  const table = new Table({
    caption: 'Nodes of the cluster', none: 'None is known.', key: (n) => n.name,
    columns: [
      { head: 'Node', of: (n) => n.name + (n.here ? ' (this one)' : '') },
      { head: 'Address', of: (n) => n.addr },
      { head: 'Version', of: (n) => n.version },
      { head: 'Up', of: (n) => age((now() - Date.parse(n.started)) / 1000) },
      { head: 'State', of: (n) => n.draining ? 'shutting down' : 'serves' },
      { head: 'Clients', of: load((l) => count(l.connections)), number: true },
      { head: 'Processors', of: load((l) => l.cpu.toFixed(2)), number: true },
      { head: 'Lag', of: load((l) => (l.lag_seconds * 1000).toFixed(1) + ' ms'), number: true },
    ],
  });
  const card = el('section', { class: 'card wide', id: 'nodes', hidden: true }, engine, table.element);
  return {
    element: card,
    show(cluster) {
      card.hidden = cluster === null;
      if (cluster === null) return;
      engine.className = cluster.engine_up ? 'hint' : 'error';
      write(engine, cluster.engine_up ? 'Redis is there.' : 'Redis cannot be reached.');
      table.show(cluster.nodes.map((n) => ({ ...n, here: n.name === cluster.node })));
    },
  };
}
