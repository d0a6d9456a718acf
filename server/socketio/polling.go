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

	"poosh/server/wire"
)

// writeTimeout is how long an answer may take to leave. The HTTP server bounds
// how long a body may take to arrive.
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
	woken chan struct{}
	noop  bool // answer with nothing: a newer GET, or a WebSocket, has the rest
}

// add queues a frame for the next GET, or reports that a bound is met: that of the
// session or, while no GET waits, that of all sessions.
func (p *polling) add(frame []byte, limit int, all int64) bool {
	if p.size+len(frame) > limit || p.get == nil && p.total.Load() > all {
		return false
	}
	p.frames = append(p.frames, frame)
	p.size += len(frame)
	p.total.Add(int64(len(frame)))
	p.wake()
	return true
}

// wake lets the waiting GET answer.
func (p *polling) wake() {
	if p.get != nil {
		close(p.get.woken)
		p.get = nil
	}
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
	if p.get != nil {
		p.get.noop = true
	}
	p.wake()
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
	srv.answer(w, r, q, s, frames)
}

// servePoll answers a GET of a polling session once there is something.
func (srv *Server) servePoll(w http.ResponseWriter, r *http.Request, q query, s *Session) {
	s.mu.Lock()
	p := s.poll
	if p == nil {
		s.mu.Unlock()
		srv.fail(w, r, badRequest)
		return
	}
	s.used()
	if p.get != nil {
		p.get.noop = true // two at once: the older gives way
		p.wake()
	}
	if len(p.frames) == 0 && !p.probed && p.last == nil && s.state == stateOpen {
		wait := &pollWait{woken: make(chan struct{})}
		p.get = wait
		s.mu.Unlock()
		select {
		case <-wait.woken:
		case <-r.Context().Done():
			// Leaving a page cuts the GET: the session is over.
			s.end(reasonClosed)
			s.mu.Lock()
			p.take()
			s.mu.Unlock()
			return
		}
		s.mu.Lock()
		if wait.noop {
			s.mu.Unlock()
			srv.answer(w, r, q, s, [][]byte{frameNoop})
			return
		}
	}
	frames := p.take()
	if len(frames) == 0 {
		frames = append(frames, frameNoop)
		if p.last != nil {
			frames[0] = p.last
		}
	}
	closing := s.state == stateClosing
	s.mu.Unlock()
	srv.answer(w, r, q, s, frames)
	if closing {
		s.end(reasonForced)
	}
}

// answer writes frames as a payload in the form that the client reads.
func (srv *Server) answer(w http.ResponseWriter, r *http.Request, q query, s *Session, frames [][]byte) {
	size := 32
	for _, f := range frames {
		size += len(f) + 12
	}
	f := s.form
	if q.jsonp && f == formBinary {
		f = formText // a script cannot hold the binary form
	}
	body := appendPayload(make([]byte, 0, size), f, frames)
	h := w.Header()
	switch {
	case q.jsonp:
		body = appendJSONP(make([]byte, 0, 2*len(body)), q.index, body)
		h.Set("Content-Type", "text/javascript; charset=UTF-8")
	case f == formBinary:
		// Clients before 1.4 take nothing behind the type.
		h.Set("Content-Type", "application/octet-stream")
	default:
		h.Set("Content-Type", "text/plain; charset=UTF-8")
	}
	srv.crossOrigin(w, r)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
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
