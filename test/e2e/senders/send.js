// Posts one event with nothing but Node: node send.js URL SECRET ROOM EVENT PAYLOAD
'use strict';
const crypto = require('crypto');

const [url, secret, room, event, text] = process.argv.slice(2);
const payload = JSON.parse(text);
const token = crypto.createHash('sha1').update(secret + JSON.stringify(payload)).digest('hex');

fetch(url, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json', Authorization: token },
  body: JSON.stringify({ room, event, payload })
}).then(answer => console.log(answer.status));
