// One socket.io client of any version, in Node or in a page, and a report of
// everything it sees. Loaded by require in Node and as a script in a browser.
(function (root, factory) {
  if (typeof module === 'object' && module.exports) module.exports = factory();
  else root.openClient = factory();
})(this, function () {
  'use strict';

  // What each way of connecting asks of the client.
  var ways = {
    polling: { transports: ['polling'] },
    websocket: { transports: ['websocket'] },
    upgrade: {},
    jsonp: { transports: ['polling'], forceJSONP: true }
  };

  // JSON whose every character survives any pipe: JSON.stringify leaves only
  // lone surrogates escaped, this escapes all that is not ASCII.
  function ascii(value) {
    var text = JSON.stringify(value);
    return text === undefined ? 'undefined' : text.replace(/[\u007f-\uffff]/g, function (c) {
      return '\\u' + ('000' + c.charCodeAt(0).toString(16)).slice(-4);
    });
  }

  // open connects with io, a socket.io-client of some version. command has: way,
  // url, listen (event names to report), rooms (joined at every connect), since (rooms
  // joined at every connect with the last position seen), confirmed (rooms joined by one
  // join until its answer has come, and again by a client that is not what it was), options
  // (given to the client as they are), authDelay (milliseconds), quiet (packets are not
  // reported beside events, and of an event that is a text its first word). report gets
  // one object for each thing seen.
  return function open(io, command, report) {
    var options = {
      forceNew: true, multiplex: false, reconnectionDelay: 200, reconnectionDelayMax: 1000, timeout: 20000
    };
    [ways[command.way], command.options || {}].forEach(function (more) {
      for (var key in more) options[key] = more[key];
    });
    if (command.authDelay) { // 3.x and 4.x: the connect packet waits for this
      options.auth = function (done) { setTimeout(function () { done({ token: 'x' }); }, command.authDelay); };
    }
    var socket = io(command.url, options);
    var manager = socket.io;
    var last = null; // position, of who asks for what it missed
    var joined = false; // the answer to a join of confirmed rooms has come

    manager.on('open', function () {
      var engine = manager.engine;
      engine.on('upgrade', function (transport) { report({ saw: 'upgrade', transport: transport.name }); });
      engine.on('data', function (data) {
        if (!command.quiet && typeof data === 'string' && data.charAt(0) === '2') report({ saw: 'packet', text: ascii(data) });
      });
    });
    socket.on('connect', function () {
      // undefined but for clients of 4.6 and newer that may come back to what they were.
      report({ saw: 'state', text: String(socket.recovered) });
      if (!socket.recovered) (command.rooms || []).forEach(function (room) { socket.emit('room', room); });
      if (command.since) {
        socket.emit('room', command.since[0], { since: last, rooms: command.since.slice(1) }, function (answer) {
          last = answer.id;
          report({ saw: 'recovered', text: ascii(answer) });
        });
      }
      if (command.confirmed && !(socket.recovered && joined)) {
        joined = false;
        socket.emit('room', command.confirmed[0], { since: null, rooms: command.confirmed.slice(1) }, function (answer) {
          joined = true;
          report({ saw: 'joined', text: ascii(answer) });
        });
      }
      report({ saw: 'connect', sid: String(socket.id || manager.engine.id), transport: manager.engine.transport.name });
    });
    socket.on('disconnect', function (reason) { report({ saw: 'disconnect', text: String(reason) }); });
    ['error', 'connect_error'].forEach(function (name) {
      socket.on(name, function (err) { report({ saw: 'error', name: name, text: String(err && err.message || err) }); });
    });
    (command.listen || []).forEach(function (name) {
      socket.on(name, function () {
        if (command.since && arguments.length > 1) last = arguments[1];
        var args = Array.prototype.slice.call(arguments);
        if (command.quiet && typeof args[0] === 'string') args[0] = args[0].split(' ')[0];
        report({ saw: 'event', name: name, text: ascii(args) });
      });
    });
    return {
      emit: function (args) { socket.emit.apply(socket, args); },
      close: function () { socket.close ? socket.close() : socket.disconnect(); }
    };
  };
});
