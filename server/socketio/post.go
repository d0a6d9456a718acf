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
	if s.socketOnly {
		srv.fail(w, r, badRequest)
		return
	}
	s.mu.Lock()
	over := s.state >= stateLast
	busy := !over && s.posting
	if !over {
		s.used()
		s.posting = true
	}
	s.mu.Unlock()
	switch {
	case over:
		srv.fail(w, r, unknownSession)
		return
	case busy:
		s.end(reasonPacket)
		srv.fail(w, r, badRequest)
		return
	}
	defer func() {
		s.mu.Lock()
		s.posting = false
		s.mu.Unlock()
	}()

	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(srv.cfg.MaxPayload)))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		s.fail(err)
		srv.failStatus(w, r, http.StatusRequestEntityTooLarge, tooLarge)
		return
	case errors.Is(err, quota.ErrFull):
		srv.count("bodies refused: too much held")
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
