package socketio

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/closed"
	"poosh/server/websocket"
)

// A shutdown meets clients in every state of every handshake. It ends, each client
// that the handler met is taken leave of once, and nothing is written to after it is
// closed.
func TestShutdownMeetsHandshakes(t *testing.T) {
	for round := range 4 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			each(t, Config{}, func(s *site) { s.shutdownMeets(20 * round) })
		})
	}
}

// shutdownMeets begins a shutdown when a number of handshakes have.
func (s *site) shutdownMeets(handshakes int) {
	var clients sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	enough := make(chan struct{})
	var begun atomic.Int64
	begin := func() {
		if begun.Add(1) == int64(handshakes)+1 {
			close(enough)
		}
	}
	for i := range 8 {
		clients.Go(func() { // until the server has gone
			for ctx.Err() == nil && !s.server.draining.Load() {
				begin()
				ws, err := s.tryDial([]string{"EIO=3", "EIO=4"}[i%2])
				if err != nil {
					return
				}
				if i%4 > 1 {
					ws.say("40", "2")
				} else if i%8 > 3 {
					_ = ws.Close()
				}
			}
		})
		clients.Go(func() { begin(); s.pollsOn(ctx, &clients, i%2 == 0) }) // until the server has gone
	}
	<-enough
	if err := s.server.Shutdown(ctx); err != nil {
		s.Errorf("%v with %d sessions", err, s.sessions())
	}
	cancel()
	clients.Wait()
	eventually(s.T, "the handler to be told of every end", func() bool { return len(s.closed) == len(s.connected) })
	if n := s.server.Stats().Queued; n != 0 {
		s.Errorf("%d bytes count as queued", n)
	}
}

// pollsOn is a client that polls until the server has gone, and may try a WebSocket.
func (s *site) pollsOn(ctx context.Context, clients *sync.WaitGroup, upgrades bool) {
	a, err := s.request(ctx, "GET", "transport=polling&EIO=3", "")
	if err != nil || a.status != 200 {
		return
	}
	p := &poller{site: s, eio: 3}
	query := "transport=polling&EIO=3&sid=" + openID(s.T, p.packets(a)[0])
	if upgrades {
		clients.Go(func() { // until the server has gone
			if ws, err := s.tryDial(query); err == nil {
				_, _ = ws.Write([]byte("\x81\x86\x00\x00\x00\x002probe\x81\x81\x00\x00\x00\x005"))
			}
		})
	}
	for err == nil && a.status == 200 {
		a, err = s.request(ctx, "GET", query, "")
	}
}

// A session that has its place, but no transport yet, is waited for, and ends itself.
func TestShutdownWaitsForWhoIsOnTheWay(t *testing.T) {
	still(t, Config{}, func(s *site) {
		t := s.T
		session := s.server.newSession(requestFrom("192.0.2.1:1"))
		session.protocol.Store(4) // which is told nothing that it would have to fetch
		session.poll = &polling{total: &s.server.polled}
		if !s.server.reserve(session, httptest.NewRecorder(), requestFrom("192.0.2.1:1")) {
			t.Fatal("refused")
		}
		stopped := make(chan error, 1)
		go func() { stopped <- s.server.Shutdown(context.Background()) }() // ends with the session
		time.Sleep(quiet)
		if len(stopped) > 0 || !s.server.draining.Load() {
			t.Fatal("the shutdown ended without it")
		}
		session.begin()
		if err := take(t, stopped, "the shutdown"); err != nil {
			t.Error(err)
		}
	})
}

// An end between any two steps of a session's beginning is an end.
func TestEndBeforeTheBeginning(t *testing.T) {
	for name, end := range map[string]func(*Session){
		"shut": func(s *Session) { s.shut(websocket.CloseGoingAway, closed.Shutdown, "x") },
		"cut":  func(s *Session) { s.end(reasonShutdown) },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Config{})
			session := s.server.newSession(requestFrom("192.0.2.1:1"))
			session.poll = &polling{total: &s.server.polled}
			if !s.server.reserve(session, httptest.NewRecorder(), requestFrom("192.0.2.1:1")) {
				t.Fatal("refused")
			}
			end(session)
			session.begin()
			session.forget()
			eventually(t, "the session to go", func() bool { return s.sessions() == 0 })
			s.server.mu.RLock()
			defer s.server.mu.RUnlock()
			if s.server.reserved != 0 || len(s.server.addresses.counts) != 0 {
				t.Errorf("%d places and %v are still taken", s.server.reserved, s.server.addresses.counts)
			}
			if len(s.connected) != len(s.closed) {
				t.Errorf("%d met, %d left", len(s.connected), len(s.closed))
			}
		})
	}
}

// During a shutdown nobody new is let in.
func TestShutdownRefusesHandshakes(t *testing.T) {
	s := serve(t, Config{})
	if err := s.server.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if a := s.ask("GET", "transport=polling&EIO=3", ""); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	// A poller whose session has ended is told on a connection that it does not come back on.
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, httptest.NewRequest("GET", Path+"?transport=polling&EIO=3&sid=gone", nil))
	if w.Code != http.StatusBadRequest || w.Header().Get("Connection") != "close" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if _, err := s.tryDial("EIO=3"); err == nil || err.Error() != "status 503" {
		t.Errorf("WebSocket: %v", err)
	}
}
