// Package eventstream writes Server-Sent Events, whatever they tell of: an answer to GET that
// goes on until its client goes, does not read, or is told that there is no more
// (https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2).
//
// It starts no goroutine: a stream is written on that of its request.
package eventstream

import (
	"net/http"
	"time"

	"poosh/server/respond"
)

// Patience is how long one write may take: who does not read for longer is gone.
const Patience = 10 * time.Second

// renewed is how much of Patience may be over before a write gets all of it again: setting a
// deadline moves a timer, and many writes are soon after another.
const renewed = time.Second

// kept is how much memory is kept from one write to the next.
const kept = 8 << 10

// retryAfter is after how many seconds one who may not watch may try again.
const retryAfter = "5"

// A Stream is an answer that goes on. It is for the goroutine of its request.
type Stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	text    []byte    // what is not written yet
	until   time.Time // the deadline of writes
}

// Begin begins to answer a request, or answers it by itself and returns nil: with 503 where
// there is a reason against watching, which is told to the client, and HEAD with the headers
// alone. The reason comes first, so HEAD says what GET would.
func Begin(w http.ResponseWriter, r *http.Request, against error) *Stream {
	h := w.Header()
	if against != nil {
		h.Set("Retry-After", retryAfter)
		respond.Go.Error(w, http.StatusServiceUnavailable, against.Error())
		return nil
	}
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx hands on what there is
	if r.Method == http.MethodHead {
		return nil
	}
	s := &Stream{w: w, control: http.NewResponseController(w)}
	// A server's time for a request is none for this one: net/http would take its end for
	// that of the client.
	_ = s.control.SetReadDeadline(time.Time{})
	return s
}

// Event adds an event. Neither its name nor its data may have a line break in it; JSON, as
// package json makes it, has none.
func (s *Stream) Event(name string, data []byte) {
	s.text = append(append(s.text, "event: "...), name...)
	s.text = append(append(append(s.text, "\ndata: "...), data...), "\n\n"...)
}

// Comment adds a line that clients skip: proxies cut what is silent. It may not have a line
// break in it.
func (s *Stream) Comment(text string) {
	s.text = append(append(append(s.text, ": "...), text...), "\n\n"...)
}

// Flush writes what was added at once, within [Patience] or a second less, and reports
// whether the client is there.
func (s *Stream) Flush() bool {
	if now := time.Now(); s.until.Sub(now) < Patience-renewed {
		s.until = now.Add(Patience)
		_ = s.control.SetWriteDeadline(s.until) // not of every writer
	}
	_, err := s.w.Write(s.text)
	if s.text = s.text[:0]; cap(s.text) > kept {
		s.text = nil
	}
	return err == nil && s.control.Flush() == nil
}
