package health

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/hub"
	"poosh/server/loop"
)

// App is the canary's app in the hub. No dialect's app has that name: Poosh's has none,
// and those of others begin with the name of their dialect.
const App = "health"

// A canary is a publication that comes back if everything works. Its subscribers are
// connections of the process to itself, over loopback, one on each shard of the loop.
// They are opened by the first who asks, and again when they have broken.
//
// A canary's number goes both ways on each connection: written to the loop, whose reader
// must hand it over, and published to the hub, whose frame the loop's flusher must write.
type canary struct {
	hub  *hub.Hub
	loop *loop.Loop

	number uint64       // of the last one; owned by fly
	stage  atomic.Int32 // of fly
	shard  atomic.Int32 // that is waited for

	open atomic.Int64

	mu     sync.Mutex // guards what follows; nothing is waited for with it held
	perch  []*perch   // one for each shard; nil without
	closed bool
}

// What fly is at.
const (
	opening int32 = iota
	publishing
	reading
	writing
)

// A perch is one of the canary's connections: a subscriber on the loop, and its peer.
type perch struct {
	canary *canary
	conn   *loop.Conn      // set once
	sub    *hub.Subscriber // set once
	peer   net.Conn        // set once
	gone   chan struct{}   // closed when the loop has closed conn
	heard  chan uint64     // what the reader handed over last; of capacity 1
	sent   numbers         // owned by the loop's reader
	back   numbers         // owned by fly
}

func newCanary(h *hub.Hub, l *loop.Loop) *canary { return &canary{hub: h, loop: l} }

// own is what the loop counts and is the canary's.
func (c *canary) own() (conns int64) { return c.open.Load() }

// where says where a canary is that does not come back.
func (c *canary) where() *Fault {
	switch c.stage.Load() {
	case opening:
		return &Fault{Part: "loop", Why: "takes no connection"}
	case publishing:
		return &Fault{Part: "hub", Why: "what is published does not come through"}
	case reading:
		return &Fault{Part: "loop", Why: "what clients send is not read"}
	}
	return &Fault{Part: "loop", Why: "what is published is not written"}
}

// roundTime is enough for readers that have little to do to wait again: one that is still
// on its round would write what is published, and nobody would look at the flusher.
const roundTime = 5 * time.Millisecond

// fly sends one canary and waits for it until ctx ends. One at a time.
func (c *canary) fly(ctx context.Context) error {
	err := c.try(ctx)
	// A socket's deadline may be a moment before that of ctx.
	if err != nil && ctx.Err() == nil && !errors.Is(err, os.ErrDeadlineExceeded) { // a connection has broken: that says nothing yet
		c.fold()
		err = c.try(ctx)
	}
	if err != nil {
		f := c.where()
		f.err = fmt.Errorf("shard %d: %w", c.shard.Load(), err)
		return f
	}
	return nil
}

func (c *canary) try(ctx context.Context) error {
	c.stage.Store(opening)
	perches, err := c.perches(ctx)
	if err != nil {
		return err
	}
	c.number++
	number := binary.BigEndian.AppendUint64(nil, c.number)
	until, _ := ctx.Deadline()
	c.stage.Store(reading)
	for i, p := range perches {
		c.shard.Store(int32(i))
		if err := p.peer.SetDeadline(until); err != nil {
			return err
		}
		if _, err := p.peer.Write(number); err != nil {
			return err
		}
	}
	for i, p := range perches {
		c.shard.Store(int32(i))
		if err := p.hear(ctx, c.number); err != nil {
			return err
		}
	}
	time.Sleep(roundTime)
	c.stage.Store(publishing)
	c.hub.Probe(&hub.Publication{App: App, Everyone: true, Data: number})
	c.stage.Store(writing)
	for i, p := range perches {
		c.shard.Store(int32(i))
		if err := p.read(c.number); err != nil {
			return err
		}
	}
	return nil
}

// perches returns the canary's connections, and opens them if need be.
func (c *canary) perches(ctx context.Context) ([]*perch, error) {
	c.mu.Lock()
	list := c.perch
	c.mu.Unlock()
	if list != nil {
		return list, nil
	}
	for i := range c.loop.Shards() {
		c.shard.Store(int32(i))
		p, err := c.settle(ctx, i)
		if err != nil {
			leave(c.hub, list)
			return nil, err
		}
		list = append(list, p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		defer leave(c.hub, list)
		return nil, errors.New("closed")
	}
	c.perch = list
	return list, nil
}

// settle opens the connection of one shard.
func (c *canary) settle(ctx context.Context, shard int) (*perch, error) {
	near, far, err := pair(ctx)
	if err != nil {
		return nil, err
	}
	p := &perch{canary: c, peer: far, gone: make(chan struct{}), heard: make(chan uint64, 1)}
	// A canary's bytes are few, and one that is not heard is followed by others.
	p.conn, err = c.loop.AttachTo(shard, near, loop.Options{}, p)
	if err != nil {
		_ = far.Close()
		return nil, err
	}
	c.open.Add(1)
	p.conn.Start()
	p.sub = c.hub.Register(App, fmt.Sprint("shard ", shard), 0, verbatim{}, p)
	return p, nil
}

// pair returns the two ends of a connection of the process to itself.
func pair(ctx context.Context) (near, far net.Conn, err error) {
	var cfg net.ListenConfig
	ln, err := cfg.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		if ln, err = cfg.Listen(ctx, "tcp", "[::1]:0"); err != nil {
			return nil, nil, err
		}
	}
	defer ln.Close()
	until, ok := ctx.Deadline()
	if tcp, isTCP := ln.(*net.TCPListener); ok && isTCP {
		_ = tcp.SetDeadline(until)
	}
	var dialer net.Dialer
	if far, err = dialer.DialContext(ctx, "tcp", ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	for {
		if near, err = ln.Accept(); err != nil {
			_ = far.Close()
			return nil, nil, err
		}
		if near.RemoteAddr().String() == far.LocalAddr().String() {
			return near, far, nil
		}
		_ = near.Close() // somebody else on this machine
	}
}

// fold ends the connections; the next canary has new ones. It waits for the hub.
func (c *canary) fold() {
	c.mu.Lock()
	list := c.perch
	c.perch = nil
	c.mu.Unlock()
	leave(c.hub, list)
}

// close is fold for good.
func (c *canary) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.fold()
}

func leave(h *hub.Hub, list []*perch) {
	for _, p := range list {
		_ = p.peer.Close()
		p.conn.Abort(loop.ErrClosed)
		h.Unregister(p.sub)
	}
}

// verbatim is the encoder of canaries.
type verbatim struct{}

// Encode implements [hub.Encoder].
func (verbatim) Encode(p *hub.Publication) []byte { return p.Data }

// Deliver implements [hub.Receiver].
func (p *perch) Deliver(frame []byte) bool { return p.conn.Push(frame) }

// Data implements [loop.Protocol]: it is how the loop's reader shows that it reads.
func (p *perch) Data(_ *loop.Conn, data []byte) {
	p.sent.add(data)
	for number, ok := p.sent.next(); ok; number, ok = p.sent.next() {
		select { // the newest alone counts
		case <-p.heard:
		default:
		}
		p.heard <- number
	}
}

// Closed implements [loop.Protocol].
func (p *perch) Closed(*loop.Conn, error) {
	p.canary.open.Add(-1)
	close(p.gone)
}

// RemoteAddr implements [loop.Protocol].
func (p *perch) RemoteAddr() string { return "health" }

// hear waits until the loop's reader has handed a number over.
func (p *perch) hear(ctx context.Context, number uint64) error {
	for {
		select {
		case got := <-p.heard:
			if got == number {
				return nil
			}
		case <-p.gone:
			return errBroken
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errBroken = errors.New("a connection to itself has broken")

// read waits until the loop's flusher has written a number.
func (p *perch) read(number uint64) error {
	var buf [512]byte
	for {
		for got, ok := p.back.next(); ok; got, ok = p.back.next() {
			if got == number {
				return nil
			}
		}
		n, err := p.peer.Read(buf[:])
		p.back.add(buf[:n])
		if err != nil && n == 0 {
			return err
		}
	}
}

// numbers are what is read of a stream of them, in which they may arrive in parts.
type numbers struct{ bytes []byte }

func (n *numbers) add(more []byte) { n.bytes = append(n.bytes, more...) }

// next takes one out, if it is there.
func (n *numbers) next() (number uint64, ok bool) {
	if len(n.bytes) < 8 {
		return 0, false
	}
	number = binary.BigEndian.Uint64(n.bytes)
	n.bytes = append(n.bytes[:0], n.bytes[8:]...)
	return number, true
}
