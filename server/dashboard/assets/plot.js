// Plots of series over time, drawn as SVG.

import { el, set, svg, write } from './dom.js';
import { area, gathered, largest, line, ticks, timeTicks } from './scale.js';
import { clock, unknown } from './format.js';

const height = 150, left = 58, right = 8, above = 8, below = 20;

// A Plot shows series of one unit. what is
//   title    what it shows
//   series   a list of { label, colour }: colour is a number of the style sheet's
//   format   makes a text of a value
//   binary   round steps are powers of two
//   limit    the label of a bound, if there is one
//
// By keyboard it is a slider over its times, whose text says what was at each.
export class Plot {
  #what;
  #data = { from: 0, to: 1, times: [], series: [], limit: null };
  #at = null; // the index of the point that somebody looks at
  #looked = null; // its time, which stays while points come and go
  #width = 0;
  #drawing = svg('svg', { class: 'drawing', 'aria-hidden': 'true' });
  #parts = {};
  #rows = [];
  #time = el('span', { class: 'when' });
  #area; // what is drawn in, and has the focus

  constructor(what) {
    this.#what = what;
    this.figure = this.#build();
    new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width !== this.#width) {
        this.#width = width;
        this.#draw();
      }
    }).observe(this.#area);
  }

  #build() {
    const { title, series, limit } = this.#what;
    for (const part of ['grid', 'areas', 'lines', 'cursor']) this.#parts[part] = this.#drawing.appendChild(svg('g', { class: part }));
    this.#area = el('div', {
      class: 'plot', role: 'slider', tabindex: '0', 'aria-label': title + ', over time', 'aria-valuemin': '0', 'aria-valuemax': '0', 'aria-valuenow': '0',
      keydown: (event) => this.#key(event), pointermove: (event) => this.#point(event), pointerdown: (event) => this.#point(event),
      pointerleave: () => this.#look(null), focus: () => this.#look(this.#at ?? this.#last), blur: () => this.#look(null),
    }, this.#drawing);
    const legend = el('ul', { class: 'legend' });
    for (const s of limit ? [...series, { label: limit, colour: 'limit' }] : series) {
      const value = el('span', { class: 'value' }, unknown);
      this.#rows.push(value);
      legend.append(el('li', {}, svg('svg', { class: 'swatch', viewBox: '0 0 12 12', 'aria-hidden': 'true' },
        s.colour === 'limit' ? svg('path', { class: 'limit', d: 'M0 6h12' }) : svg('rect', { class: 'fill' + s.colour, width: 12, height: 12, rx: 3 })), s.label + ' ', value));
    }
    return el('figure', { class: 'card' }, el('figcaption', {}, el('span', { class: 'title' }, title), this.#time), this.#area, legend);
  }

  // show draws other numbers, of the time between from and to. Times are seconds since
  // 1970; for each series there are as many values as times, null where one is not known.
  // limit is the value of the bound.
  show({ from, to, times, series, limit = null }) {
    const most = Math.max(60, this.#width || 600);
    this.#data = { from, to, times: gathered(times, most), series: series.map((s) => gathered(s, most)), limit };
    if (this.#looked !== null) {
      this.#at = this.#nearest(this.#looked);
    }
    this.#draw();
  }

  // the index of the newest point, null where there is none
  get #last() { return this.#data.times.length - 1 < 0 ? null : this.#data.times.length - 1; }

  #x(t) {
    const { from, to } = this.#data;
    return left + (this.#width - left - right) * (t - from) / (to - from);
  }

  // nearest is the index of the point that is nearest to a time, null where there is none.
  #nearest(time) {
    let best = this.#last;
    this.#data.times.forEach((t, i) => { if (Math.abs(t - time) < Math.abs(this.#data.times[best] - time)) best = i; });
    return best;
  }

  #draw() {
    const { times, series, limit } = this.#data;
    if (this.#width < 120) return; // it is not shown
    set(this.#drawing, 'width', this.#width);
    set(this.#drawing, 'height', height);
    const most = largest(series);
    // A bound that is far away would leave a flat line of what there is.
    const near = limit !== null && limit <= 5 * most;
    const { top, list } = ticks(near ? Math.max(most, limit) : most, 4, this.#what.binary);
    const x = (i) => this.#x(times[i]);
    const y = (v) => above + (height - above - below) * (1 - v / top);
    this.#drawGrid(list, y);
    this.#parts.areas.replaceChildren();
    this.#parts.lines.replaceChildren();
    series.forEach((values, i) => {
      const colour = this.#what.series[i].colour;
      if (series.length === 1) this.#parts.areas.append(svg('path', { class: 'area fill' + colour, d: area(values, x, y) }));
      this.#parts.lines.append(svg('path', { class: 'line stroke' + colour, d: line(values, x, y) }));
    });
    if (near) this.#parts.lines.append(svg('path', { class: 'limit', d: `M${left} ${y(limit).toFixed(1)}H${this.#width - right}` }));
    this.#tell();
  }

  #drawGrid(list, y) {
    const grid = this.#parts.grid;
    grid.replaceChildren();
    for (const v of list) {
      const at = y(v).toFixed(1);
      grid.append(svg('path', { d: `M${left} ${at}H${this.#width - right}` }), svg('text', { x: left - 6, y: at, class: 'up' }, this.#what.format(v)));
    }
    const { from, to } = this.#data;
    const offset = -60 * new Date(to * 1000).getTimezoneOffset();
    for (const t of timeTicks(from, to, Math.max(2, Math.floor((this.#width - left) / 90)), offset)) {
      const at = this.#x(t);
      if (at < left + 16 || at > this.#width - right - 14) continue;
      grid.append(svg('text', { x: at.toFixed(1), y: height - 5, class: 'along' }, clock(t * 1000, false)));
    }
  }

  // tell writes the numbers of the point that is looked at, or of the newest that is known.
  #tell() {
    const { times, series, limit } = this.#data;
    const last = times.length - 1;
    const i = this.#at ?? last;
    const texts = series.map((s) => (s[i] === null || s[i] === undefined ? unknown : this.#what.format(s[i])));
    if (this.#what.limit) texts.push(limit === null ? unknown : this.#what.format(limit));
    texts.forEach((text, n) => write(this.#rows[n], text));
    write(this.#time, this.#at === null || last < 0 ? '' : clock(times[i] * 1000));
    const cursor = this.#parts.cursor;
    if (this.#at === null) cursor.replaceChildren();
    else cursor.replaceChildren(svg('path', { d: `M${this.#x(times[i]).toFixed(1)} ${above}V${height - below}` }));
    set(this.#area, 'aria-valuemax', Math.max(0, last));
    set(this.#area, 'aria-valuenow', Math.max(0, i));
    const labels = this.#what.series.map((s) => s.label);
    const said = labels.map((label, n) => label + ' ' + texts[n]).join(', ');
    set(this.#area, 'aria-valuetext', last < 0 ? 'nothing yet' : clock(times[i] * 1000) + ': ' + said);
  }

  #look(at) {
    if (at === this.#at) return;
    this.#at = at;
    this.#looked = at === null ? null : this.#data.times[at];
    this.#tell();
  }

  #point(event) {
    if (this.#last === null) return;
    const { from, to } = this.#data;
    const share = (event.clientX - this.#area.getBoundingClientRect().left - left) / (this.#width - left - right);
    this.#look(this.#nearest(from + share * (to - from)));
  }

  #key(event) {
    const last = this.#last;
    if (last === null) return;
    const at = this.#at ?? last;
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, PageDown: at - 30, PageUp: at + 30, Home: 0, End: last }[event.key];
    if (event.key === 'Escape') this.#look(null);
    else if (to !== undefined) this.#look(Math.max(0, Math.min(last, to)));
    else return;
    event.preventDefault();
  }
}
