package passing

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"poosh/server/http1"
	"poosh/server/loop"
)

// An outLink is the end of a link at which requests leave. It implements [loop.Protocol].
type outLink struct {
	link

	// Guarded by mu.
	calls  map[uint64]*passing // that wait for an answer
	next   uint64              // number of the next request
	queue  [][]byte            // before there is a connection
	queued int                 // bytes of it

	told uint64 // frames of which the other node knows that they came

	header http.Header // of the last answer; owned by the connection's reader, as what follows
	values [usual]string
}

// A passing request waits for its answer. It implements [http1.Waiter].
type passing struct {
	link *outLink
	id   uint64 // guarded by the link's mu; 0 before it is sent
	gone bool   // guarded by the link's mu: nobody waits any more
	to   answerer
	post bool
}

// An answerer is [http1.Pending], or somebody who waits.
type answerer interface {
	AnswerWith(status int, header http.Header, body []byte)
}

func (l *outLink) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.dead
}

// open reports whether there is a connection.
func (l *outLink) open() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.dead && l.conn != nil
}

func (l *outLink) busy() bool { return l.waiting() > 0 }

func (l *outLink) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls)
}

// pass sends a request, whose answer comes to w.
func (l *outLink) pass(w http.ResponseWriter, r *http.Request, frame []byte) {
	p := &passing{link: l, post: r.Method == http.MethodPost}
	if later, ok := http1.Later(w, p); ok {
		p.to = later
		if why, ok := l.ask(p, frame); !ok {
			p.fail(why)
		}
		return
	}
	waits := make(waits, 1)
	p.to = waits
	if why, ok := l.ask(p, frame); !ok {
		p.fail(why)
	}
	select {
	case a := <-waits:
		if !a.write(w) {
			p.Abandoned()
		}
	case <-r.Context().Done():
		p.Abandoned()
	}
}

// ask numbers a request and sends it, or says why not.
func (l *outLink) ask(p *passing, frame []byte) (why result, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.queued
	if l.conn != nil {
		waiting = l.conn.Waiting()
	}
	switch {
	case p.gone: // before it was asked for
		return 0, true
	case l.dead:
		return passedFailed, false
	case waiting+len(frame) > l.node.opt.QueueBytes && waiting > 0:
		return passedFull, false
	}
	l.tell()
	l.next++
	p.id = l.next
	number(frame, p.id)
	if l.conn == nil {
		l.queue, l.queued = append(l.queue, frame), l.queued+loop.Cost(frame)
	} else if !l.send(frame) {
		return passedFailed, false
	}
	l.calls[p.id] = p
	return 0, true
}

// Abandoned implements [http1.Waiter]: nobody waits for the answer, or it did not reach who did.
func (p *passing) Abandoned() {
	l := p.link
	l.mu.Lock()
	p.gone = true
	waited := l.calls[p.id] == p || p.id == 0
	delete(l.calls, p.id)
	switch cancel := newFrame(frameCancel, p.id, 0); {
	case p.id == 0: // it is not sent
	case l.conn == nil && !l.dead:
		l.queue = append(l.queue, cancel)
	default:
		l.send(cancel)
	}
	l.mu.Unlock()
	if waited {
		l.node.count.passed.Add(passedAbandoned, 1)
	}
}

// fail answers a request that was not, for there is no answer.
func (p *passing) fail(why result) {
	p.link.node.count.passed.Add(why, 1)
	status, body := http.StatusBadGateway, unreachable
	if why == passedFull {
		status, body = http.StatusServiceUnavailable, busy
	}
	p.to.AnswerWith(status, failedHeader, body)
}

// Answers of this node's own, in the form of engine.io's; all clients close at another status
// than 200 and connect anew.
var (
	unreachable  = []byte(`{"code":3,"message":"The session's node is out of reach"}` + "\n")
	busy         = []byte(`{"code":3,"message":"Too much waits for the session's node"}` + "\n")
	unfitBody    = []byte(`{"code":3,"message":"Bad request"}` + "\n")
	failedHeader = http.Header{"Content-Type": {"application/json"}, "X-Content-Type-Options": {"nosniff"}, "Access-Control-Allow-Origin": {"*"}, "Retry-After": {"1"}}
)

// tell has the other node know at once which of its answers came, before anything else is said: what it
// does not know of counts as lost when the link is cut. l.mu is held.
func (l *outLink) tell() {
	if came := l.came.Load(); came > l.told && l.send(newFrame(frameCame, came, 0)) {
		l.told = came
	}
}

// Data implements [loop.Protocol].
func (l *outLink) Data(c *loop.Conn, data []byte) {
	l.take(c, data, l.handle)
	l.mu.Lock()
	l.tell()
	l.mu.Unlock()
}

func (l *outLink) handle(kind byte, id uint64, rest []byte) bool {
	l.came.Add(1)
	if kind != frameAnswer {
		return true // a pong, or of a later version
	}
	l.mu.Lock()
	p := l.calls[id]
	delete(l.calls, id)
	l.mu.Unlock()
	if p == nil {
		return true // it was abandoned
	}
	if l.header == nil {
		l.header = make(http.Header)
	}
	status, body, ok := readAnswer(rest, l.header, &l.values)
	if !ok { // it is signed, so the other node is of another version: the rest is still good
		p.fail(passedFailed)
		return true
	}
	l.node.count.passed.Add(passedAnswered, 1)
	p.to.AnswerWith(status, l.header, body)
	return true
}

// Closed implements [loop.Protocol].
func (l *outLink) Closed(*loop.Conn, error) { l.over(false) }

// over fails all that wait.
func (l *outLink) over(failed bool) {
	l.mu.Lock()
	l.dead = true
	calls := l.calls
	l.calls, l.queue = make(map[uint64]*passing), nil
	l.mu.Unlock()
	l.node.lost(l, failed)
	for _, p := range calls {
		p.fail(passedFailed)
	}
}

// finish ends the link in order: the other node knows which of its answers came.
func (l *outLink) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.tell()
		l.conn.Finish()
	}
}

// check pings, and ends the link where the other node does not answer.
func (l *outLink) check(now time.Duration) {
	l.mu.Lock()
	there := l.conn != nil
	if there {
		l.send(ping(l.came.Load()))
	}
	l.mu.Unlock()
	if there && l.silent(now, l.node.opt.Timeout) {
		l.abort(loop.ErrReset)
	}
}

// yield has polls that wait answered with nothing.
func (l *outLink) yield() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range l.calls {
		if !p.post {
			l.send(newFrame(frameYield, id, 0))
		}
	}
}

// waits is where somebody waits for an answer on a goroutine; capacity 1.
type waits chan whole

// A whole answer.
type whole struct {
	status int
	header http.Header
	body   []byte
}

// AnswerWith implements answerer.
func (w waits) AnswerWith(status int, header http.Header, body []byte) {
	w <- whole{status, header.Clone(), bytes.Clone(body)}
}

// writeTimeout is how long an answer may take to leave through net/http, as in package socketio.
const writeTimeout = 30 * time.Second

// write answers, and reports whether the answer has left, as far as net/http tells.
func (a whole) write(w http.ResponseWriter) bool {
	h := w.Header()
	clear(h)
	for name, values := range a.header {
		h[name] = values
	}
	h["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	w.WriteHeader(a.status)
	_, err := w.Write(a.body)
	if err == nil {
		// The long wait of the next GET on this connection must not inherit it.
		_ = control.SetWriteDeadline(time.Time{})
	}
	return err == nil
}
