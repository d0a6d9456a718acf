'use strict'
// A page's part in an application of Laravel: connects to the port given, joins the rooms
// given as JSON, and prints its id and then every event, each as a line of JSON.

const path = require('node:path')
const io = require(path.join(__dirname, '..', 'e2e', 'npm', 'node_modules', 'sio-4.8.1'))

const socket = io.io(`http://127.0.0.1:${process.argv[2]}`, { transports: ['websocket'] })
const print = (line) => process.stdout.write(JSON.stringify(line) + '\n')
socket.on('connect', () => {
  for (const room of JSON.parse(process.argv[3])) socket.emit('room', room)
  print({ id: socket.id })
})
socket.onAny((event, payload) => print({ event, payload }))
process.stdin.on('end', () => process.exit(0)).resume()
