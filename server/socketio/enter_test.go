package socketio

import (
	"net/http/httptest"
	"sync"
	"testing"
)

// A session that ends while it is entered counts no more afterwards, whichever comes first.
func TestEndsWhileItEnters(t *testing.T) {
	site := serve(t, Config{})
	srv := site.server
	for range 20_000 {
		r := httptest.NewRequest("GET", "/socket.io/?EIO=3&transport=polling", nil)
		s := srv.newSession(r)
		if !srv.reserve(s, httptest.NewRecorder(), r) {
			t.Fatal("it is refused")
		}
		var both sync.WaitGroup
		both.Go(func() { srv.enter(s) })
		both.Go(func() { srv.remove(s) })
		both.Wait()
		if s.counts {
			t.Fatal("it counts for ever")
		}
	}
	for _, k := range srv.Kinds() {
		if k.Value != 0 {
			t.Errorf("%v sessions are %v", k.Value, k.Labels)
		}
	}
	if n := srv.Stats().Sessions; n != 0 || srv.reserved != 0 {
		t.Errorf("%d sessions are listed, %d reserved", n, srv.reserved)
	}
}
