//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/test/bench/load"
)

// connectMany connects clients that are cheap enough to be many. They join load.Room.
func connectMany(t *testing.T, s *server, protocol load.Protocol, n int) *load.Crowd {
	t.Helper()
	c, err := load.NewCrowd(load.Config{Addr: netip.MustParseAddrPort(addr(s.clientPort)), Protocol: protocol, PayloadSize: 150})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Connect(n, 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	return c
}

// 10,000 connections of all kinds are cut at once, with senders at work: nothing of
// them is left, senders are answered all the while, and who comes next is served.
func TestTenThousandCutAtOnce(t *testing.T) {
	s := start(t)
	s.send(t, load.Room, "warm", "1")
	before := s.status(t)
	fds := s.descriptors(t)
	polling := []*load.Crowd{connectMany(t, s, load.Poll3, 500), connectMany(t, s, load.Poll4, 500)}
	sockets := []*load.Crowd{connectMany(t, s, load.EIO3, 4500), connectMany(t, s, load.EIO4, 4500)}
	eventually(t, patience, "all sessions", func() bool { return s.status(t).sessions == 10_000 })
	// Polls before the first event: without a poll that waits, nothing tells of a
	// polling client's end before its heartbeat fails.
	for _, c := range polling {
		c.Close() // resets each connection
	}

	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if a := s.post(t, body(load.Room, "e", fmt.Sprint(n)), token(fmt.Sprint(n))); a.status != http.StatusOK {
				t.Errorf("a sender is answered %d %q", a.status, a.body)
				return
			}
		}
	})
	for _, c := range sockets {
		c.Close()
	}
	s.waitIdle(t)
	close(stop)
	sending.Wait()
	s.waitRoom(t, load.Room, 0)

	ws, err := joinSocket(s.clientPort, 3, load.Room, "")
	if err != nil {
		t.Fatal(err)
	}
	s.waitRoom(t, load.Room, 1)
	s.send(t, load.Room, "next", "1")
	if _, err := ws.hear(patience, "the event", func(m string) bool { return m == `42["next",1]` }); err != nil {
		t.Error(err)
	}
	ws.Close()
	s.waitIdle(t)
	sender.CloseIdleConnections()
	var after status
	eventually(t, patience, "everything to be given back", func() bool {
		after = s.status(t)
		return after.goroutines <= before.goroutines+2 && s.descriptors(t) <= fds+2 && after.queuedBytes == 0
	})
}

// A burst many times larger than all queues comes from several senders at once.
// They are held back, or told that it is too much when that takes long, and try again;
// then every client has every event once, in order, none is closed, and memory stays
// within its bounds.
func TestBurstBeyondTheQueues(t *testing.T) {
	const clients, senders, events = 60, 4, 100
	pad := strings.Repeat("x", 32<<10)
	s := start(t, "MAX_BODY_BYTES=64KiB", "OUTBOX_BYTES=1MiB", "BACKLOG_BYTES=1MiB")
	var all []*rawSocket
	for i := range clients {
		ws, err := joinSocket(s.clientPort, 3+i%2, "r", "")
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		all = append(all, ws)
	}
	s.waitRoom(t, "r", clients)
	before := s.resident(t)

	var readers sync.WaitGroup
	for i, ws := range all {
		readers.Go(func() {
			var next [senders]int
			for n := 0; n < senders*events; n++ {
				m, err := ws.hear(2*time.Minute, "an event", func(m string) bool { return strings.HasPrefix(m, `42["n",`) })
				var from, number int
				if err == nil {
					_, err = fmt.Sscanf(m, `42["n",{"from":%d,"n":%d,`, &from, &number)
				}
				if err != nil {
					t.Errorf("client %d, event %d: %v", i, n, err)
					return
				}
				if number != next[from] {
					t.Errorf("client %d got event %d of sender %d, want %d", i, number, from, next[from])
					return
				}
				next[from]++
			}
		})
	}

	var refused, peak atomic.Int64
	var sending sync.WaitGroup
	for from := range senders {
		sending.Go(func() {
			for n := 0; n < events; {
				payload := fmt.Sprintf(`{"from":%d,"n":%d,"pad":"%s"}`, from, n, pad)
				switch a := s.post(t, body("r", "n", payload), token(payload)); a.status {
				case http.StatusOK:
					n++
				case http.StatusServiceUnavailable:
					refused.Add(1)
					if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, `"error"`) {
						t.Errorf("a sender is told %v %q", a.header, a.body)
					}
					time.Sleep(5 * time.Millisecond)
				default:
					t.Errorf("a sender is answered %d %q", a.status, a.body)
					return
				}
				if now := int64(s.resident(t)); now > peak.Load() {
					peak.Store(now)
				}
			}
		})
	}
	sending.Wait()
	readers.Wait()
	st := s.status(t)
	t.Logf("%d MB for %d clients; senders were refused %d times; memory %d MB before and %d MB at most",
		senders*events*len(pad)>>20, clients, refused.Load(), before>>20, peak.Load()>>20)
	if st.closedSlow != 0 {
		t.Errorf("%d clients that read were closed as slow", st.closedSlow)
	}
	// Twice the backlog for each sender's event on its way, and what the collector
	// leaves lying about; all events together are many times more.
	if limit := int64(before) + 200<<20; peak.Load() > limit {
		t.Errorf("memory grew from %d to %d MB", before>>20, peak.Load()>>20)
	}
}
