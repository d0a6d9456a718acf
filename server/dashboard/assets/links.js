// How things that others have named stand in tables: with a link to their view.

import { address } from './router.js';

// room is a cell for a room. One whose name was cut has no view that could be found.
export const room = (r) => (r.everyone ? { text: 'everyone' } : {
  text: r.cut ? r.room + '…' : r.room, stranger: true, href: r.cut ? null : address('room', { dialect: r.dialect, app: r.app, room: r.room }),
});

// connection is a cell for a connection by its id.
export const connection = (id) => ({ text: id, stranger: true, href: address('connection', { id }) });

// stranger is a cell for any other name.
export const stranger = (text) => ({ text, stranger: true });

// ownApp is the app of a dialect that has one alone, which nobody needs to be told.
export const ownApp = (dialect) => ownApps.get(dialect) ?? '';
const ownApps = new Map([['socket.io', 'poosh'], ['echo', 'echo'], ['push socket', 'pushsocket']]);

// whose says whose something is, for people: the dialect, and its app where it has several.
export const whose = (x) => (['', undefined, ownApp(x.dialect)].includes(x.app) ? x.dialect : x.dialect + ' ' + x.app);

// roomKey tells rooms apart.
export const roomKey = (r) => JSON.stringify([r.dialect, r.app, r.room, r.everyone === true]);
