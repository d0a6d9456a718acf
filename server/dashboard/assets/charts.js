// The plots of the first view, all of one window of time.

import { el } from './dom.js';
import { Plot } from './plot.js';
import { Window, windows } from './series.js';
import { amount, bytes, byteRate, rate, seconds } from './format.js';

// Each plot: its title, its series by the names that the server has for them, how a value
// is written, and where its bound is told, if it has one. One that is optional is there once
// something is known of it.
const plots = [
  { title: 'Connections and open files', format: amount, limit: (o) => o.process.open_files_limit,
    series: [['connections', 'clients', 1], ['sender_connections', 'senders', 2], ['fds', 'open files', 6]] },
  { title: 'Sends', format: rate, series: [['published', 'accepted', 1]] },
  { title: 'Deliveries', format: rate, series: [['delivered', 'handed to clients', 3]] },
  { title: 'Latency', format: seconds, optional: true, series: [['latency_p99', '99 of 100', 2], ['latency_p50', 'half', 1]] },
  { title: 'Backlog', format: bytes, binary: true, limit: (o) => o.waiting.limit_bytes,
    series: [['backlog_bytes', 'to be written', 1], ['stuck_bytes', 'stuck', 2], ['unfetched_bytes', 'to be polled', 4]] },
  { title: 'Events that did not arrive', format: rate, series: [['held_back', 'held back', 4], ['refused', 'refused copies', 5], ['closed_slow', 'clients closed as too slow', 2]] },
  { title: 'Bytes on sockets', format: byteRate, binary: true, series: [['sent_bytes_total', 'written', 3], ['received_bytes_total', 'read', 4]] },
  { title: 'CPU', format: amount, limit: (o) => o.process.processors, series: [['cpu_seconds', 'processors in use', 1]] },
  { title: 'Memory', format: bytes, binary: true, limit: (o) => o.process.memory_limit_bytes,
    series: [['resident_bytes', 'resident', 1], ['memory_bytes', 'of Go', 3], ['heap_bytes', 'heap', 4]] },
];

export class Charts {
  #context;
  #window = null;
  #chosen = windows[0];
  #busy = false;
  #asked = 0; // when series were asked for last, in the server's seconds
  #plots = [];

  constructor(context) {
    this.#context = context;
    this.choice = this.#buildChoice();
    this.element = el('div', { class: 'plots' });
    for (const what of plots) if (!what.optional) this.#add(what);
  }

  #add(what) {
    const plot = new Plot({
      title: what.title, format: what.format, binary: what.binary, limit: what.limit ? 'limit' : null,
      series: what.series.map(([, label, colour]) => ({ label, colour })),
    });
    // In the order of the list, also those that are needed later.
    const behind = this.#plots.find((p) => plots.indexOf(p.what) > plots.indexOf(what));
    this.#plots.push({ what, plot });
    this.element.insertBefore(plot.figure, behind ? behind.plot.figure : null);
  }

  #buildChoice() {
    const choices = windows.map((w) => el('label', {},
      el('input', { type: 'radio', name: 'window', value: w.seconds, checked: w === this.#chosen, change: () => this.#choose(w) }), el('span', {}, w.label)));
    return el('fieldset', {}, el('legend', { class: 'hidden' }, 'Time shown'), el('div', { class: 'choice' }, choices));
  }

  #choose(w) {
    this.#chosen = w;
    this.#window = null;
    this.#asked = 0;
    if (this.#context.latest) this.show(this.#context.latest);
  }

  // show asks for what series have become since, as often as there is something new.
  async show(overview) {
    const now = Date.parse(overview.at) / 1000;
    if (this.#busy || now - this.#asked < this.#chosen.step) return;
    this.#busy = true;
    const window = this.#window ?? new Window(this.#chosen, plots.flatMap((what) => what.series.map(([name]) => name)));
    await this.#context.telling('series', async (signal) => {
      await window.update(now, signal);
      if (window.seconds !== this.#chosen.seconds) return; // another one was chosen meanwhile
      this.#asked = now;
      this.#window = window;
      this.#draw(overview, now);
    });
    this.#busy = false;
  }

  #draw(overview, now) {
    const isKnown = ([name]) => this.#window.of(name).some((v) => v !== null);
    for (const what of plots) if (!this.#plots.some((p) => p.what === what) && what.series.some(isKnown)) this.#add(what);
    for (const { what, plot } of this.#plots) {
      plot.show({
        from: now - this.#chosen.seconds, to: now, times: this.#window.times,
        series: what.series.map(([name]) => this.#window.of(name)), limit: what.limit?.(overview) ?? null,
      });
    }
  }
}
