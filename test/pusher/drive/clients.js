// Runs pusher-js clients, and Laravel Echo on top of them, and reports what they
// see. It is the same code in Node and in a page.
'use strict';

// text writes a value as JSON; what has none is named.
function text(value) {
  if (value === undefined) return 'undefined';
  try {
    return JSON.stringify(value);
  } catch (err) {
    return String(err);
  }
}

// short is what is told of an event's data: of a quiet client, whose events are many, the first word, unless
// it is to be told whole.
function short(client, data) {
  return client.quiet && client.quiet !== 'whole' && typeof data === 'string' ? data.split(' ')[0] : data;
}

// makeClients returns the function that carries out a command. load gives the
// Pusher class of a version, and Echo; say takes reports.
function makeClients(load, say) {
  const clients = new Map();
  const resuming = new Set(); // Pusher classes that have the plugin of examples/pusher

  function open(cmd) {
    const Pusher = load(cmd.version);
    if (cmd.resume && !resuming.has(Pusher)) load('resume')(Pusher);
    if (cmd.resume) resuming.add(Pusher);
    const pusher = new Pusher(cmd.key, cmd.options);
    const client = { pusher, echo: null };
    clients.set(cmd.id, client);
    const see = (saw, name, data, channel) => say({ id: cmd.id, saw, name: name || '', text: text(data), channel: channel || '', at: Date.now() });
    client.see = see;
    client.quiet = cmd.quiet;
    pusher.connection.bind('state_change', s => see('state', s.current));
    let connections = 0;
    pusher.connection.bind('connected', () => {
      see('connected', pusher.connection.socket_id);
      if (++connections === cmd.leaves) pusher.disconnect(); // before any answer
    });
    pusher.connection.bind('error', err => see('error', '', err && (err.error || err)));
    // Everything that a channel, or the connection itself, hands to its page; of a quiet
    // client what is in a channel is told by that.
    pusher.bind_global((name, data) => { if (!cmd.quiet || name === 'bait') see('event', name, data); });
    if (pusher.user) pusher.user.bind_global((name, data) => see('user', name, data));
    if (pusher.user && pusher.user.watchlist) pusher.user.watchlist.bind_global((name, data) => see('watchlist', name, data));
    if (cmd.echo) {
      const Echo = load('echo');
      client.echo = new Echo({ broadcaster: cmd.echo, key: cmd.key, client: pusher });
    }
  }

  function subscribe(client, name) {
    const channel = client.pusher.subscribe(name);
    channel.bind_global((event, data) => {
      if (!event.startsWith('pusher_internal:')) client.see('channel', event, short(client, data), name);
    });
    channel.bind('client-y', (data, metadata) => client.see('from', 'client-y', metadata && metadata.user_id, name));
    channel.bind('pusher:subscription_succeeded', () => {
      if (channel.members) {
        const ids = [];
        channel.members.each(m => ids.push([m.id, m.info]));
        client.see('members', '', { count: channel.members.count, me: channel.members.me && channel.members.me.id, ids }, name);
      }
    });
  }

  // listen has Echo listen to everything that a channel of a kind can tell.
  function listen(client, cmd) {
    const { see } = client;
    const channel = client.echo[cmd.kind](cmd.channel);
    channel.listen(cmd.event, data => see('echo', cmd.event, short(client, data), cmd.channel));
    channel.error(err => see('echo', 'error', err, cmd.channel));
    if (channel.subscribed) channel.subscribed(() => see('echo', 'subscribed', null, cmd.channel));
    if (channel.listenForWhisper) channel.listenForWhisper('typing', data => see('echo', 'whisper', data, cmd.channel));
    if (channel.here) channel.here(users => see('echo', 'here', users, cmd.channel));
    if (channel.joining) channel.joining(user => see('echo', 'joining', user, cmd.channel));
    if (channel.leaving) channel.leaving(user => see('echo', 'leaving', user, cmd.channel));
    client.channels = { ...client.channels, [cmd.channel]: channel };
  }

  return function command(cmd) {
    if (cmd.op === 'open') return open(cmd);
    const client = clients.get(cmd.id);
    switch (cmd.op) {
      case 'subscribe': return subscribe(client, cmd.channel);
      case 'unsubscribe': return client.pusher.unsubscribe(cmd.channel);
      case 'trigger': return client.see('triggered', cmd.event, client.pusher.channel(cmd.channel).trigger(cmd.event, cmd.data));
      case 'signin': return client.pusher.signin();
      case 'listen': return listen(client, cmd);
      case 'whisper': return client.channels[cmd.channel].whisper('typing', cmd.data);
      case 'socketid': return client.see('socketid', client.echo.socketId());
      case 'leave': return client.echo.leave(cmd.channel);
      case 'disconnect': return client.pusher.disconnect();
      case 'connect': return client.pusher.connect();
      case 'places': // that the plugin of examples/pusher has of channels
        return client.see('places', '', ['resumeOf', 'resumeAt'].map(of => Object.keys(client.pusher[of]).sort().join(' ')));
      case 'place': // gives the plugin a place of another page's, or of another time, for a channel
        return Object.assign(client.pusher.resumeAt[cmd.channel], cmd.place);
      case 'place of': return client.see('place of', '', client.pusher.resumeAt[cmd.channel], cmd.channel);
      case 'cut': return client.pusher.connection.connection.transport.socket.close();
      default: throw new Error('unknown command ' + cmd.op);
    }
  };
}

if (typeof module !== 'undefined') module.exports = makeClients;
