'use strict';
// Sends a text to a connection, or ends it:
//   node send.js ID TEXT
//   node send.js --kick ID
const secret = process.env.DEMO_SOCKTOPUS_SECRET;
const server = process.env.SOCKTOPUS_URL || 'http://localhost:8080';
const args = process.argv.slice(2);
if (!secret || args.length !== 2) {
  console.error('usage: DEMO_SOCKTOPUS_SECRET=... node send.js ID TEXT | --kick ID');
  process.exit(2);
}

async function post(path, body) {
  const res = await fetch(server + path, { method: 'POST', body: JSON.stringify({ secretName: 'demo', secret, ...body }) });
  const text = await res.text();
  if (!res.ok) throw new Error(`${res.status} ${text}`);
  return JSON.parse(text);
}

async function main() {
  if (args[0] === '--kick') {
    await post('/kick', { connections: [args[1]] }); // up to five seconds
    console.log('kicked');
    return;
  }
  const { failed } = await post('/send', { messages: [{ recipient: args[0], content: args[1] }] });
  console.log(failed.length ? 'not connected' : 'sent');
}

main().catch((err) => { console.error(err.message); process.exitCode = 1; });
