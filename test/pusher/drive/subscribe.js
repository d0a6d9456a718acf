// One client of pusher-js 8 joins a private channel, the npm server library sends it an
// event, and this prints what arrived.
'use strict';
const Server = require('pusher');
const module8 = require('pusher-js-8');
const Pusher = module8.Pusher || module8.default || module8;

const settings = JSON.parse(process.argv[2]);
const server = new Server({
  appId: settings.app, key: settings.key, secret: settings.secret, host: '127.0.0.1', port: settings.port, useTLS: false,
});
const fail = text => {
  console.error(text);
  process.exit(1);
};
setTimeout(() => fail('nothing arrived'), 25000);
process.on('unhandledRejection', err => fail(String((err && err.body) || err)));

const client = new Pusher(settings.key, {
  cluster: 'mt1', wsHost: '127.0.0.1', wsPort: settings.port, wsPath: settings.path || '', forceTLS: false,
  enabledTransports: ['ws'], disableStats: true,
  channelAuthorization: { customHandler: ({ socketId, channelName }, done) => done(null, server.authorizeChannel(socketId, channelName)) },
});
client.connection.bind('error', err => fail(JSON.stringify(err)));
const channel = client.subscribe('private-orders.7');
channel.bind('pusher:subscription_error', err => fail(JSON.stringify(err)));
channel.bind('pusher:subscription_succeeded', () => server.trigger('private-orders.7', 'OrderShipped', { order: 7 }));
channel.bind('OrderShipped', data => {
  console.log(JSON.stringify(data));
  process.exit(0);
});
