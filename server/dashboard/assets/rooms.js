// The view of all rooms, with a search. It asks when it is asked to: a search goes
// through the server's rooms.

import { el, write } from './dom.js';
import { Table } from './table.js';
import { ask } from './ask.js';
import { count } from './format.js';
import { room, roomKey, whose } from './links.js';
import { address } from './router.js';
import { told } from './told.js';

const pause = 250; // milliseconds after a key before it is searched

export function rooms(context) {
  const table = new Table({
    caption: 'Rooms', none: 'No room has such a name.', key: roomKey,
    columns: [{ head: 'Room', of: room }, { head: 'Of', of: whose }, { head: 'Connections', of: (r) => count(r.connections), number: true }, { head: 'Users', of: (r) => (r.users ? count(r.users) : ''), number: true }],
  });
  const form = build(context.values, () => later(0), () => later(pause));
  const said = el('p', { class: 'hint', role: 'status' });
  const more = el('button', { type: 'button', hidden: true, click: () => search(true) }, 'More');
  let shown = [], next = null, timer = 0, newest = new AbortController();

  function later(ms) {
    clearTimeout(timer);
    timer = setTimeout(() => search(false), ms);
  }

  async function search(further) {
    newest.abort(); // it is overtaken, and has nothing more to say
    newest = new AbortController();
    const wanted = form.wanted();
    history.replaceState(null, '', address('rooms', wanted));
    await context.telling('rooms', async (signal) => {
      const found = await told(ask('api/rooms', { signal, query: { ...wanted, limit: 50, after: further ? next : null } }), (why) => {
        table.refuse(why);
        more.hidden = true;
        write(said, '');
      });
      if (!found) return;
      shown = further ? [...shown, ...found.rooms] : found.rooms;
      next = found.next;
      table.show(shown);
      more.hidden = next === null;
      write(said, count(shown.length) + (next === null ? ' found' : ' shown, there are more') + ', ' + count(found.looked_at) + ' looked at' +
        (found.whole ? '' : '; the server has more rooms than are looked at, so some may be missing'));
    }, AbortSignal.any([context.signal, newest.signal]));
  }

  later(0);
  context.signal.addEventListener('abort', () => clearTimeout(timer));
  return {
    title: 'Rooms',
    nodes: [el('h1', { tabindex: '-1' }, 'Rooms'), form.element, el('section', { class: 'card result' }, said, table.element, el('div', {}, more))],
    update: (now) => form.offer(now.connections.apps),
    back: () => later(0), // the server is there again
  };
}

// build makes the form of the search.
function build(values, now, soon) {
  const text = el('input', { id: 'search', type: 'search', name: 'search', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none', maxlength: 200, input: soon });
  text.value = values.search ?? '';
  const app = el('select', { id: 'app', change: now }, el('option', { value: '' }, 'all apps'));
  const sort = el('select', { id: 'sort', change: now }, el('option', { value: '' }, 'by name'), el('option', { value: 'connections' }, 'largest first'));
  sort.value = values.sort ?? '';
  const own = el('input', { type: 'checkbox', id: 'own', checked: values.own === '1', change: now });
  // An app is chosen by its place: its name may be anything.
  let apps = values.dialect ? [{ dialect: values.dialect, app: values.app }] : [];
  const list = (all) => {
    const chosen = apps[app.value];
    apps = all;
    app.replaceChildren(app.firstChild, ...apps.map((a, i) => el('option', { value: i }, whose(a))));
    const at = apps.findIndex((a) => chosen && a.dialect === chosen.dialect && a.app === chosen.app);
    app.value = at < 0 ? '' : String(at);
  };
  list(apps);
  if (apps.length > 0) app.value = '0';
  let offered = false;
  return {
    element: el('form', { class: 'card', role: 'search', submit: (event) => { event.preventDefault(); now(); } }, el('div', { class: 'row' },
      el('label', {}, 'Part of the name', text), el('label', {}, 'App', app), el('label', {}, 'Order', sort),
      el('label', { class: 'check' }, own, 'also clients’ own rooms'), el('button', { class: 'main' }, 'Search'))),
    wanted: () => ({ search: text.value || null, dialect: apps[app.value]?.dialect, app: apps[app.value]?.app, sort: sort.value || null, own: own.checked ? '1' : null }),
    offer(all) {
      if (!offered) list(all);
      offered = true;
    },
  };
}
