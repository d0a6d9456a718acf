package socketio

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"poosh/server/http1"
	"poosh/server/wire"
)

// writeTimeout is how long an answer may take to leave through net/http. The HTTP
// servers bound the rest.
const writeTimeout = 30 * time.Second

// polling is a session's state while it is on polling. The session's mu guards
// it.
type polling struct {
	used    bool      // a request came after the handshake
	probed  bool      // a WebSocket is about to take over: answer GETs at once
	posting bool      // a POST is under way
	get     *pollWait // the GET that waits; nil for none
	frames  [][]byte  // for the next GET, oldest first
	size    int
	last    []byte        // what a GET is answered with once the session is over
	total   *atomic.Int64 // set once; the server's sum of size
}

// pollWait is a GET that waits for something to answer with.
type pollWait struct {
	later  *http1.Pending // nil where a goroutine waits for frames instead
	form   payloadForm    // of the answer
	frames chan [][]byte  // capacity 1
}

// give answers the GET. It never blocks.
func (g *pollWait) give(frames [][]byte) {
	if g.later != nil {
		g.later.Answer(g.form.payload(frames))
		return
	}
	g.frames <- frames
}

// add queues a frame for the next GET, or reports that a bound is met: that of the
// session or, while no GET waits, that of all sessions.
func (p *polling) add(frame []byte, limit int, all int64) bool {
	if p.size+len(frame) > limit || p.get == nil && p.total.Load() > all {
		return false
	}
	if g := p.get; g != nil { // so nothing else waits
		p.get = nil
		g.give([][]byte{frame})
		return true
	}
	p.frames = append(p.frames, frame)
	p.size += len(frame)
	p.total.Add(int64(len(frame)))
	return true
}

// wake answers the waiting GET with what there is.
func (p *polling) wake() {
	if g := p.get; g != nil {
		p.get = nil
		g.give(p.next())
	}
}

// yield answers the waiting GET with nothing: a newer GET, or a WebSocket, has the
// rest.
func (p *polling) yield() {
	if g := p.get; g != nil {
		p.get = nil
		g.give([][]byte{frameNoop})
	}
}

// next takes what a GET is answered with now.
func (p *polling) next() [][]byte {
	frames := p.take()
	switch {
	case len(frames) > 0:
		return frames
	case p.last != nil:
		return [][]byte{p.last}
	}
	return [][]byte{frameNoop}
}

// take empties the queue.
func (p *polling) take() [][]byte {
	frames := p.frames
	p.total.Add(-int64(p.size))
	p.frames, p.size = nil, 0
	return frames
}

// upgrade ends polling: the waiting GET gets nothing, the WebSocket the rest.
func (p *polling) upgrade() [][]byte {
	p.yield()
	return p.take()
}

// finish ends polling with the session. The waiting GET is always answered: with
// what waits, or with nothing when the client closed the session, or else with a
// close packet.
func (p *polling) finish(reason wire.Reason) {
	p.last = frameClose
	if reason == reasonClosed {
		p.last = frameNoop
	}
	if p.get == nil {
		p.take()
	}
	p.wake()
}

// openPolling answers the handshake of a polling client.
func (srv *Server) openPolling(w http.ResponseWriter, r *http.Request, q query) {
	if srv.refuseHandshake(w, r) {
		return
	}
	s := srv.newSession(r)
	s.poll = &polling{total: &srv.polled}
	if !srv.add(s, w, r, true) {
		return
	}
	s.open(srv.openPacket(s, true))
	if s.protocol != 4 {
		// Not with protocol 4: its servers set none unless told to.
		w.Header().Set("Set-Cookie", "io="+s.engineID)
	}
	s.mu.Lock()
	frames := s.poll.take()
	s.mu.Unlock()
	form := q.form(s)
	srv.prepare(w, r, form)
	srv.answer(w, form, s, frames)
}

// servePoll answers a GET of a polling session once there is something.
func (srv *Server) servePoll(w http.ResponseWriter, r *http.Request, q query, s *Session) {
	form := q.form(s)
	s.mu.Lock()
	p := s.poll
	if p == nil {
		s.mu.Unlock()
		srv.fail(w, r, badRequest)
		return
	}
	s.used()
	p.yield() // two at once: the older gives way
	wait := len(p.frames) == 0 && !p.probed && p.last == nil && s.state == stateOpen
	srv.prepare(w, r, form)
	if later, ok := http1.Later(w, s); ok {
		p.get = &pollWait{later: later, form: form}
		if !wait {
			p.wake()
		}
		closing := s.state == stateClosing
		s.mu.Unlock()
		if closing && !wait {
			s.end(reasonForced)
		}
		return
	}
	p.get = &pollWait{frames: make(chan [][]byte, 1)}
	frames := p.get.frames
	if !wait {
		p.wake()
	}
	s.mu.Unlock()
	select {
	case ready := <-frames:
		srv.answer(w, form, s, ready)
	case <-r.Context().Done():
		s.Gone(false)
		return
	}
	s.mu.Lock()
	closing := s.state == stateClosing
	s.mu.Unlock()
	if closing {
		s.end(reasonForced)
	}
}

// Gone implements [http1.Waiter]: a GET could not be answered, or not be written
// the answer that it was given.
func (s *Session) Gone(answered bool) {
	s.mu.Lock()
	upgraded := s.poll == nil
	s.mu.Unlock()
	switch {
	case upgraded: // the GET was to be answered with nothing, and the WebSocket has the rest
		return
	case answered:
		s.end(reasonFailed)
		return
	}
	// Leaving a page cuts the GET: the session is over.
	s.end(reasonClosed)
	s.mu.Lock()
	if s.poll != nil {
		s.poll.take()
	}
	s.mu.Unlock()
}

// payloadForm is how one GET wants its answer.
type payloadForm struct {
	form
	jsonp bool
	index string // of a JSONP request
}

// form is the form of a request's answer.
func (q query) form(s *Session) payloadForm {
	f := payloadForm{s.form, q.jsonp, q.index}
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

// servePost takes the packets of a polling client.
func (srv *Server) servePost(w http.ResponseWriter, r *http.Request, q query, s *Session) {
	s.mu.Lock()
	if s.poll != nil {
		s.used()
	}
	// A POST may still be on its way when the WebSocket takes over.
	busy := s.poll != nil && s.poll.posting
	if s.poll != nil {
		s.poll.posting = true
	}
	s.mu.Unlock()
	if busy {
		s.end(reasonPacket)
		srv.fail(w, r, badRequest)
		return
	}
	defer func() {
		s.mu.Lock()
		if s.poll != nil {
			s.poll.posting = false
		}
		s.mu.Unlock()
	}()

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(srv.cfg.MaxPayload)))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		s.fail(err)
		srv.failStatus(w, r, http.StatusRequestEntityTooLarge, tooLarge)
		return
	case err != nil:
		s.end(reasonFailed)
		return
	}
	if err := s.split(r, q, body); err != nil {
		s.fail(err)
		srv.fail(w, r, badRequest)
		return
	}
	srv.crossOrigin(w, r)
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "ok") // a client that is gone shows at its GET
}

// split hands over the packets of a POST, whose form depends on the protocol and
// the content type, never on the handshake.
func (s *Session) split(r *http.Request, q query, body []byte) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	// A form is what JSONP sends; other clients may call their text one.
	if kind == "application/x-www-form-urlencoded" && (q.jsonp || bytes.HasPrefix(body, []byte("d="))) {
		var err error
		if body, err = jsonpBody(body); err != nil {
			return err
		}
	}
	switch {
	case s.protocol == 4:
		return splitSeparated(body, s.receive)
	case kind == "application/octet-stream":
		return splitBinary(body, s.receive)
	}
	return splitText(body, &s.layer, s.receive)
}
