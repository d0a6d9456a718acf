package e2e

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Clients that stop reading while events go on are closed at the bound, counted,
// and cost the others nothing; the memory of the server stays where it was.
func TestStalledReadersHurtThemselvesOnly(t *testing.T) {
	const stalled, readers, silent = 40, 20, 10
	const outbox = 256 << 10
	s := start(t, "MAX_BODY_BYTES=32KiB", fmt.Sprintf("OUTBOX_BYTES=%d", outbox))
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

	pad := strings.Repeat("x", 30000)
	total, peak := 0, 0
	var st status
	for end := time.Now().Add(2 * patience); time.Now().Before(end) && st.closedSlow < stalled+silent; {
		for range 20 {
			s.send(t, "r", "n", fmt.Sprintf(`{"n":%d,"pad":"%s"}`, total, pad))
			total++
		}
		st = s.status(t)
		peak = max(peak, s.resident(t))
		if limit := (stalled + readers + silent) * outbox; st.queuedBytes > limit {
			t.Errorf("%d bytes wait, the bounds add up to %d", st.queuedBytes, limit)
		}
	}
	s.send(t, "r", "last", fmt.Sprint(total))
	wg.Wait()
	if st.closedSlow != stalled+silent {
		t.Errorf("%d connections closed as slow after %d events, want %d", st.closedSlow, total, stalled+silent)
	}
	s.waitRoom(t, "r", readers)
	// All that was sent to those who took nothing is far more than this.
	sent := total * len(pad) * (stalled + silent)
	const limit = 150 << 20
	t.Logf("%d events, %d MB for slow clients, memory %d MB before and %d MB at most", total, sent>>20, before>>20, peak>>20)
	if sent < 2*limit {
		t.Errorf("only %d bytes were sent to slow clients: the test proves nothing about memory", sent)
	}
	if peak-before > limit {
		t.Errorf("memory grew by %d MB", (peak-before)>>20)
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
