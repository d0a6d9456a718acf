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
  #body = el('tbody', { role: 'rowgroup' });
  #rows = new Map(); // of elements, by key
  #none;
  #noneText;
  #wrap;

  constructor({ caption, columns, key, none = 'Nothing.' }) {
    this.#columns = columns;
    this.#key = key;
    // The roles are those that tables have; on a phone, where rows are laid out as blocks,
    // browsers would forget them.
    const heads = columns.map((c) => el('th', { scope: 'col', role: 'columnheader', class: c.number ? 'number' : null }, c.head));
    const table = el('table', { role: 'table' }, el('caption', {}, caption), el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, heads)), this.#body);
    this.#none = el('p', { class: 'none' });
    this.#noneText = none;
    // What is wider than the screen is scrolled by keyboard too.
    this.#wrap = el('div', { class: 'scroll', role: 'group', 'aria-label': caption, tabindex: '0' }, table);
    this.element = el('div', { class: 'table' }, this.#wrap, this.#none);
    this.show([]);
  }

  // refuse has the table say why there is nothing to be shown.
  refuse(why) {
    this.show([]);
    write(this.#none, why);
  }

  // show has the table show these rows, in this order.
  show(list) {
    write(this.#none, this.#noneText);
    const focused = this.#body.contains(document.activeElement) ? document.activeElement : null;
    const wanted = new Map(list.map((row) => [this.#key(row), row]));
    for (const [key, tr] of this.#rows) {
      if (wanted.has(key)) continue;
      tr.remove();
      this.#rows.delete(key);
    }
    let place = this.#body.firstChild;
    for (const [key, row] of wanted) {
      const tr = this.#rows.get(key) ?? el('tr', { role: 'row' }, this.#columns.map(cell));
      this.#rows.set(key, tr);
      this.#columns.forEach((c, n) => fill(tr.children[n], c.of(row)));
      if (tr === place) place = place.nextSibling;
      else this.#body.insertBefore(tr, place);
    }
    this.#none.hidden = list.length > 0;
    // A row that is moved loses the focus.
    if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }
}

// cell makes one of a row, the first of which is its head.
const cell = ({ head, number }, i) => el(i === 0 ? 'th' : 'td', { scope: i === 0 ? 'row' : null, role: i === 0 ? 'rowheader' : 'cell', class: number ? 'number' : null, 'data-head': head });

// fill changes a cell, and keeps its element where that is still right.
function fill(at, what) {
  const { text, href = null, stranger = false, note = null } = typeof what === 'object' && what !== null ? what : { text: what };
  const shape = [href !== null, stranger, stranger && text === ''].join();
  if (at.dataset.shape !== shape) {
    at.dataset.shape = shape;
    const inner = stranger ? name(text) : null;
    at.replaceChildren(...(href !== null ? [el('a', {}, inner ?? '')] : inner ? [inner] : []));
  }
  if (href !== null) set(at.firstChild, 'href', href);
  set(at, 'title', note);
  if (href !== null) at = at.firstChild;
  if (stranger) at = at.firstChild;
  if (!(stranger && text === '')) write(at, text);
}
