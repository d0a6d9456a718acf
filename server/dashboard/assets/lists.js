// The tables of the first view.

import { Table } from './table.js';
import { bytes, count, rate } from './format.js';
import { room, roomKey, stranger, whose } from './links.js';

const number = (head, of) => ({ head, of, number: true });

export const byKind = () => new Table({
  caption: 'Connections by kind', none: 'Nobody is connected.', key: (r) => [r.dialect, r.transport, r.version].join(),
  columns: [{ head: 'Dialect', of: (r) => r.dialect }, { head: 'Transport', of: (r) => r.transport }, { head: 'Version', of: (r) => r.version }, number('Open', (r) => count(r.count))],
});

export const traffic = () => new Table({
  caption: 'Traffic by dialect', none: 'No dialect is on.', key: (r) => r.dialect,
  columns: [
    { head: 'Dialect', of: (r) => r.dialect },
    number('Sends', (r) => count(r.sends.total)), number('now', (r) => rate(r.sends.per_second)),
    number('Deliveries', (r) => count(r.deliveries.total)), number('now', (r) => rate(r.deliveries.per_second)),
    number('From clients', (r) => count(r.messages.total)),
  ],
});

export const closes = () => new Table({
  caption: 'Closes by reason', none: 'Nobody has left yet.', key: (r) => r.dialect + ',' + r.reason,
  columns: [{ head: 'Reason', of: (r) => r.reason }, { head: 'Dialect', of: (r) => r.dialect }, number('In all', (r) => count(r.total)), number('now', (r) => rate(r.per_second))],
});

export const refusals = () => new Table({
  caption: 'Refusals by reason', none: 'Nothing was refused.', key: (r) => r.of + ',' + r.reason,
  columns: [{ head: 'Reason', of: (r) => r.reason }, { head: 'Of', of: (r) => r.of }, number('In all', (r) => count(r.total)), number('now', (r) => rate(r.per_second))],
});

// Numbers of a sketch are estimates.
const about = (n) => '≈ ' + count(n);
const estimates = [number('Sends', (r) => about(r.sends)), number('Deliveries', (r) => about(r.deliveries)), number('Bytes', (r) => '≈ ' + bytes(r.bytes))];

export const topRooms = () => new Table({
  caption: 'Top rooms of the last minutes', none: 'Nothing was sent lately.', key: roomKey,
  columns: [{ head: 'Room', of: room }, { head: 'Of', of: whose }, ...estimates],
});

export const topSenders = () => new Table({
  caption: 'Top senders of the last minutes', none: 'Nothing was sent lately.', key: (r) => JSON.stringify([r.dialect, r.app, r.sender]),
  columns: [{ head: 'Sender', of: (r) => stranger(r.sender) }, { head: 'Of', of: whose }, ...estimates],
});
