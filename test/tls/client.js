// One real client over TLS: says "in" when it is in its room, then each event it gets.
//   node client.js sio MODULE URL polling|websocket|upgrade | node client.js pusher MODULE PORT KEY
'use strict'
const [kind, path, at, how] = process.argv.slice(2)
const lib = require(path)
const say = (...words) => console.log(words.join(' '))
if (kind === 'sio') {
  const connect = lib.io || lib
  const upgrade = how === 'upgrade'
  const socket = connect(at, upgrade ? { forceNew: true } : { transports: [how], upgrade: false, forceNew: true })
  const enter = () => { socket.emit('room', 'r'); say('in') }
  if (upgrade) socket.io.on('open', () => socket.io.engine.on('upgrade', enter))
  else socket.on('connect', enter)
  socket.on('e', data => say('got', JSON.stringify(data)))
  for (const bad of ['connect_error', 'error']) socket.on(bad, err => say('failed', err && (err.description || err.message || err)))
} else {
  const Pusher = lib.default || lib
  const pusher = new Pusher(how, { wsHost: '127.0.0.1', wssPort: Number(at), cluster: '', forceTLS: true, enabledTransports: ['ws', 'wss'], disableStats: true })
  pusher.connection.bind('error', err => say('failed', JSON.stringify(err)))
  const channel = pusher.subscribe('r')
  channel.bind('pusher:subscription_succeeded', () => say('in'))
  channel.bind('e', data => say('got', JSON.stringify(data)))
}
