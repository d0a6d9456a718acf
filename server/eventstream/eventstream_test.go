package eventstream

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// An answer notes its deadlines.
type answer struct {
	*httptest.ResponseRecorder
	read, write []time.Time
	fails       bool
}

func (a *answer) SetReadDeadline(t time.Time) error  { a.read = append(a.read, t); return nil }
func (a *answer) SetWriteDeadline(t time.Time) error { a.write = append(a.write, t); return nil }
func (a *answer) Write(b []byte) (int, error) {
	if a.fails {
		return 0, errors.New("gone")
	}
	return a.ResponseRecorder.Write(b)
}

func begin(method string, against error) (*answer, *Stream) {
	a := &answer{ResponseRecorder: httptest.NewRecorder()}
	return a, Begin(a, httptest.NewRequest(method, "/", nil), against)
}

func TestStream(t *testing.T) {
	a, s := begin("GET", nil)
	if len(a.read) != 1 || !a.read[0].IsZero() {
		t.Errorf("the request ends at %v", a.read)
	}
	s.Comment("watching")
	s.Event("send", []byte(`{"a":1}`))
	if a.Body.Len() > 0 {
		t.Error("it is written before it is to be")
	}
	if !s.Flush() || !a.Flushed {
		t.Error("it is not written")
	}
	s.Event("end", []byte("{}"))
	if !s.Flush() || a.Body.String() != ": watching\n\nevent: send\ndata: {\"a\":1}\n\nevent: end\ndata: {}\n\n" {
		t.Errorf("%q", a.Body)
	}
	for _, until := range a.write {
		if left := time.Until(until); left <= Patience/2 || left > Patience {
			t.Errorf("a write has %v", left)
		}
	}
	if len(a.write) != 1 {
		t.Errorf("the bound of two writes is set %d times", len(a.write))
	}
	a.fails = true
	if s.Event("e", nil); s.Flush() {
		t.Error("who is gone is there")
	}
}

// Each write has most of its time, however many were before it and however long ago.
func TestEachWriteHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s := begin("GET", nil)
		for _, pause := range []time.Duration{0, renewed / 2, renewed / 2, renewed / 2, 2 * Patience, time.Millisecond} {
			time.Sleep(pause)
			s.Event("e", nil)
			if !s.Flush() {
				t.Fatal("it is not written")
			}
			if left := time.Until(a.write[len(a.write)-1]); left < 9*time.Second || left > 10*time.Second {
				t.Errorf("%v after the one before a write has %v", pause, left)
			}
		}
	})
}

// HEAD has the headers of GET and ends; who may not watch is told why, by both.
func TestBegin(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a, s := begin(method, nil)
		if h := a.Header(); (s == nil) != (method == http.MethodHead) || a.Code != 200 || h.Get("Content-Type") != "text/event-stream" ||
			h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v, %d %v", method, s, a.Code, h)
		}
		a, s = begin(method, errors.New("too many"))
		if s != nil || a.Code != 503 || a.Header().Get("Retry-After") == "" || a.Body.String() != `{"error":"too many"}` {
			t.Errorf("%s of one too many: %d %v %s", method, a.Code, a.Header(), a.Body)
		}
	}
}
