// The view that sends an event. The secret of the dialect is asked for and stays in its
// field alone, which goes with the view.

import { el, write } from './dom.js';
import { ask } from './ask.js';
import { explanation } from './explanation.js';
import { whose } from './links.js';

// What a dialect wants of a form.
const dialects = {
  'socket.io': { secret: 'SERVER_SECRET', room: 'Room', everyone: true, event: true, payload: 'Payload, JSON' },
  pusher: { secret: 'Secret of the app', room: 'Channel', event: true, payload: 'Payload, JSON' },
  echo: { secret: 'Key of ECHO_KEYS', room: 'Channel', event: true, payload: 'Payload, JSON' },
  socktopus: { secret: 'Secret of the application', room: 'Id of the connection', payload: 'Message, any text', isText: true },
};

export function send(context) {
  const form = build(context.values);
  const fault = el('p', { class: 'error', role: 'alert', hidden: true });
  const result = el('section', { class: 'card result', hidden: true, tabindex: '-1', 'aria-label': 'Result' });

  const complain = (text) => {
    write(fault, text);
    fault.hidden = text === '';
  };
  form.element.addEventListener('submit', async (event) => {
    event.preventDefault();
    complain('');
    form.button.disabled = true;
    try {
      const answer = await ask('api/send', { signal: context.signal, body: form.body() });
      result.replaceChildren(...explanation(answer));
      result.hidden = false;
      result.focus();
    } catch (err) {
      if (!context.signal.aborted) complain(err.message);
    }
    form.button.disabled = false;
  });
  context.signal.addEventListener('abort', () => form.forget());
  return {
    title: 'Send',
    nodes: [el('h1', { tabindex: '-1' }, 'Send an event'), el('section', { class: 'card' }, form.element), fault, result],
    update: (now) => form.offer(now.connections.apps),
  };
}

function build(values) {
  const plain = { autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' };
  const app = el('select', { id: 'app', required: true, change: () => adapt() });
  const secret = el('input', { id: 'secret', type: 'password', required: true, ...plain });
  const room = el('input', { id: 'room', ...plain });
  const everyone = el('input', { id: 'everyone', type: 'checkbox', change: () => adapt() });
  const event = el('input', { id: 'event', required: true, ...plain });
  const payload = el('textarea', { id: 'payload', spellcheck: 'false' });
  const button = el('button', { class: 'main' }, 'Send');
  const titles = { secret: el('span'), room: el('span'), payload: el('span') };
  const fields = { everyone: el('label', { class: 'check' }, everyone, 'to everyone'), event: el('label', {}, 'Event', event) };
  room.value = values.room ?? '';
  let apps = [], offered = false;
  const chosen = () => apps[app.value] ?? null;
  const wants = () => dialects[chosen()?.dialect] ?? dialects['socket.io'];

  function adapt() {
    const w = wants();
    write(titles.secret, w.secret);
    write(titles.room, w.room);
    write(titles.payload, w.payload);
    fields.everyone.hidden = !w.everyone;
    fields.event.hidden = !w.event;
    event.disabled = !w.event;
    room.disabled = Boolean(w.everyone) && everyone.checked;
  }

  adapt();
  return {
    button,
    element: el('form', {}, el('div', { class: 'row' }, el('label', {}, 'App', app), el('label', {}, titles.secret, secret)),
      el('div', { class: 'row' }, el('label', {}, titles.room, room), fields.everyone, fields.event), el('label', {}, titles.payload, payload),
      el('div', { class: 'row' }, button, el('p', { class: 'hint' }, 'The secret signs this one request and is kept nowhere.'))),
    forget() { secret.value = ''; },
    // offer fills the list of apps once; devices of the Push Socket Protocol sign by
    // themselves, so nobody can send in their name.
    offer(all) {
      if (offered) return;
      offered = true;
      apps = all.filter((a) => Object.hasOwn(dialects, a.dialect));
      app.append(...apps.map((a, i) => el('option', { value: i, selected: a.dialect === values.dialect && a.app === values.app }, whose(a))));
      adapt();
    },
    body: () => written({ app: chosen(), wants: wants(), secret: secret.value, room: room.disabled ? null : room.value, event: event.value, payload: payload.value }),
  };
}

// written makes the request. A payload goes as it was typed: read and written again, its
// large numbers would not be the same.
export function written({ app, wants, secret, room, event, payload }) {
  if (!app) throw new Error('There is no app to send to.');
  const fields = { dialect: app.dialect, app: app.app, secret, ...(room === null ? {} : { room }), ...(wants.event ? { event } : {}) };
  let value = JSON.stringify(payload);
  if (!wants.isText) {
    try {
      JSON.parse(payload);
    } catch (err) {
      throw new Error('The payload is no JSON: ' + err.message);
    }
    value = payload;
  }
  return JSON.stringify(fields).slice(0, -1) + ',"payload":' + value + '}';
}
