package passing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"poosh/server/http1"
	"poosh/server/latency"
	"poosh/server/loop"
	"poosh/server/socketio"
)

// An inLink is the end of a link at which requests come. It implements [loop.Protocol].
type inLink struct {
	link

	// Guarded by mu.
	calls    map[uint64]*call // that wait, and of those answered the latest
	answered []*call          // oldest first
	waits    int              // of calls, those that do
	sent     uint64           // frames
	acked    uint64           // of those, the ones that arrived

	open context.Context // ends with the link; set once, as what follows
	cut  context.CancelFunc

	q request // owned by the connection's reader, as what follows
	w writer
}

const (
	// maxCalls bounds the requests that wait. Each has a client at the other node, whose
	// connections are bounded: more is not what happens.
	maxCalls = 1 << 18
	// maxAnswered is how many answers may turn out later not to have reached their clients.
	maxAnswered = 4096
	// orphanTime is how long a poll that nobody can answer any more is kept, for a balancer to ask
	// once more.
	orphanTime = 3 * time.Second
)

// A call is a request that is answered later. It implements the Answerer of package socketio.
type call struct {
	link *inLink
	id   uint64
	to   http1.Waiter
	head []byte // of the answer

	// Guarded by the link's mu.
	given bool
	place uint64 // of the answer, among the frames that were sent
}

// Data implements [loop.Protocol].
func (l *inLink) Data(c *loop.Conn, data []byte) { l.take(c, data, l.handle) }

func (l *inLink) handle(kind byte, id uint64, rest []byte) bool {
	switch kind {
	case frameRequest:
		l.serve(id, rest)
	case frameCancel:
		l.cancel(id)
	case frameYield:
		l.yield(id)
	case frameCame:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.acked = max(l.acked, id)
	case framePing:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.acked = max(l.acked, id)
		return l.put(newFrame(framePong, 0, 0))
	default: // of a later version
	}
	return true
}

// put is send, and counts. l.mu is held.
func (l *inLink) put(frame []byte) bool {
	if !l.send(frame) {
		return false
	}
	l.sent++
	return true
}

// serve serves a request. One that is none costs nobody but who asked: it is signed, so what comes
// behind it is what the other node sent.
func (l *inLink) serve(id uint64, b []byte) {
	n := l.node
	body, ok := l.q.read(b)
	if !ok {
		n.count.refused.Add(refusedRequest, 1)
		l.w.reset(l, id)
		l.w.fail(http.StatusBadRequest)
		l.w.end()
		return
	}
	p, known := n.ports[l.q.port]
	n.count.served.Add(p.counts, 1)
	if len(body) > 0 {
		l.q.Request.Body = io.NopCloser(bytes.NewReader(body))
	}
	l.w.reset(l, id)
	l.mu.Lock()
	full := l.waits >= maxCalls
	l.mu.Unlock()
	switch {
	case !known:
		n.count.refused.Add(refusedPort, 1)
		l.w.fail(http.StatusForbidden)
	case full:
		l.w.fail(http.StatusServiceUnavailable)
	case !l.call(p.Handler):
		l.w.fail(http.StatusInternalServerError)
	}
	l.w.end()
}

// call has the request served, and reports whether the handler returned.
func (l *inLink) call(h http.Handler) (ok bool) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // net/http compares so
			l.node.opt.Log.Error("panic in a handler", "remote", l.q.RemoteAddr, "node", l.name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	h.ServeHTTP(&l.w, l.q.Request.WithContext(l.context()))
	return true
}

// context is what requests are served with, one after the other.
func (l *inLink) context() context.Context {
	if l.w.ctx == nil {
		l.w.ctx = l.node.opt.Context()
	}
	return l.w.ctx
}

// cancel tells who answers that nobody waits, or that the answer did not arrive.
func (l *inLink) cancel(id uint64) {
	l.mu.Lock()
	c := l.calls[id]
	if c != nil {
		l.drop(c)
	}
	l.mu.Unlock()
	if c != nil {
		c.to.Abandoned()
	}
}

// drop forgets a call, for which an answer counts for nothing then. l.mu is held.
func (l *inLink) drop(c *call) {
	delete(l.calls, c.id)
	if !c.given {
		c.given = true
		l.waits--
	}
}

// A yielder is an [http1.Waiter] that can be asked to answer with nothing, if it waits still.
type yielder interface{ Yield() }

func (l *inLink) yield(id uint64) {
	l.mu.Lock()
	c := l.calls[id]
	l.mu.Unlock()
	if c == nil {
		return
	}
	if y, ok := c.to.(yielder); ok {
		y.Yield()
	}
}

// Answer implements the Answerer of package socketio.
func (c *call) Answer(body []byte, marks ...*latency.Mark) {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.given {
		latency.Marks(marks).Pass()
		return
	}
	frame := newFrame(frameAnswer, c.id, len(c.head)+len(body))
	if l.put(append(append(frame, c.head...), body...)) {
		latency.Marks(marks).Move(l.conn)
		l.hand(c)
		return
	}
	latency.Marks(marks).Pass()
	l.drop(c)
	go c.to.Abandoned() // not here: who answers may hold locks
}

// hand notes that a call was answered, and keeps it for a while. l.mu is held.
func (l *inLink) hand(c *call) {
	c.given, c.head, c.place = true, nil, l.sent
	l.waits--
	if len(l.answered) >= maxAnswered {
		old := l.answered[:maxAnswered/2]
		for _, o := range old {
			delete(l.calls, o.id)
		}
		l.answered = append(l.answered[:0:0], l.answered[maxAnswered/2:]...)
	}
	l.answered = append(l.answered, c)
}

// Closed implements [loop.Protocol]. Answers that may not have arrived are lost; polls that wait are
// kept for a moment.
func (l *inLink) Closed(*loop.Conn, error) {
	n := l.node
	n.mu.Lock()
	delete(n.in, l)
	n.mu.Unlock()
	l.cut()
	var lost, waiting []*call
	l.mu.Lock()
	l.dead = true
	for _, c := range l.calls {
		switch {
		case !c.given:
			waiting = append(waiting, c)
		case c.place > l.acked:
			lost = append(lost, c)
		}
	}
	l.answered = nil
	l.mu.Unlock()
	for _, c := range lost {
		c.to.Abandoned()
	}
	if len(waiting) == 0 {
		return
	}
	time.AfterFunc(orphanTime, func() {
		for _, c := range waiting {
			l.cancel(c.id)
		}
	})
}

func (l *inLink) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waits > 0
}

func (l *inLink) finish() { l.abort(loop.ErrShutdown) }

func (l *inLink) check(now time.Duration) {
	if l.silent(now, 2*l.node.opt.Timeout) {
		l.abort(loop.ErrReset)
	}
}

// A writer is the ResponseWriter of a request that came on a link. It is used again for another one.
type writer struct {
	link   *inLink
	id     uint64
	ctx    context.Context
	header http.Header
	status int
	body   []byte
	later  bool
}

var _ socketio.Postponer = (*writer)(nil)

func (w *writer) reset(l *inLink, id uint64) {
	if w.header == nil {
		w.header = make(http.Header)
	}
	clear(w.header)
	if cap(w.body) > keepBuffer {
		w.body = nil
	}
	w.link, w.id, w.status, w.body, w.later = l, id, 0, w.body[:0], false
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

func (w *writer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, b...)
	return len(b), nil
}

// head is what the answer begins with.
func (w *writer) head() []byte {
	w.WriteHeader(http.StatusOK)
	return appendAnswerHead(make([]byte, 0, 256), w.status, w.header)
}

// Later implements the Postponer of package socketio.
func (w *writer) Later(to http1.Waiter) socketio.Answerer {
	c := &call{link: w.link, id: w.id, to: to, head: w.head()}
	w.later = true
	l := w.link
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[w.id] = c
	l.waits++
	return c
}

// fail makes the answer one that is no dialect's, unless there is one.
func (w *writer) fail(status int) {
	if w.later {
		w.link.cancel(w.id)
		w.later = false
	}
	clear(w.header)
	w.status, w.body = status, w.body[:0]
}

// end sends the answer, unless that comes later.
func (w *writer) end() {
	if w.later {
		return
	}
	head := w.head()
	frame := newFrame(frameAnswer, w.id, len(head)+len(w.body))
	l := w.link
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(append(append(frame, head...), w.body...)) // who asked is told when the link ends
}

// greeting is how a hello is answered that is taken.
func greeting(nonce, proof string) []byte {
	return []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: poosh\r\nPoosh-Nonce: " + nonce + "\r\nPoosh-Proof: " + proof + "\r\n\r\n")
}

// refusalText is how one is answered that is not.
func refusalText(why refusal) []byte {
	body := `{"error":"` + refusalNames[why] + `"}`
	return fmt.Appendf(nil, "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}
