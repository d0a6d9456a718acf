package e2e

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// Clients that stop reading while events go on are closed at the bound, counted,
// and cost the others nothing; the memory of the server stays where it was.
func TestStalledReadersHurtThemselvesOnly(t *testing.T) {
	const stalled, readers, silent = 40, 3, 10
	const outbox, events = 1 << 20, 1200
	s := start(t, "MAX_BODY_BYTES=128KiB", fmt.Sprintf("OUTBOX_BYTES=%d", outbox))
	var all []*rawSocket
	for i := range stalled + readers {
		ws, err := joinSocket(s.clientPort, 3+i%2, "r", fmt.Sprintf("127.0.0.%d", 2+i))
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		if i < stalled {
			// What the kernel holds for a client is not the server's to bound.
			ws.Conn.(*net.TCPConn).SetReadBuffer(4096)
		}
		all = append(all, ws)
	}
	for range silent {
		p := poll(t, s, "EIO=3")
		p.join("r") // and never polls again
	}
	s.waitRoom(t, "r", stalled+readers+silent)
	before := s.resident(t)

	var wg sync.WaitGroup
	for i, ws := range all[stalled:] {
		wg.Go(func() {
			if err := countEvents(ws); err != nil {
				t.Errorf("reader %d: %v", i, err)
			}
		})
	}

	pad := strings.Repeat("x", 100000)
	peak := 0
	var st status
	for n := range events {
		s.send(t, "r", "n", fmt.Sprintf(`{"n":%d,"pad":"%s"}`, n, pad))
		if n%20 == 0 {
			st = s.status(t)
			peak = max(peak, s.resident(t))
			if limit := (stalled + readers + silent) * outbox; st.queuedBytes > limit {
				t.Errorf("%d bytes wait, the bounds add up to %d", st.queuedBytes, limit)
			}
		}
	}
	s.send(t, "r", "last", fmt.Sprint(events))
	wg.Wait()
	if st.closedSlow != stalled+silent {
		t.Errorf("%d connections closed as slow, want %d", st.closedSlow, stalled+silent)
	}
	s.waitRoom(t, "r", readers)
	t.Logf("%d MB of events, memory %d MB before and %d MB at most", events*len(pad)>>20, before>>20, peak>>20)
	if limit := events * len(pad) / 2; peak-before > limit {
		t.Errorf("memory grew by %d MB, of %d MB of events", (peak-before)>>20, events*len(pad)>>20)
	}
}

// Listeners that take nothing cannot keep senders from being heard by others,
// however many they are.
func TestStalledReadersDoNotStopSenders(t *testing.T) {
	const stalled, silent = 8, 8
	s := start(t, "MAX_BODY_BYTES=32KiB", "OUTBOX_BYTES=1MiB", "BACKLOG_BYTES=1MiB")
	for i := range stalled {
		ws, err := joinSocket(s.clientPort, 3+i%2, "r", "")
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		ws.Conn.(*net.TCPConn).SetReadBuffer(4096)
	}
	for range silent {
		p := poll(t, s, "EIO=3")
		p.join("r")
	}
	s.waitRoom(t, "r", stalled+silent)
	payload := quote(strings.Repeat("x", 30000))
	for s.status(t).closedSlow < stalled+silent {
		for range 10 {
			if a := s.post(t, body("r", "e", payload), token(payload)); a.status != 200 {
				t.Fatalf("a sender is answered %d %q because listeners take nothing", a.status, a.body)
			}
		}
	}
}

// countEvents reads the events "n" until "last" comes, which says how many there
// were, and makes sure that each is one number after the one before.
func countEvents(ws *rawSocket) error {
	for next := 0; ; next++ {
		m, err := ws.hear(patience, "an event", func(m string) bool { return !strings.Contains(m, "probe") && strings.HasPrefix(m, "42") })
		switch {
		case err != nil:
			return fmt.Errorf("after %d events: %w", next, err)
		case m == fmt.Sprintf(`42["last",%d]`, next):
			return nil
		case !strings.HasPrefix(m, fmt.Sprintf(`42["n",{"n":%d,`, next)):
			return fmt.Errorf("event %d is %.60q", next, m)
		}
	}
}

// A client that takes nothing for WRITE_TIMEOUT is gone even when little waits.
func TestStalledReaderIsClosedInTime(t *testing.T) {
	s := start(t, "WRITE_TIMEOUT=1s", "OUTBOX_BYTES=64MiB")
	ws, err := joinSocket(s.clientPort, 3, "r", "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	s.waitRoom(t, "r", 1)
	payload := quote(strings.Repeat("x", 100000))
	for s.status(t).queuedBytes < 1<<20 {
		s.send(t, "r", "e", payload)
	}
	s.waitRoom(t, "r", 0)
	s.waitIdle(t)
}
