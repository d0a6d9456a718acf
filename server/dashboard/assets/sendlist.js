// A list of sends that grows at its top while they happen.

import { el, write } from './dom.js';
import { Table } from './table.js';
import { withQuery } from './ask.js';
import { follow } from './sse.js';
import { bytes, clock, count } from './format.js';
import { ownApp, room, stranger, whose } from './links.js';
import { payloadOf, Recent } from './recent.js';

const nothing = 'Nothing has been sent since you look.';
const silence = 40000;     // milliseconds: the server says something every 15 s
const redraw = 250;        // milliseconds between two changes of the table

// A SendList follows sends: of one room, { dialect, app, room }, or of all. In a cluster it follows all
// nodes, or the one that is asked.
export class SendList {
  #of;
  #recent = new Recent();
  #missed = 0;
  #closed = '';              // why the stream is not open, empty while it is
  #timer = 0;
  #stop = () => {};
  #paused = false;
  #nodes = new Map();        // of a cluster, by name: why sends there are not shown, empty where they are
  #here = el('input', { type: 'checkbox', change: () => this.#open() });
  #ofHere = el('label', { class: 'check', hidden: true }, this.#here, 'this node alone');
  #payload = el('input', { type: 'checkbox', change: () => this.#open() });
  #pause = el('button', { type: 'button', click: () => this.#turn() }, 'Pause');
  #said = el('p', { class: 'hint' });
  #table;

  constructor({ caption, of = null, signal }) {
    this.#of = of;
    const time = { head: 'Time', of: (s) => ({ text: clock(Date.parse(s.at)), note: s.at }) };
    const where = [{ head: 'Room', of: (s) => room({ ...s, app: s.app ?? ownApp(s.dialect) }) }, { head: 'Of', of: whose }];
    this.#table = new Table({
      caption, none: nothing, key: (s) => s.row,
      columns: [time, ...(of ? [] : where), { head: 'Event', of: (s) => stranger(s.event) }, { head: 'Handed to', of: (s) => (s.uncounted ? 'all nodes' : count(s.handed)), number: true },
        { head: 'Size', of: (s) => bytes(s.size), number: true }, { head: 'Payload', of: (s) => ({ text: s.payload ?? '', stranger: s.payload !== undefined }) },
        { head: 'Id', of: (s) => ({ text: s.id + (s.node ? ' at ' + s.node : ''), stranger: true }) }],
    });
    this.element = el('section', { class: 'card result' },
      el('div', { class: 'row' }, this.#pause, el('label', { class: 'check' }, this.#payload, 'show payloads'), this.#ofHere, this.#said), this.#table.element);
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
    this.#nodes.clear();
    this.#tell('connecting');
    this.#stop = follow(withQuery('api/tail', { ...tailOf(this.#of), payload: this.#payload.checked ? 1 : null, node: this.#here.checked ? 'this' : null }), {
      state: (open, why) => this.#tell(open ? '' : why),
      event: (name, data, json) => {
        if (name === 'send') this.#take({ ...data, payload: payloadOf(json) });
        else if (name === 'dropped') this.#missed += data.count;
        else if (name === 'node') this.#node(data);
        this.#tell(this.#closed);
      },
    }, silence);
  }

  // node takes what has become of a node.
  #node({ node, state, why }) {
    this.#ofHere.hidden = false; // there is a cluster
    if (state === 'gone') this.#nodes.delete(node);
    else this.#nodes.set(node, state === 'watched' ? '' : why ?? 'does not say why');
  }

  #tell(closed) {
    this.#closed = closed;
    const lost = [...this.#nodes].filter(([, why]) => why !== '').map(([name, why]) => ' Not those of node ' + name + ': it ' + why + '.').join('');
    const open = (this.#paused ? 'Paused.' : 'Sends as they happen' + (this.#nodes.size > 0 ? (this.#here.checked ? ' at this node.' : ' at all nodes.') : '.')) + lost + (this.#missed ? ' ' + count(this.#missed) + ' more were too many to show.' : '');
    write(this.#said, closed || open);
    if (this.#recent.list.length === 0) this.#table.refuse(closed ? '' : nothing);
  }

  #turn() {
    this.#paused = !this.#paused;
    write(this.#pause, this.#paused ? 'Go on' : 'Pause');
    this.#tell(this.#closed);
    this.#show();
  }

  #take(send) {
    // One send may be for several rooms, and one that is known comes by both ways.
    this.#recent.take(JSON.stringify([send.id, send.everyone ? null : send.room ?? this.#of?.room ?? null]), send);
    if (this.#timer === 0) this.#timer = setTimeout(() => this.#show(), redraw);
  }

  #show() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (!this.#paused) this.#table.show(this.#recent.list);
  }
}

// tailOf is what the tail is asked for to follow a room, { dialect, app, room }, or all. It
// does not name the app of a dialect that has one alone.
export const tailOf = (of) => (of ? { dialect: of.dialect, app: of.app === ownApp(of.dialect) ? null : of.app, room: of.room } : {});
