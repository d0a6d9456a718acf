package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// A Handler is told what happens on a connection.
type Handler interface {
	// Message hands over one complete message. It runs on the goroutine that
	// reads for many connections, so it must not block; data is valid only
	// during the call.
	Message(c *Conn, binary bool, data []byte)
	// Closed is the last call for a connection, exactly one, from the loop's
	// reaper. The socket is closed already.
	Closed(c *Conn, reason error)
}

// A Watcher is a [Handler] for which any frame of the peer is a sign of life:
// Alive is called for each ping and pong, as Message is for what they are not.
type Watcher interface {
	Alive(c *Conn)
}

// A Conn is one accepted WebSocket connection. Its methods may be called from
// any goroutine.
type Conn struct {
	shard      *shard     // set once
	handler    Handler    // set once
	remote     string     // set once
	peer       netip.Addr // set once
	maxMessage int        // set once
	limit      int        // set once; bytes in the outbox

	fd int      // set once; -1 for a connection with goroutines
	nc net.Conn // set once; nil for a connection of the reader and flusher

	in *inbound // owned by the reader; nil between messages

	mu      sync.Mutex // guards what follows; never held during a system call
	frames  [][]byte   // the outbox, oldest first; shared with others: read only
	size    int        // bytes in frames
	flags   flags
	reason  error  // why the connection ended
	stalled *Timer // set while the socket takes nothing
	moved   uint64 // bytes written; tells a stall from slowness
}

type flags uint16

const (
	queued    flags = 1 << iota // the flusher has it on its list
	writing                     // the flusher is at its socket
	reading                     // the reader is at its socket
	blocked                     // the socket takes nothing until it is writable
	started                     // Start was called: frames may leave
	watched                     // the poller waits for its socket
	closing                     // a close frame is queued; nothing may follow it
	answering                   // the close frame is the answer to the peer's
	dead                        // ended; waits for reader and flusher to let go
	buried                      // handed to the reaper
	strained                    // counts in its shard's strained
)

// inbound is what has been read of a message that is not complete.
type inbound struct {
	rest  []byte // the beginning of a frame
	parts []byte // unmasked fragments
	text  bool   // of the fragmented message
	open  bool   // a fragmented message is under way
}

// RemoteAddr returns the address that the request came from, as the HTTP
// server gave it.
func (c *Conn) RemoteAddr() string { return c.remote }

// Push queues one ready frame, which must never change afterwards. It reports
// false when the connection is ending or its outbox is full; a full outbox ends
// the connection with [ErrSlow], and so does a socket that takes nothing while
// Config.Stuck bytes wait for such. It never blocks, and takes no lock but the
// connection's own and its shard's.
func (c *Conn) Push(frame []byte) bool {
	c.mu.Lock()
	if c.flags&(dead|closing) != 0 {
		c.mu.Unlock()
		return false
	}
	if c.size+len(frame) > c.limit || c.flags&blocked != 0 && c.shard.stuck.Load() > c.shard.maxStuck {
		c.kill(ErrSlow)
		c.mu.Unlock()
		return false
	}
	c.queue(frame)
	c.mu.Unlock()
	return true
}

// Text queues payload as a text frame; see [Conn.Push].
func (c *Conn) Text(payload []byte) bool { return c.Push(TextFrame(payload)) }

// queue appends a frame and sees to it that the flusher comes by. c.mu is held.
func (c *Conn) queue(frame []byte) {
	if c.flags&(started|queued|blocked) == started {
		c.flags |= queued
		c.shard.enqueue(c)
	}
	c.frames = append(c.frames, frame)
	c.size += len(frame)
	c.waiting().Add(int64(len(frame)))
	c.gauge()
}

// gauge keeps the shard's count of connections whose sockets take bytes and
// whose outboxes fill up all the same. Of a connection with goroutines nobody
// knows whether its socket takes bytes. c.mu is held.
func (c *Conn) gauge() {
	now := c.nc == nil && c.size > c.limit/2 && c.flags&(blocked|dead) == 0
	if now == (c.flags&strained != 0) {
		return
	}
	c.flags ^= strained
	if now {
		c.shard.strained.Add(1)
	} else {
		c.shard.strained.Add(-1)
	}
}

// Close ends the connection in order: what waits is written, then a close frame
// with code and reason (at most 123 bytes), then the socket is closed once the
// peer answers or Config.CloseTimeout is over. The handler is told [ErrClosed].
// It returns at once.
func (c *Conn) Close(code int, reason string) { c.close(closeFrame(code, reason), ErrClosed) }

func (c *Conn) close(frame []byte, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(dead|closing) != 0 {
		return
	}
	c.queue(frame)
	c.flags |= closing
	c.reason = reason
}

// Abort closes the socket as soon as nobody is at it; what waits is lost. The
// handler is told reason.
func (c *Conn) Abort(reason error) {
	c.mu.Lock()
	c.kill(reason)
	c.mu.Unlock()
}

// kill marks the connection dead. c.mu is held.
func (c *Conn) kill(reason error) {
	if c.flags&dead != 0 {
		return
	}
	if c.flags&closing == 0 {
		c.reason = reason
	}
	c.waiting().Add(-int64(c.size))
	c.flags |= dead
	c.frames, c.size = nil, 0
	c.gauge()
	if c.nc != nil {
		c.shard.interrupt(c)
	}
	c.letGo()
}

// letGo hands a dead connection to the reaper when nobody is at its socket.
// c.mu is held.
func (c *Conn) letGo() {
	if c.flags&dead != 0 && c.flags&(reading|writing|buried) == 0 {
		c.flags |= buried
		c.shard.loop.reaper.add(c)
	}
}

// bury is the reaper's part: close the socket, tell the handler.
func (c *Conn) bury() {
	l := c.shard.loop
	c.mu.Lock()
	if c.stalled != nil {
		l.Cancel(c.stalled)
		c.stalled = nil
	}
	reason := c.reason
	c.mu.Unlock()
	c.shard.remove(c)
	c.in = nil
	l.conns.Add(-1)
	if l.cfg.Released != nil {
		l.cfg.Released(c.peer)
	}
	if r := Reason(""); errors.As(reason, &r) {
		l.count(r)
	} else {
		l.count(ErrClosed)
	}
	defer c.recoverHandler()
	c.handler.Closed(c, reason)
}

// recoverHandler keeps a panic of a handler inside its connection.
func (c *Conn) recoverHandler() {
	if p := recover(); p != nil {
		c.shard.loop.cfg.Log.Error("panic in a connection's handler",
			"remote", c.remote, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.Abort(ErrPanic)
	}
}

// waiting is the counter that the outbox's bytes belong to. c.mu is held.
func (c *Conn) waiting() *atomic.Int64 {
	if c.flags&blocked != 0 {
		return &c.shard.stuck
	}
	return &c.shard.queued
}

// take empties the outbox into the hands of whoever writes now. It returns nil
// when there is nothing to write or the socket takes nothing.
func (c *Conn) take() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags &^= queued
	if c.flags&(dead|blocked|writing) != 0 || len(c.frames) == 0 {
		return nil
	}
	c.flags |= writing
	frames := c.frames
	c.frames = nil
	return frames
}

// wrote ends what take began: n bytes have left, rest has not. full says that
// the socket takes no more for now.
func (c *Conn) wrote(n int, rest [][]byte, full bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags &^= writing
	c.moved += uint64(n)
	if c.flags&dead != 0 {
		c.letGo()
		return
	}
	c.size -= n
	c.waiting().Add(-int64(n))
	defer c.gauge()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.kill(ErrWriteTimeout)
	case err != nil:
		c.kill(ErrReset)
	case full:
		c.frames = append(rest, c.frames...)
		c.waiting().Add(-int64(c.size))
		c.flags |= blocked
		c.waiting().Add(int64(c.size))
		c.watchStall()
		c.shard.arm(c)
	case len(c.frames) > 0 && c.flags&queued == 0:
		// The flusher came by while somebody else was writing.
		c.flags |= queued
		c.shard.enqueue(c)
	case len(c.frames) == 0 && c.flags&answering != 0:
		c.kill(ErrGone)
	case len(c.frames) == 0 && c.flags&closing != 0:
		c.awaitClose()
	}
}

// writable says that the socket takes bytes again.
func (c *Conn) writable() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(blocked|dead) != blocked {
		return
	}
	c.waiting().Add(-int64(c.size))
	c.flags &^= blocked
	c.waiting().Add(int64(c.size))
	c.gauge()
	if c.flags&queued == 0 {
		c.flags |= queued
		c.shard.enqueue(c)
	}
	c.shard.arm(c)
}

// watchStall ends the connection if its socket takes nothing for the loop's
// WriteTimeout. c.mu is held.
func (c *Conn) watchStall() {
	if c.stalled != nil {
		return
	}
	l, seen := c.shard.loop, c.moved
	t := new(Timer)
	t.Fire = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case c.stalled != t || c.flags&dead != 0:
		case c.flags&blocked == 0 && c.moved != seen:
			c.stalled = nil
		case c.moved != seen:
			seen = c.moved
			l.Schedule(t, l.cfg.WriteTimeout)
		default:
			c.kill(ErrWriteTimeout)
		}
	}
	c.stalled = t
	l.Schedule(t, l.cfg.WriteTimeout)
}

// awaitClose gives the peer some time to answer the close frame. c.mu is held.
func (c *Conn) awaitClose() {
	l := c.shard.loop
	if c.stalled != nil {
		l.Cancel(c.stalled)
	}
	c.stalled = &Timer{Fire: func() { c.Abort(ErrClosed) }}
	l.Schedule(c.stalled, l.cfg.CloseTimeout)
}

// begin claims the socket for reading or writing. It fails on a dead connection.
func (c *Conn) begin(claim flags) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&dead != 0 {
		return false
	}
	c.flags |= claim
	return true
}

func (c *Conn) end(claim flags) {
	c.mu.Lock()
	c.flags &^= claim
	c.letGo()
	c.mu.Unlock()
}

// received takes what a read gave. The reader calls it with its claim.
func (c *Conn) received(data []byte, err error) {
	if len(data) > 0 {
		c.input(data)
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		c.Abort(ErrGone)
	default:
		c.Abort(ErrReset)
	}
}

// input takes bytes off the socket and hands over the messages in them. It may
// change data, and keeps no reference to it.
func (c *Conn) input(data []byte) {
	defer c.recoverHandler()
	kept := c.in != nil && len(c.in.rest) > 0 // data is ours to keep
	if kept {
		data = append(c.in.rest, data...)
		c.in.rest = nil
	}
	for len(data) > 0 {
		h, err := parseHeader(data, c.maxMessage)
		if err == nil && len(data) < h.size+h.payload {
			err = errNeedMore
		}
		if err == errNeedMore {
			c.keep(data, kept)
			return
		}
		if err == nil {
			payload := data[h.size : h.size+h.payload]
			data = data[h.size+h.payload:]
			unmask(payload, h.mask)
			err = c.frame(h, payload)
		}
		if err != nil {
			c.breach(err)
			return
		}
	}
	if c.in != nil && !c.in.open {
		c.in = nil
	}
}

// keep stores the beginning of a frame. It grows with what arrives, not with
// what the header promises.
func (c *Conn) keep(data []byte, ours bool) {
	if c.in == nil {
		c.in = new(inbound)
	}
	if !ours || len(data) < cap(data)/4 {
		data = append([]byte(nil), data...)
	}
	c.in.rest = data
}

// breach closes a connection whose peer broke the protocol.
func (c *Conn) breach(err error) {
	c.in = nil
	reason, code := ErrProtocol, CloseProtocol
	var pe *protocolError
	if errors.As(err, &pe) {
		code = pe.code
		if pe == errTooBig {
			reason = ErrTooBig
		}
	}
	c.close(closeFrame(code, err.Error()), reason)
}

// frame handles one complete frame.
func (c *Conn) frame(h header, payload []byte) error {
	c.mu.Lock()
	ending := c.flags&(dead|closing) != 0
	c.mu.Unlock()
	if ending && h.op != opClose {
		return nil // too late to be heard
	}
	switch h.op {
	case opPing, opPong:
		if h.op == opPing {
			c.Push(controlFrame(opPong, payload))
		}
		if w, ok := c.handler.(Watcher); ok {
			w.Alive(c)
		}
		return nil
	case opClose:
		return c.peerClose(payload)
	}
	return c.data(h, payload)
}

// peerClose answers a close frame, RFC 6455 section 5.5.1, or takes it as the
// answer to ours.
func (c *Conn) peerClose(payload []byte) error {
	code := CloseNoStatus
	switch {
	case len(payload) == 1:
		return errCloseCode
	case len(payload) > 1:
		code = int(binary.BigEndian.Uint16(payload))
		if !validCloseCode(code) {
			return errCloseCode
		}
		if !utf8.Valid(payload[2:]) {
			return errUTF8
		}
	}
	c.mu.Lock()
	answered := c.flags&closing != 0
	if answered {
		c.kill(ErrGone)
	}
	c.mu.Unlock()
	if !answered {
		c.close(closeFrame(code, ""), ErrGone)
		c.mu.Lock()
		c.flags |= answering
		c.mu.Unlock()
	}
	return nil
}

// data handles a text, binary or continuation frame, RFC 6455 section 5.4.
func (c *Conn) data(h header, payload []byte) error {
	if h.op == opContinuation {
		if c.in == nil || !c.in.open {
			return errSequence
		}
		if len(c.in.parts)+len(payload) > c.maxMessage {
			return errTooBig
		}
		c.in.parts = append(c.in.parts, payload...)
		if !h.fin {
			return nil
		}
		payload, text := c.in.parts, c.in.text
		c.in.parts, c.in.open = nil, false
		return c.message(text, payload)
	}
	if c.in != nil && c.in.open {
		return errSequence
	}
	if h.fin {
		return c.message(h.op == opText, payload)
	}
	if c.in == nil {
		c.in = new(inbound)
	}
	c.in.open, c.in.text = true, h.op == opText
	c.in.parts = append([]byte(nil), payload...)
	return nil
}

func (c *Conn) message(text bool, payload []byte) error {
	if text && !utf8.Valid(payload) {
		return errUTF8
	}
	c.handler.Message(c, !text, payload)
	return nil
}
