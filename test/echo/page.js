'use strict'
// A page with Laravel Echo: node page.js ECHO CLIENT URL OPTIONS
//
// ECHO is echo-1 or echo-2, CLIENT one of the folders sio-*. Each line of standard input is a
// list of JSON: what to do, and with what. Each thing that happens is a line of JSON.

const readline = require('node:readline')
const [, , echoName, clientName, url, options] = process.argv
const print = (line) => process.stdout.write(JSON.stringify(line) + '\n')

async function main () {
  const Echo = echoName === 'echo-1' ? require('echo-1').default : (await import('echo-2')).default
  const io = require(clientName)
  const echo = new Echo({
    broadcaster: 'socket.io',
    host: url,
    client: io,
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
    forceNew: true,
    ...JSON.parse(options || '{}')
  })
  const socket = echo.connector.socket
  let left = false // a client says so in different words
  socket.on('connect', () => { left = false; print(['connect', echo.socketId()]) })
  socket.on('disconnect', () => { if (!left) print(['disconnect']); left = true })
  socket.on('subscription_error', (channel, status) => print(['subscription_error', channel, status]))
  const failed = (e) => print(['failed', String((e && e.message) || e)])
  socket.on('connect_error', failed)
  socket.on('error', failed)

  const channels = {
    public: (name) => echo.channel(name),
    private: (name) => echo.private(name),
    presence: (name) => echo.join(name)
  }
  const doing = {
    // A channel of a kind, and the events that it listens to.
    join (kind, name, events) {
      const channel = channels[kind](name)
      for (const event of events || []) channel.listen(event, (data) => print(['event', name, event, data]))
      if (kind === 'presence') {
        channel.here((users) => print(['here', name, users]))
        channel.joining((user) => print(['joining', name, user]))
        channel.leaving((user) => print(['leaving', name, user]))
      }
      if (kind !== 'public') {
        channel.listenForWhisper('typing', (data) => print(['whisper', name, data]))
        channel.notification((data) => print(['notification', name, data]))
      }
    },
    whisper (kind, name, data) { channels[kind](name).whisper('typing', data) },
    leave (name) { echo.leave(name) },
    emit (...args) { socket.emit(...args) },
    // Cuts the connection as a network does, not as somebody who leaves.
    cut () { socket.io.engine.close() },
    close () { echo.disconnect() },
    ping () { print(['pong']) }
  }
  print(['ready'])
  const lines = readline.createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    const [what, ...args] = JSON.parse(line)
    doing[what](...args)
  })
  lines.on('close', () => process.exit(0))
}

main().catch((e) => { console.error(e); process.exit(1) })
