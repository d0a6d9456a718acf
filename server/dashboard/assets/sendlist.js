// A list of sends that grows at its top while they happen.

import { el, write } from './dom.js';
import { Table } from './table.js';
import { withQuery } from './ask.js';
import { follow } from './sse.js';
import { bytes, clock, count } from './format.js';
import { room, stranger, whose } from './links.js';

const most = 200;          // rows
const silence = 40000;     // milliseconds: the server says something every 15 s
const redraw = 250;        // milliseconds between two changes of the table

// A SendList follows sends: of one room, { dialect, app, room }, or of all.
export class SendList {
  #of;
  #rows = [];
  #known = new Map(); // rows by their key
  #missed = 0;
  #timer = 0;
  #stop = () => {};
  #paused = false;
  #payload = el('input', { type: 'checkbox', change: () => this.#open() });
  #pause = el('button', { type: 'button', click: () => this.#turn() }, 'Pause');
  #said = el('p', { class: 'hint' });
  #table;

  constructor({ caption, of = null, signal }) {
    this.#of = of;
    const time = { head: 'Time', of: (s) => ({ text: clock(Date.parse(s.at)), note: s.at }) };
    const where = [{ head: 'Room', of: (s) => room({ ...s, app: s.app ?? defaultApps[s.dialect] ?? '' }) }, { head: 'Of', of: whose }];
    this.#table = new Table({
      caption, none: 'Nothing has been sent since you look.', key: (s) => s.row,
      columns: [time, ...(of ? [] : where), { head: 'Event', of: (s) => stranger(s.event) }, { head: 'Handed to', of: (s) => count(s.handed), number: true },
        { head: 'Size', of: (s) => bytes(s.size), number: true }, { head: 'Payload', of: (s) => ({ text: s.payload === undefined ? '' : JSON.stringify(s.payload), stranger: s.payload !== undefined }) },
        { head: 'Id', of: (s) => ({ text: s.id, stranger: true }) }],
    });
    this.element = el('section', { class: 'card result' },
      el('div', { class: 'row' }, this.#pause, el('label', { class: 'check' }, this.#payload, 'show payloads'), this.#said), this.#table.element);
    signal.addEventListener('abort', () => {
      this.#stop();
      clearTimeout(this.#timer);
    });
    this.#open();
  }

  // add adds sends that are known already, the newest first.
  add(list) {
    for (const send of [...list].reverse()) this.#take(send);
  }

  #open() {
    this.#stop();
    const query = this.#of ? { dialect: this.#of.dialect, app: this.#of.app in own ? null : this.#of.app, room: this.#of.room } : {};
    this.#stop = follow(withQuery('api/tail', { ...query, payload: this.#payload.checked ? 1 : null }), {
      state: (open, why) => write(this.#said, open ? this.#telling() : why),
      event: (name, data) => {
        if (name === 'send') this.#take(data);
        else if (name === 'dropped') this.#missed += data.count;
        write(this.#said, this.#telling());
      },
    }, silence);
  }

  #telling() { return (this.#paused ? 'Paused.' : 'Sends as they happen.') + (this.#missed ? ' ' + count(this.#missed) + ' more were too many to show.' : ''); }

  #turn() {
    this.#paused = !this.#paused;
    write(this.#pause, this.#paused ? 'Go on' : 'Pause');
    write(this.#said, this.#telling());
    this.#show();
  }

  #take(send) {
    // One send may be for several rooms, and one that is known comes by both ways.
    const row = JSON.stringify([send.id, send.everyone ? null : send.room ?? this.#of?.room ?? null]);
    const known = this.#known.get(row);
    if (known) {
      if (send.payload === undefined || known.payload !== undefined) return;
      known.payload = send.payload;
    } else {
      this.#rows.unshift({ ...send, row });
      this.#known.set(row, this.#rows[0]);
      if (this.#rows.length > most) this.#known.delete(this.#rows.pop().row);
    }
    if (this.#timer === 0) this.#timer = setTimeout(() => this.#show(), redraw);
  }

  #show() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (!this.#paused) this.#table.show(this.#rows);
  }
}

// defaultApps are the apps of dialects that have one, which the tail does not name.
const defaultApps = { 'socket.io': 'poosh', 'push socket': 'pushsocket' };
const own = { poosh: true, pushsocket: true };
