// Gives pusher-js 4 to 8, and Laravel Echo on top of it, what they missed while they were
// away, from a Poosh with PUSHER_HISTORY. Call it once, before the first `new Pusher`:
//
//   resumePusher(Pusher)
//
// After that each channel goes on where it was when its connection is back: missed events
// come first, in order, and none comes twice. A channel that cannot (too long away, or the
// server began anew) gets the event `pusher:resume_failed`: load what it shows anew then.
(function (root) {
  function resumePusher(Pusher) {
    var runtime = Pusher.Runtime, make = runtime.createWebSocket
    runtime.createWebSocket = function (url) {
      var socket = make.call(runtime, url.replace('protocol=7', 'protocol=2'))
      var send = socket.send, close = socket.close, at = {}, heads = {}, ids = {}, id, met, hear, gone
      function leave() { gone = true }
      // Until it has all that it missed, what it sent itself on connections before is not for it.
      function place(m, c) { return { stream_id: m.stream_id, serial: m.serial, socket_id: ids[c] || id } }
      // Finds whose connection this is, and where it was: as a channel that it has kept since.
      // What it sends from now on is not for it, should this end before it has all.
      function find(channel) {
        Pusher.instances.forEach(function (p) {
          var c = p.connection.connection, of = p.resumeOf = p.resumeOf || {}, now = p.channels.channels, name
          if (!c || !c.transport || c.transport.socket !== socket) return
          at = p.resumeAt = p.resumeAt || {}
          for (name in at) if (of[name] !== now[name]) delete at[name]
          for (name in of) if (of[name] !== now[name]) delete of[name]
          if (channel) of[channel] = now[channel]
          for (name in at) if (at[name] && !met) ids[name] = at[name].socket_id = [].concat(at[name].socket_id, id).slice(-20)
          met = true
        })
        return at[channel]
      }

      socket.send = function (text) {
        var m = JSON.parse(text), channel = m.data && m.data.channel
        if (m.event === 'pusher:subscribe') m.data.resume = find(channel)
        if (m.event === 'pusher:unsubscribe') delete at[channel]
        m.event = m.event.replace(/^pusher:/, 'sockudo:')
        return send.call(socket, JSON.stringify(m))
      }
      socket.close = function () {
        leave()
        return close.apply(socket, arguments)
      }
      socket.addEventListener('close', leave)
      // pusher-js hears what follows alone: Node's sockets call what they find here themselves.
      Object.defineProperty(socket, 'onmessage', { get: function () { return null }, set: function (f) { hear = f } })
      socket.addEventListener('message', function (e) {
        if (gone || !hear) return
        var m = JSON.parse(e.data), channel = m.channel, was = at[channel]
        m.event = m.event.replace(/^sockudo(?=:|_internal:)/, 'pusher')
        if (m.event === 'pusher:connection_established') id = JSON.parse(m.data).socket_id
        if (m.event === 'pusher:resume_success') {
          JSON.parse(m.data).recovered.forEach(function (r) {
            delete ids[r.channel]
            at[r.channel] = place(r.position)
          })
        } else if (m.event === 'pusher:resume_failed') {
          at[channel] = heads[channel]
          delete ids[channel]
        } else if (m.event === 'pusher_internal:subscription_succeeded') {
          heads[channel] = m.stream_id && place(m, channel)
          if (!was) at[channel] = heads[channel]
        } else if (m.serial) {
          if (was && was.stream_id === m.stream_id && was.serial >= m.serial) return
          at[channel] = place(m, channel)
        }
        hear({ data: JSON.stringify(m) })
        if (!met) find()
      })
      return socket
    }
  }
  if (typeof module === 'object') module.exports = resumePusher
  else root.resumePusher = resumePusher
})(this)
