package socketio

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unsafe"

	"poosh/server/http1/http1test"
)

// TestSessionLayout holds a session to what it weighs: there may be a hundred thousand.
func TestSessionLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("laid out for 64 bits")
	}
	if size := unsafe.Sizeof(Session{}); size > 416 {
		t.Errorf("a session has %d bytes, want at most 416", size)
	}
	if size := unsafe.Sizeof(polling{}) + unsafe.Sizeof(pollWait{}); size > 144 {
		t.Errorf("what a session on polling has besides has %d bytes, want at most 144", size)
	}
}

// quietDialect is a dialect that does nothing, and says who came.
type quietDialect struct{ connected chan *Session }

func (d quietDialect) Connected(s *Session)                { d.connected <- s }
func (quietDialect) Event(*Session, string, [][]byte, Ack) {}
func (quietDialect) Closed(_ *Session, _ string)           {}
func (d quietDialect) server(b *testing.B) *Server {
	log := slog.New(slog.DiscardHandler)
	srv := New(http1test.NewSockets(b), Config{}, d, log)
	b.Cleanup(func() {
		for _, s := range srv.all() {
			s.end(reasonClosed)
		}
	})
	return srv
}

// ask serves one request, without a network.
func ask(b *testing.B, srv *Server, method, query, body string) string {
	r, err := http.NewRequest(method, "http://test"+Path+"?transport=polling&"+query, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:1"
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r)
	text, _ := io.ReadAll(w.Body) // from memory
	if w.Code != http.StatusOK {
		b.Fatalf("%d %s", w.Code, text)
	}
	return string(text)
}

// BenchmarkPoll is an event, and the GET that fetches it.
func BenchmarkPoll(b *testing.B) {
	d := quietDialect{make(chan *Session, 1)}
	srv := d.server(b)
	ask(b, srv, "GET", "EIO=3&b64=1", "")
	s := <-d.connected
	query := "EIO=3&b64=1&sid=" + s.engineID
	ask(b, srv, "GET", query, "")
	frame := EventFrame("e", []byte(`"x"`))
	b.ReportAllocs()
	for b.Loop() {
		if !s.Deliver(frame) {
			b.Fatal("not taken")
		}
		ask(b, srv, "GET", query, "")
	}
}

// BenchmarkPost is a POST with an event of the client's.
func BenchmarkPost(b *testing.B) {
	d := quietDialect{make(chan *Session, 1)}
	srv := d.server(b)
	ask(b, srv, "GET", "EIO=3&b64=1", "")
	s := <-d.connected
	query := "EIO=3&b64=1&sid=" + s.engineID
	b.ReportAllocs()
	for b.Loop() {
		ask(b, srv, "POST", query, `12:42["room",1]`)
	}
}

// BenchmarkSession is a session on polling from its handshake to its end.
func BenchmarkSession(b *testing.B) {
	d := quietDialect{make(chan *Session, 1)}
	srv := d.server(b)
	b.ReportAllocs()
	for b.Loop() {
		ask(b, srv, "GET", "EIO=3&b64=1", "")
		s := <-d.connected
		ask(b, srv, "GET", "EIO=3&b64=1&sid="+s.engineID, "")
		ask(b, srv, "POST", "EIO=3&b64=1&sid="+s.engineID, "1:1")
	}
}

// BenchmarkDeliver is one event for one client whose GET does not wait, without its
// being fetched.
func BenchmarkDeliver(b *testing.B) {
	d := quietDialect{make(chan *Session, 1)}
	srv := d.server(b)
	ask(b, srv, "GET", "EIO=3&b64=1", "")
	s := <-d.connected
	frame := EventFrame("e", []byte(`"x"`))
	b.ReportAllocs()
	for b.Loop() {
		if !s.Deliver(frame) {
			b.Fatal("not taken")
		}
		s.mu.Lock()
		clear(s.poll.take())
		s.mu.Unlock()
	}
}
