// Sends an event with the official library: npm install pusher, then node send.js.
const Pusher = require('pusher');

const pusher = new Pusher({
  appId: process.env.PUSHER_APP_ID || '1',
  key: process.env.PUSHER_APP_KEY || 'shop-key',
  secret: process.env.PUSHER_APP_SECRET || 'replace-this-secret-of-the-shop',
  host: process.env.PUSHER_HOST || '127.0.0.1',
  port: process.env.PUSHER_PORT || '6001',
  useTLS: false,
});

pusher.trigger('news', 'event-name', { key1: 'value1' })
  .then((answer) => console.log('sent', answer.status))
  .catch((err) => {
    console.error('not sent', err.body || err.message);
    process.exit(1);
  });
