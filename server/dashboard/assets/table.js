// Tables whose rows change while somebody reads them.

import { el, name, set, write } from './dom.js';

// A Table shows rows. columns are { head, of, number }: of(row) returns the text of a
// cell, or { text, href, stranger, note } where it is a link, a name that a stranger may
// have chosen, or has more to say on the pointer. The first cell heads its row.
//
// key(row) tells rows apart: the elements of a row that stays are kept, so that the focus
// and what is selected stay too.
export class Table {
  #columns;
  #key;
  #body = el('tbody');
  #rows = new Map(); // of elements, by key
  #none;
  #wrap;

  constructor({ caption, columns, key, none = 'Nothing.', hideCaption = false }) {
    this.#columns = columns;
    this.#key = key;
    const heads = columns.map((c) => el('th', { scope: 'col', class: c.number ? 'number' : null }, c.head));
    const table = el('table', {}, el('caption', { class: hideCaption ? 'hidden' : null }, caption), el('thead', {}, el('tr', {}, heads)), this.#body);
    this.#none = el('p', { class: 'none' }, none);
    // What is wider than the screen is scrolled by keyboard too.
    this.#wrap = el('div', { class: 'scroll', role: 'group', 'aria-label': caption, tabindex: '0' }, table);
    this.element = el('div', { class: 'table' }, this.#wrap, this.#none);
    this.show([]);
  }

  // show has the table show these rows, in this order.
  show(list) {
    const focused = this.#body.contains(document.activeElement) ? document.activeElement : null;
    const kept = new Map();
    list.forEach((row, i) => {
      const key = this.#key(row);
      const tr = this.#rows.get(key) ?? el('tr', {}, this.#columns.map((c, n) => el(n === 0 ? 'th' : 'td', { scope: n === 0 ? 'row' : null, class: c.number ? 'number' : null })));
      kept.set(key, tr);
      this.#columns.forEach((c, n) => fill(tr.children[n], c.of(row)));
      if (this.#body.children[i] !== tr) this.#body.insertBefore(tr, this.#body.children[i] ?? null);
    });
    for (const [key, tr] of this.#rows) if (!kept.has(key)) tr.remove();
    this.#rows = kept;
    this.#none.hidden = list.length > 0;
    // A row that is moved loses the focus.
    if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  // say has it show other words where there are no rows.
  say(text) { write(this.#none, text); }
}

// fill changes a cell, and keeps its element where that is still right.
function fill(cell, what) {
  const { text, href = null, stranger = false, note = null } = typeof what === 'object' && what !== null ? what : { text: what };
  const shape = [href !== null, stranger, stranger && text === ''].join();
  if (cell.dataset.shape !== shape) {
    cell.dataset.shape = shape;
    const inner = stranger ? name(text) : null;
    cell.replaceChildren(...(href !== null ? [el('a', {}, inner ?? '')] : inner ? [inner] : []));
  }
  if (href !== null) set(cell.firstChild, 'href', href);
  set(cell, 'title', note);
  let at = cell;
  if (href !== null) at = at.firstChild;
  if (stranger) at = at.firstChild;
  if (!(stranger && text === '')) write(at, text);
}
