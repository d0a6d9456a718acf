package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/cluster/resp"
	"poosh/server/loop"
)

// A wire is one connection to a server of the engine, on the event loop that serves the clients too: what is said to
// the engine is written by a reader of the loop at the end of its round, and what comes back is handled as
// it is read. So a publication that one client sends and another one is told wakes up nobody but that reader.
//
// Why not rueidis, which finds the servers: it has two goroutines for a connection, and behind them stood two of
// ours, one that waited for answers and one that handed out. Each publication woke all of them; test/bench/README.md has
// what it cost then and costs now.
//
// Commands are answered in the order of being written. Its methods may be called from any goroutine, but those that
// wait for an answer not from one of the loop's.
type wire struct {
	conn   *loop.Conn // nil for one that could not be made
	server string     // as it was dialled; set before the wire is used
	remote string
	heard  incoming

	count *atomic.Int64 // of connections that are there, see [Cluster.Wires]
	ended chan struct{} // closed when the connection is over, and nothing of what came is being handled
	err   error         // why; set before ended is closed
	once  sync.Once

	reading sync.Mutex   // held while something that came is handled, and to end that; guards what follows
	decoder resp.Decoder // of what comes
	deaf    bool         // nothing is to be handled any more
	woke    bool         // somebody waits no longer

	mu      sync.Mutex // guards what follows; held while a command is put into the outbox, for their order
	waiting []*command // that are not answered, oldest first
	over    error      // why nothing can be said any more; nil while something can
}

// An incoming is told what comes over a wire without being asked for. It is called on the loop's reader, so it must
// not wait.
type incoming interface {
	message(channel, text string)
	subscription(kind, channel string)
	// brought is called behind all that one read brought, and reports whether a goroutine became ready to run by it.
	brought() bool
}

// A command is what was said to the engine and has no answer yet, or several such commands.
type command struct {
	answers []reply
	want    int      // so many answers
	kind    string   // of the notes that come in place of an answer, see subscribe; "" for none
	of      []string // the channels of these that are not there yet
	done    func([]reply, error)
	waited  bool // a goroutine waits for done
}

const (
	// wireOutbox is what may wait to be written: commands are bounded by those who say them, and few wait at once.
	wireOutbox = 512 << 20
	// noteSubscribe and noteUnsubscribe are the kinds of notes about subscriptions.
	noteSubscribe, noteUnsubscribe = "ssubscribe", "sunsubscribe"
)

// attach has a connection that has been greeted served by a loop, see [greet].
func attach(l *loop.Loop, nc net.Conn, heard incoming, count *atomic.Int64) *wire {
	w := &wire{remote: nc.RemoteAddr().String(), heard: heard, count: count, ended: make(chan struct{})}
	w.count.Add(1)
	conn, err := l.AttachConn(nc, loop.Options{Outbox: wireOutbox, Trusted: true}, w)
	if err != nil {
		w.count.Add(-1)
		w.end(err)
		return w
	}
	w.conn = conn
	conn.Start()
	return w
}

// brokenWire is one that could not be made.
func brokenWire(why error) *wire {
	w := &wire{ended: make(chan struct{})}
	w.end(why)
	return w
}

// close ends the connection; what waits is answered with why. Nothing is handled any more once it returns, so it is not for
// goroutines of the loop.
func (w *wire) close(why error) {
	if refused(why) {
		// It was said of one thing. Of what else waits here nobody knows whether it was done.
		why = fmt.Errorf("the connection was closed behind a refusal: %v", why)
	}
	if w.conn != nil {
		w.conn.Abort(loop.ErrClosed)
	}
	w.end(why)
}

// fail is close for who may be on the loop: it returns at once.
func (w *wire) fail(why error) {
	w.mu.Lock()
	if w.over == nil {
		w.over = why
	}
	w.mu.Unlock()
	if w.conn != nil {
		w.conn.Abort(loop.ErrClosed) // Closed follows
	}
}

// end is the end of everything.
func (w *wire) end(why error) {
	w.once.Do(func() {
		w.reading.Lock()
		w.deaf = true
		w.reading.Unlock()
		w.mu.Lock()
		if w.over == nil {
			w.over = why
		}
		w.err = w.over
		lost := w.waiting
		w.waiting = nil
		w.mu.Unlock()
		close(w.ended)
		for _, c := range lost {
			c.done(nil, w.err)
		}
	})
	<-w.ended
}

// RemoteAddr implements [loop.Protocol].
func (w *wire) RemoteAddr() string { return w.remote }

// Closed implements [loop.Protocol].
func (w *wire) Closed(_ *loop.Conn, reason error) {
	w.count.Add(-1)
	if errors.Is(reason, loop.ErrPeerClosed) {
		reason = errEnded
	}
	w.end(reason)
}

// Data implements [loop.Protocol].
func (w *wire) Data(c *loop.Conn, data []byte) {
	w.reading.Lock()
	defer w.reading.Unlock()
	if w.deaf || len(data) == 0 {
		return
	}
	if err := w.decoder.Feed(data, w.take); err != nil {
		w.fail(fmt.Errorf("what the engine says cannot be read: %w", err))
	}
	if w.heard.brought() || w.woke {
		w.woke = false
		c.Woke()
	}
}

// rests reports that nothing that came is being handled just now.
func (w *wire) rests() bool {
	if !w.reading.TryLock() {
		return false
	}
	w.reading.Unlock()
	return true
}

// take takes one thing that came.
func (w *wire) take(v resp.Value) {
	if v.Kind == resp.Push {
		w.note(v.List)
		return
	}
	w.mu.Lock()
	if len(w.waiting) == 0 {
		w.mu.Unlock()
		w.fail(errors.New("the engine answers what nobody asked"))
		return
	}
	c := w.waiting[0]
	c.answers = append(c.answers, reply{Value: v})
	isOver := len(c.answers) >= c.want // a subscription is answered so if it is refused alone
	if isOver {
		w.answered()
	}
	w.mu.Unlock()
	if isOver {
		w.woke = w.woke || c.waited
		c.done(c.answers, nil)
	}
}

// answered takes away the first command that waits. mu is held.
func (w *wire) answered() {
	w.waiting[0] = nil
	if w.waiting = w.waiting[1:]; len(w.waiting) == 0 {
		w.waiting = nil
	}
}

// note takes what came without being asked for: a message, or a note that a subscription began or ended, which
// is all that answers who has asked for it.
func (w *wire) note(list []resp.Value) {
	if len(list) != 3 {
		return // of no kind that was asked for
	}
	kind, channel := list[0].Text, list[1].Text
	switch kind {
	case "smessage":
		w.heard.message(channel, list[2].Text)
		return
	case noteSubscribe, noteUnsubscribe:
	default:
		return
	}
	w.heard.subscription(kind, channel)
	w.mu.Lock()
	var c *command
	if len(w.waiting) > 0 {
		first := w.waiting[0]
		if first.kind == kind && first.of[0] == channel {
			if first.of = first.of[1:]; len(first.of) == 0 {
				c = first
				w.answered()
			}
		}
	}
	w.mu.Unlock()
	if c != nil {
		w.woke = w.woke || c.waited
		c.done([]reply{{}}, nil)
	}
}

// say puts a command into the outbox. urgent has it leave at once, on the goroutine of the caller. c.done is called
// once, maybe before say returns, and on the loop's reader mostly: it must not wait.
func (w *wire) say(text []byte, c *command, urgent bool) {
	w.mu.Lock()
	if w.over != nil {
		err := w.over
		w.mu.Unlock()
		c.done(nil, err)
		return
	}
	w.waiting = append(w.waiting, c)
	urgent = urgent && w.conn.OnLoop()
	if urgent {
		w.conn.Cork()
	}
	// What cannot be pushed any more ends with the connection.
	ok := w.conn.Push(text)
	w.mu.Unlock()
	if urgent {
		w.conn.Uncork()
	}
	if !ok {
		w.fail(errEnded)
	}
}

// wait says something and waits for its answers.
func (w *wire) wait(ctx context.Context, text []byte, c *command) ([]reply, error) {
	type answer struct {
		list []reply
		err  error
	}
	came := make(chan answer, 1)
	c.waited = true
	c.done = func(list []reply, err error) { came <- answer{list, err} }
	w.say(text, c, false)
	select {
	case a := <-came:
		return a.list, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// do says one command and waits for its answer.
func (w *wire) do(ctx context.Context, words ...string) reply {
	list, err := w.wait(ctx, resp.AppendCommand(nil, words...), &command{want: 1})
	if err != nil {
		return reply{err: err}
	}
	return list[0]
}

// subscribe begins or ends subscriptions, and waits until all have.
func (w *wire) subscribe(ctx context.Context, kind string, channels []string) error {
	if len(channels) == 0 {
		return nil
	}
	b := resp.AppendHead(nil, 1+len(channels))
	b = resp.AppendArg(b, kind)
	for _, name := range channels {
		b = resp.AppendArg(b, name)
	}
	list, err := w.wait(ctx, b, &command{want: 1, kind: kind, of: channels})
	if err != nil {
		return err
	}
	return list[0].Error()
}

// greet says hello on a connection that nobody uses yet, within ctx.
func greet(ctx context.Context, nc net.Conn, e *Engine, name string) error {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	hello := []string{"HELLO", "3"}
	if e.user != "" || e.password != "" {
		user := e.user
		if user == "" {
			user = "default"
		}
		hello = append(hello, "AUTH", user, e.password)
	}
	text := resp.AppendCommand(nil, append(hello, "SETNAME", name)...)
	want := 1
	if e.db != 0 {
		text = resp.AppendCommand(text, "SELECT", strconv.Itoa(e.db))
		want++
	}
	if _, err := nc.Write(text); err != nil {
		return err
	}
	var d resp.Decoder
	var wrong error
	buf := make([]byte, 4<<10)
	for want > 0 {
		n, err := nc.Read(buf)
		if err != nil {
			return cmp.Or(ctx.Err(), err)
		}
		err = d.Feed(buf[:n], func(v resp.Value) {
			want--
			if wrong == nil {
				wrong = v.Err()
			}
		})
		if err = errors.Join(wrong, err); err != nil {
			return err
		}
	}
	if !stop() {
		return ctx.Err()
	}
	return nil
}
