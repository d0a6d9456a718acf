package eventsource

import (
	"sync"
	"time"

	"poosh/server/closed"
	"poosh/server/loop"
	"poosh/server/peers"
	"poosh/server/websocket"
)

// maxHeard is how many bytes a client may send behind its request. It has nothing to say
// there, but that it may have sent a request more before it saw what the answer is.
const maxHeard = 16 << 10

// A codec is what a stream's connection says by itself, and who is told.
type codec struct {
	sockets *websocket.Server // set once, as what follows
	handler Handler
	remote  string
	every   time.Duration // between heartbeats; 0 for none

	heard int // bytes behind the request; owned by the reader

	mu   sync.Mutex // guards what follows
	beat loop.Timer
	over bool
}

// RemoteAddr implements [loop.Protocol].
func (p *codec) RemoteAddr() string { return p.remote }

// Data implements [loop.Protocol]: nothing that is said counts, up to a bound.
func (p *codec) Data(c *loop.Conn, data []byte) {
	if p.heard += len(data); p.heard > maxHeard {
		c.Abort(closed.Malformed)
	}
}

// Closed implements [loop.Protocol].
func (p *codec) Closed(_ *loop.Conn, reason error) {
	p.mu.Lock()
	p.over = true
	p.sockets.Cancel(&p.beat)
	p.mu.Unlock()
	p.sockets.Released(peers.Of(p.remote))
	p.handler.Closed(reason)
}

// begin begins with heartbeats.
func (p *codec) begin(c *loop.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.every <= 0 {
		return
	}
	p.beat.Fire = func() { p.tick(c) }
	p.sockets.Schedule(&p.beat, p.every)
}

var heartbeat = Comment("")

// tick sends a heartbeat. It runs on the goroutine of timers. One that could not be
// written yet is enough.
func (p *codec) tick(c *loop.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	c.PushLatest(heartbeat)
	p.sockets.Schedule(&p.beat, p.every)
}
