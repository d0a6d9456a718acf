// The series of a window of time, as the server keeps them, and what comes meanwhile.

import { ask } from './ask.js';

// windows are what can be chosen: how many seconds, and the step that the server keeps so
// many in.
export const windows = [
  { label: '15 min', seconds: 900, step: 1 },
  { label: '1 h', seconds: 3600, step: 10 },
  { label: '6 h', seconds: 21600, step: 60 },
  { label: '24 h', seconds: 86400, step: 60 },
];

// A Window holds series for one of them.
export class Window {
  #names;
  #times = [];
  #values = new Map();

  constructor({ seconds, step }, names) {
    this.seconds = seconds;
    this.step = step;
    this.#names = names;
  }

  // update asks for what is not there yet. now is the server's time in seconds.
  async update(now, signal) {
    const newest = this.#times.at(-1);
    const from = newest === undefined ? Math.floor(now - this.seconds) : newest + 0.001;
    const { times, series } = await ask('api/series', { signal, query: { step: this.step, from, names: this.#names.join() } });
    this.add(times, new Map(series.map((s) => [s.name, s.values])), now);
  }

  // add appends points that are newer than all before, with points that nothing is known
  // of where some are missing, and drops those that are too old.
  add(times, values, now) {
    times.forEach((t, i) => {
      const before = this.#times.at(-1);
      if (before !== undefined && t <= before) return;
      if (before !== undefined) for (let gap = Math.max(before + this.step, t - this.seconds); gap < t - this.step / 2; gap += this.step) this.#append(gap, () => null);
      this.#append(t, (name) => values.get(name)?.[i] ?? null);
    });
    const old = this.#times.findIndex((t) => t >= now - this.seconds);
    const drop = old < 0 ? this.#times.length : old;
    if (drop > 0) {
      this.#times.splice(0, drop);
      for (const list of this.#values.values()) list.splice(0, drop);
    }
  }

  #append(t, value) {
    this.#times.push(t);
    for (const name of this.#names) {
      if (!this.#values.has(name)) this.#values.set(name, []);
      this.#values.get(name).push(value(name));
    }
  }

  get times() { return this.#times; }
  of(name) { return this.#values.get(name) ?? []; }
}
