// Sends one event to Poosh. Needs Node 18 or newer and no package.
//
//   node send.js [EVENT [PAYLOAD-AS-JSON [ROOM]]]
//
// Without ROOM the event goes to every connected client. The environment names
// the server and the secret: POOSH_URL, POOSH_SECRET.
'use strict'

const crypto = require('node:crypto')

const url = process.env.POOSH_URL || 'http://localhost:1337/send'
const secret = process.env.POOSH_SECRET || 'thisisthesharedsecret'

// send resolves to the number of connections that the event was handed to. With
// room undefined it goes to every connected client.
async function send (event, payload, room) {
  const json = JSON.stringify(payload)
  const token = crypto.createHash('sha1').update(secret + json).digest('hex')
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: token },
    body: JSON.stringify({ room, event, payload }), // leaves out an undefined room
    signal: AbortSignal.timeout(10_000)
  })
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`Poosh answered ${answer.status}: ${text}`)
  return Number(answer.headers.get('X-Poosh-Delivered'))
}

async function main () {
  const [event = 'event-name', payload = '{"text":"hello from Node"}', room] = process.argv.slice(2)
  const reached = await send(event, JSON.parse(payload), room)
  console.log(`sent to ${reached} connections`)
}

main().catch((error) => {
  console.error(error.cause ? `${error.message}: ${error.cause.message || error.cause.code}` : error.message)
  process.exitCode = 1
})
