package socketio

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"poosh/server/latency"
	"poosh/server/loop"
	"poosh/server/websocket"
)

// writeTimeout is how long an answer may take to leave through net/http. The HTTP
// servers bound the rest.
const writeTimeout = 30 * time.Second

// polling is a session's state while it is on polling. The session's mu guards
// it.
type polling struct {
	get    *pollWait // the GET that waits; nil for none
	frames [][]byte  // for the next GET, oldest first
	pong   bool      // one of frames is a pong
	// overlaps is how often in a row it was soon after the time before that a GET met one
	// that waits.
	overlaps uint8
	presses  uint8  // in how many rounds publishers waited for the client since its last GET
	round    uint32 // the last of them, in which they may wait still
	size     int32  // what frames cost; an outbox has two gigabytes at the most
	given    int32  // what the last answer cost, until a further GET shows that it was read
	news     int32  // of size, what the client has not asked for
	told     int32  // of given, the same
	total    *atomic.Int64
	marks    *latency.Marks // that frames carry; nil for none

	overlap time.Duration // the server's uptime when a GET last met one that waits
}

// mark has what waits carry a mark.
func (p *polling) mark(k *latency.Mark) {
	if p.marks == nil {
		p.marks = new(latency.Marks)
	}
	p.marks.Add(k)
}

// takeMarks leaves the marks to who takes what carries them.
func (p *polling) takeMarks() (marks latency.Marks) {
	if p.marks != nil {
		marks, p.marks = *p.marks, nil
	}
	return marks
}

// maxOverlaps is how many GETs in a row may each meet one that waits, with less than
// pace between them. Two who poll with one id would else free each other for ever.
const maxOverlaps = 20

// overlapped notes that a GET came while another waits, and reports whether that is one
// time too often.
func (p *polling) overlapped(now time.Duration) bool {
	if now-p.overlap >= pace {
		p.overlaps = 0
	}
	p.overlap = now
	p.overlaps++
	return p.overlaps > maxOverlaps
}

// A laterAnswer is what [http1.Later] returns; see [Answerer].
type laterAnswer interface {
	Answer(body []byte, marks ...*latency.Mark)
}

// pollWait is a GET that waits for something to answer with. It implements
// [http1.Waiter].
type pollWait struct {
	session *Session
	later   laterAnswer   // nil where a goroutine waits for frames instead
	form    payloadForm   // of the answer
	frames  chan [][]byte // capacity 1
	empty   bool          // guarded by the session's mu: what it was answered with says nothing
}

// answer gives the waiting GET its answer. It never blocks.
func (p *polling) answer(frames [][]byte) {
	g := p.get
	p.get = nil
	for _, frame := range frames {
		p.given += int32(loop.Cost(frame))
	}
	p.total.Add(int64(p.given))
	marks := p.takeMarks()
	if g.later != nil {
		g.later.Answer(g.form.payload(frames), marks...)
		return
	}
	marks.Pass() // net/http does not tell when it has written
	g.frames <- frames
}

// add queues a frame for the next GET, or reports that a bound is met: that of the
// session or, while no GET waits, that of all sessions. A pong behind one that waits
// already says nothing new.
func (p *polling) add(frame []byte, limit int, all int64) bool {
	cost := loop.Cost(frame)
	isPong := websocket.Payload(frame)[0] == enginePong
	switch {
	case isPong && p.pong:
		return true
	case p.occupied()+cost > limit:
		return false
	case p.get != nil: // so nothing else waits
		p.answer([][]byte{frame})
		return true
	case p.total.Load() > all:
		return false
	}
	p.frames = append(p.frames, frame)
	p.pong = p.pong || isPong
	p.size += int32(cost)
	p.total.Add(int64(cost))
	return true
}

// yield answers the waiting GET with nothing: a newer GET, or a WebSocket, has the
// rest.
func (p *polling) yield() {
	if p.get != nil {
		p.get.empty = true
		p.answer([][]byte{frameNoop})
	}
}

// take empties the queue.
func (p *polling) take() [][]byte {
	frames := p.frames
	p.total.Add(-int64(p.size))
	p.frames, p.size, p.pong = nil, 0, false
	p.told, p.news = p.news, 0
	return frames
}

// takeMarked is take for who carries on with the marks.
func (p *polling) takeMarked() ([][]byte, latency.Marks) {
	marks := p.takeMarks()
	return p.take(), marks
}

// forget drops what is queued.
func (p *polling) forget() {
	_, marks := p.takeMarked()
	marks.Pass()
}

// read notes that the last answer has been read, or does not count any more.
func (p *polling) read() {
	p.total.Add(-int64(p.given))
	p.given, p.told = 0, 0
}

// occupied is what waits for the client, or may be unread.
func (p *polling) occupied() int { return int(p.size) + int(p.given) }

// upgrade ends polling: the waiting GET gets nothing, the WebSocket the rest.
func (p *polling) upgrade() ([][]byte, latency.Marks) {
	p.yield()
	p.read()
	return p.takeMarked()
}

// openPolling answers the handshake of a polling client: with the open packet alone,
// since clients written for socket.io 1.x may read one packet of it and drop the
// rest. What else there is comes with the next GET.
func (srv *Server) openPolling(w http.ResponseWriter, r *http.Request, q query) {
	if srv.refuseHandshake(w, r) {
		return
	}
	s := srv.newSession(r)
	s.poll = &polling{total: &srv.polled}
	if !srv.reserve(s, w, r) {
		return
	}
	open := srv.openPacket(s, true)
	s.begin()
	if s.speaks() != 4 {
		// Not with protocol 4: its servers set none unless told to.
		w.Header().Set("Set-Cookie", "io="+s.engineID+"; Path=/; HttpOnly; SameSite=Lax")
	}
	form := q.form(s)
	srv.prepare(w, r, form)
	srv.answer(w, form, s, [][]byte{open})
}

// A pollFate is what becomes of a GET.
type pollFate uint8

const (
	pollWaits    pollFate = iota // it is answered once there is something
	pollFetches                  // its session has ended, and has last words
	pollUnknown                  // its session has ended
	pollRefused                  // its session is on a WebSocket
	pollOverlaps                 // it came while another waits, once too often
)

// admit says what becomes of a GET, and notes that it came. s.mu is held.
func (s *Session) admit() pollFate {
	switch {
	case s.life == lifeKept:
		return pollFetches
	case s.life == lifeClosed:
		return pollUnknown
	case s.poll != nil && s.poll.get != nil && s.poll.overlapped(s.server.uptime()):
		return pollOverlaps
	case s.request(wayPoll)&wayServe == 0:
		return pollRefused
	}
	return pollWaits
}

// servePoll answers a GET of a polling session once there is something. Where
// [http1.Later] is to be had it returns at once.
func (srv *Server) servePoll(w http.ResponseWriter, r *http.Request, q query, s *Session) {
	g := &pollWait{session: s, form: q.form(s)}
	var frames [][]byte
	s.mu.Lock()
	fate := s.admit() // under the lock of what follows: an end in between would forget the GET
	switch fate {
	case pollWaits:
		srv.prepare(w, r, g.form)
		g.begin(w)
	case pollFetches:
		frames, _ = s.fetch()
	}
	s.mu.Unlock()
	switch fate {
	case pollWaits:
		g.wait(w, r)
	case pollFetches:
		srv.remove(s)
		srv.prepare(w, r, g.form)
		srv.answer(w, g.form, s, frames)
	case pollUnknown:
		srv.fail(w, r, unknownSession)
	case pollOverlaps:
		s.end(reasonPacket)
		srv.fail(w, r, badRequest)
	default:
		srv.fail(w, r, badRequest)
	}
}

// begin makes g the GET that waits, and answers it if there is something already. The
// session's mu is held.
func (g *pollWait) begin(w http.ResponseWriter) {
	p := g.session.poll
	p.yield() // two at once: the older gives way
	p.read()
	g.session.came()
	var ok bool
	if g.later, ok = g.session.server.later(w, g); !ok {
		g.later, g.frames = nil, make(chan [][]byte, 1)
	}
	p.get = g
	if len(p.frames) > 0 {
		p.answer(p.take())
	}
}

// wait waits on the goroutine that serves the GET, if it has to.
func (g *pollWait) wait(w http.ResponseWriter, r *http.Request) {
	if g.later != nil {
		return
	}
	select {
	case frames := <-g.frames:
		g.session.server.answer(w, g.form, g.session, frames)
	case <-r.Context().Done():
		g.Abandoned()
	}
}

// Abandoned implements [http1.Waiter]: a GET could not be answered, or not be written
// the answer that it was given. Nothing is lost with one that has given way to a
// newer, or was answered with nothing.
func (g *pollWait) Abandoned() {
	s := g.session
	s.mu.Lock()
	mine := s.poll != nil && s.poll.get == g
	lost := !mine && !g.empty && s.poll != nil // it was answered, maybe at that moment
	s.mu.Unlock()
	switch {
	case mine: // leaving a page cuts the GET: the session is over
		s.end(reasonClosed)
	case lost:
		s.end(reasonFailed)
	}
}

// payloadForm is how one GET wants its answer.
type payloadForm struct {
	form
	jsonp bool
	index string // of a JSONP request
}

// form is the form of a request's answer.
func (q query) form(s *Session) payloadForm {
	f := payloadForm{s.form, q.jsonp, strings.Clone(q.index)} // the request is gone when a GET that waited is answered
	if q.jsonp && f.form == formBinary {
		f.form = formText // a script cannot hold the binary form
	}
	return f
}

// payload puts frames together as the body of an answer.
func (f payloadForm) payload(frames [][]byte) []byte {
	size := 32
	for _, frame := range frames {
		size += len(frame) + 12
	}
	body := appendPayload(make([]byte, 0, size), f.form, frames)
	if f.jsonp {
		body = appendJSONP(make([]byte, 0, 2*len(body)), f.index, body)
	}
	return body
}

// Content types of payloads; they are shared.
var (
	scriptType = []string{"text/javascript; charset=UTF-8"}
	textType   = []string{"text/plain; charset=UTF-8"}
	binaryType = []string{"application/octet-stream"} // clients before 1.4 take nothing behind it
)

func (f payloadForm) contentType() []string {
	switch {
	case f.jsonp:
		return scriptType
	case f.form == formBinary:
		return binaryType
	}
	return textType
}

// prepare sets the headers of an answer to a GET.
func (srv *Server) prepare(w http.ResponseWriter, r *http.Request, f payloadForm) {
	srv.crossOrigin(w, r)
	h := w.Header()
	h["Content-Type"] = f.contentType()
	h["Cache-Control"] = noStore
}

// answer writes frames as a payload in the form that the client reads.
func (srv *Server) answer(w http.ResponseWriter, f payloadForm, s *Session, frames [][]byte) {
	body := f.payload(frames)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := w.Write(body); err != nil {
		s.end(reasonFailed)
		return
	}
	// The long wait of the next GET on this connection must not inherit it.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
}
