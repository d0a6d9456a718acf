package socketio

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"

	"poosh/server/quota"
)

// servePost takes the packets of a polling client. One may still be on its way when a
// WebSocket takes over. It waits for nothing but the rest of the body.
func (srv *Server) servePost(w http.ResponseWriter, r *http.Request, q query, s *Session) {
	if why, ok := s.beginPost(); !ok {
		srv.fail(w, r, why)
		return
	}
	defer s.endPost()

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(srv.cfg().MaxPayload)))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		s.stop(err)
		srv.failStatus(w, r, http.StatusRequestEntityTooLarge, tooLarge)
		return
	case errors.Is(err, quota.ErrFull):
		srv.refused.Add(refusedBody, 1)
		srv.failStatus(w, r, http.StatusServiceUnavailable, heldUp)
		return
	case err != nil:
		s.end(reasonFailed)
		return
	}
	if err := s.split(r, q, body); err != nil && s.stop(err) != reasonClosed {
		srv.fail(w, r, badRequest)
		return
	}
	srv.crossOrigin(w, r)
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "ok") // a client that is gone shows at its GET
}

// beginPost lets one POST in at a time, or says why not: a second one ends the session.
func (s *Session) beginPost() (why refusal, ok bool) {
	s.mu.Lock()
	over, busy := s.life.over(), s.posting
	if !over && !busy {
		s.posting = s.request(wayPost)&wayServe != 0
		ok = s.posting
	}
	s.mu.Unlock()
	switch {
	case over:
		return unknownSession, false
	case busy:
		s.end(reasonPacket)
	}
	return badRequest, ok
}

func (s *Session) endPost() {
	s.mu.Lock()
	s.posting = false
	s.mu.Unlock()
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
	case s.speaks() == 4:
		return splitSeparated(body, s.receive)
	case kind == "application/octet-stream":
		return splitBinary(body, s.receive)
	}
	return splitText(body, &s.layer, s.receive)
}
