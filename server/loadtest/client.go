package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// A link is how messages of a protocol go to and fro. receive is for one goroutine; the
// others are for any.
type link interface {
	send(text string) error
	// receive hands on messages, which are the callee's to change until it returns, until
	// the link breaks or a message is not taken.
	receive(each func(message []byte) error) error
	// silence says how long nothing may come.
	silence(time.Duration)
	close()
}

// A client is one connection in a room.
type client struct {
	test   *Test
	number int
	room   int
	shard  *shard
	idle   bool // is in no room: it publishes

	link  link
	ready chan struct{} // closed once it is where it wants to be, by receive's goroutine
	beats *time.Timer   // of that goroutine

	whenReady func() // is called by it then; may be nil

	// Guarded by shard.mu.
	tracks []track
	in     bool // in its room, and its connection is there
	ended  bool // was, and is not any more
	probed bool
}

// run connects, and serves the connection until it breaks or life ends. arrived is called
// once: when the client is in its room, or will not be.
func (c *client) run(life context.Context, due int64, arrived func()) {
	arrive := sync.OnceFunc(arrived)
	defer arrive()
	t := c.test
	life, cancel := context.WithCancelCause(life)
	defer cancel(nil)
	patience := time.AfterFunc(t.cfg.Timeout, func() { cancel(errSilent) })
	defer patience.Stop()
	err := c.connect(life)
	if err == nil {
		c.whenReady = func() {
			patience.Stop()
			c.joined(due)
			arrive()
		}
		err = c.serve(life)
	}
	c.left(life, err)
}

// serve takes what the server sends until the link breaks or life ends, and closes it.
func (c *client) serve(life context.Context) error {
	closing := context.AfterFunc(life, c.link.close)
	err := c.link.receive(c.message)
	closing()
	c.link.close()
	if c.beats != nil {
		c.beats.Stop()
	}
	return err
}

// joined counts a client that is in its room.
func (c *client) joined(due int64) {
	t := c.test
	t.connect.record(time.Duration(now() - due))
	t.failing.Store(0)
	c.shard.mu.Lock()
	c.in = true
	c.shard.mu.Unlock()
	t.rooms[c.room].members.Add(1)
	t.joined.Add(1)
	t.alive.Add(1)
}

// left counts the end of a connection, and what it was, unless the test is over.
func (c *client) left(life context.Context, err error) {
	t := c.test
	if errors.Is(context.Cause(life), errSilent) {
		err = errSilent
	}
	c.shard.mu.Lock()
	was := c.in
	c.in, c.ended = false, was
	c.shard.mu.Unlock()
	if was {
		t.rooms[c.room].members.Add(-1)
		t.alive.Add(-1)
	}
	if t.over.Load() {
		return
	}
	if was {
		t.faults.add("connection", err)
		return
	}
	t.failing.Add(1)
	t.failed.CompareAndSwap(nil, &err)
	t.faults.add("connect", err)
}

// connect opens the client's link.
func (c *client) connect(ctx context.Context) (err error) {
	if c.test.cfg.Polling {
		c.link = newPoller(ctx, c.test)
		return nil
	}
	c.link, err = dialWebSocket(ctx, c.test)
	return err
}

// beat sends a text again and again, as heartbeats are.
func (c *client) beat(every time.Duration, text string) {
	if every <= 0 || every > 24*time.Hour {
		return
	}
	if c.beats != nil {
		c.beats.Stop()
	}
	var mu sync.Mutex // guards timer, which may fire before it is known here
	var timer *time.Timer
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(every, func() {
		if c.link.send(text) != nil { // what is broken, receive tells
			return
		}
		mu.Lock()
		defer mu.Unlock()
		timer.Reset(every)
	})
	c.beats = timer
}

// message takes one message from the server.
func (c *client) message(b []byte) error {
	t, read := c.test, now()
	if t.cfg.Protocol == Pusher {
		return c.pusher(Unescape(b), read)
	}
	return c.engine(b, read)
}

// others counts an event that somebody else has published.
func (c *client) others(b []byte, read int64) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if c.test.cfg.Publish != ByOthers {
		c.shard.foreign++
		return
	}
	c.shard.delivered++
	c.shard.bytes += int64(len(b))
	c.shard.last = read
}

func (c *client) isReady() {
	select {
	case <-c.ready:
	default:
		close(c.ready)
		if c.whenReady != nil {
			c.whenReady()
		}
	}
}

// engine takes a packet of Engine.IO, and of Socket.IO in it (engine.io-protocol and
// socket.io-protocol).
func (c *client) engine(b []byte, read int64) error {
	if len(b) == 0 {
		return errors.New("the server sends an empty packet")
	}
	four := c.test.cfg.Protocol != EIO3
	switch kind, rest := b[0], b[1:]; kind {
	case '0':
		return c.opened(rest, four)
	case '1':
		return errors.New("closed by the server")
	case '2':
		return c.link.send("3" + string(rest))
	case '4':
		return c.packet(rest, read)
	}
	return nil
}

// opened is told of the session: in Engine.IO 4 it is the server who pings, in 3 the client.
func (c *client) opened(b []byte, four bool) error {
	var open struct{ PingInterval, PingTimeout int64 } // milliseconds
	if err := json.Unmarshal(b, &open); err != nil {
		return errors.New("the server's greeting is not understood")
	}
	every, answer := time.Duration(open.PingInterval)*time.Millisecond, time.Duration(open.PingTimeout)*time.Millisecond
	if every > 0 && every < time.Hour && answer > 0 && answer < time.Hour {
		c.link.silence(every + answer + c.test.cfg.Timeout)
	}
	if four {
		return c.link.send("40")
	}
	c.beat(every, "2")
	return nil
}

// packet takes a packet of Socket.IO.
func (c *client) packet(b []byte, read int64) error {
	if len(b) == 0 {
		return errors.New("the server sends an empty packet")
	}
	switch b[0] {
	case '0':
		if c.test.cfg.Protocol == Echo {
			if err := c.link.send(`42["subscribe",{"channel":` + quoted(c.test.rooms[c.room].name) + `}]`); err != nil {
				return err
			}
		} else if join := c.test.cfg.Join; join != "" && !c.idle {
			if err := c.link.send("42[" + quoted(join) + "," + quoted(c.test.rooms[c.room].name) + "]"); err != nil {
				return err
			}
		}
		c.isReady()
	case '1':
		return errors.New("disconnected by the server")
	case '2':
		if !c.idle && !c.deliver(b, read) {
			c.others(b, read)
		}
	case '4':
		return says("the server refuses the connection: %.*s", maxKind, b[1:])
	}
	return nil
}

// quoted is a text as JSON.
func quoted(text string) string {
	b, _ := json.Marshal(text) // a string
	return string(b)
}

// internal begins the names of Pusher's own events.
const internal = `{"event":"pusher`

// pusher takes a message of Pusher Channels whose strings are unescaped.
func (c *client) pusher(b []byte, read int64) error {
	if c.deliver(b, read) {
		return nil
	}
	var f struct {
		Event string `json:"event"`
		Data  struct {
			SocketID        string `json:"socket_id"`
			ActivityTimeout int64  `json:"activity_timeout"` // seconds
			Code            int
			Message         string
		}
	}
	if len(b) < len(internal) || string(b[:len(internal)]) != internal {
		c.others(b, read)
		return nil
	}
	_ = json.Unmarshal(quoteless(b), &f) // what is not understood is no event of those below
	switch f.Event {
	case "pusher:connection_established":
		if every := time.Duration(f.Data.ActivityTimeout) * time.Second; every > 0 && every < 24*time.Hour {
			c.link.silence(every + c.test.cfg.Timeout)
			c.beat(every-every/8, `{"event":"pusher:ping","data":{}}`)
		}
		return c.link.send(`{"event":"pusher:subscribe","data":{"channel":` + quoted(c.test.rooms[c.room].name) + `}}`)
	case "pusher_internal:subscription_succeeded":
		c.isReady()
	case "pusher:ping":
		return c.link.send(`{"event":"pusher:pong","data":{}}`)
	case "pusher:error":
		said := says("the server says %d, %s", f.Data.Code, f.Data.Message)
		select {
		case <-c.ready: // it goes on, unless the server closes
			c.test.faults.add("connection", said)
		default:
			return said
		}
	case "pusher:subscription_error":
		return says("the server refuses the subscription")
	}
	return nil
}
