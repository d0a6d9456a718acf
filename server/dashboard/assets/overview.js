// The first view: what the server does now, and has done in the last 24 hours.

import { el } from './dom.js';
import { Charts } from './charts.js';
import { Tiles } from './tiles.js';
import { byKind, closes, refusals, topRooms, topSenders, traffic } from './lists.js';
import { nodes } from './nodes.js';
import { ask, poll } from './ask.js';
import { slowClients } from './clients.js';
import { told } from './told.js';

export function overview(context) {
  const tiles = new Tiles();
  const charts = new Charts(context);
  const lists = { byKind: byKind(), traffic: traffic(), closes: closes(), refusals: refusals() };
  const top = { rooms: topRooms(), senders: topSenders() };
  const slow = slowClients(context.now);
  const cluster = nodes(context.now);

  poll(2000, context.signal, () => context.telling('what is at the top', async (signal) => {
    const list = await ask('api/top', { signal, query: { limit: 10 } });
    top.rooms.show(list.rooms);
    top.senders.show(list.senders);
    const slowest = await told(ask('api/slow', { signal, query: { limit: 10 } }), (why) => slow.refuse(why));
    if (slowest) slow.show(slowest.clients);
  }));

  const card = (list, wide = false) => el('section', { class: wide ? 'card wide' : 'card' }, list.element);
  return {
    title: 'Overview',
    nodes: [
      el('div', { class: 'top' }, el('h1', { tabindex: '-1' }, 'Overview'), charts.choice),
      tiles.element, cluster.element, charts.element,
      el('div', { class: 'columns' },
        card(slow, true), card(top.rooms), card(top.senders), card(lists.byKind), card(lists.traffic), card(lists.closes), card(lists.refusals)),
    ],
    update(now) {
      tiles.show(now);
      charts.show(now);
      cluster.show(now.cluster);
      lists.byKind.show(now.connections.by);
      lists.traffic.show(now.traffic.dialects);
      lists.closes.show(now.closes);
      lists.refusals.show(now.refusals);
    },
  };
}
