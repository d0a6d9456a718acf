package loop

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// waitFor waits until something of the loop is so.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// caughtUp waits as whoever publishes has to.
func caughtUp(t *testing.T, l *Loop) {
	t.Helper()
	for again := l.CaughtUp(); again != nil; again = l.CaughtUp() {
		receive(t, again, "the loop to catch up")
	}
}

// TestCounts has connections counted as what they are, until they end.
func TestCounts(t *testing.T) {
	both(t, Config{}, func(t *testing.T, s *site) {
		const n = 5
		var conns []*Conn
		for range n {
			_, c := s.dial(t)
			conns = append(conns, c)
		}
		want := Stats{Conns: n}
		if s.costs() {
			want.Goroutines = n
		}
		st := s.loop.Stats()
		if st.Conns != want.Conns || st.Goroutines != want.Goroutines {
			t.Errorf("%+v, want %+v", st, want)
		}
		for _, c := range conns {
			if c.OnLoop() == s.costs() {
				t.Error("a connection does not know what it is")
			}
			c.Abort(ErrTooMuch)
		}
		waitFor(t, "the connections to be forgotten", func() bool {
			st := s.loop.Stats()
			return st.Conns == 0 && st.Goroutines == 0 && st.Closed[ErrTooMuch] == n
		})
	})
}

// TestBackPressure publishes more than outboxes hold to clients that read: whoever
// waits for the loop to catch up cuts nobody off.
func TestBackPressure(t *testing.T) {
	const clients, events, size, outbox = 16, 300, 10_000, 1 << 20
	both(t, Config{Outbox: outbox}, func(t *testing.T, s *site) {
		var conns []*Conn
		var reading sync.WaitGroup
		for range clients {
			nc, c := s.dial(t)
			conns = append(conns, c)
			reading.Go(func() {
				if n, err := io.CopyN(io.Discard, nc, events*size); err != nil {
					t.Errorf("cut off after %d bytes: %v", n, err)
				}
			})
		}
		buffer := make([]byte, size)
		for i := range events {
			caughtUp(t, s.loop)
			// On a machine with much to do also those who read are slow at times.
			waitFor(t, "the clients to read", func() bool { return s.loop.Stats().Blocked == 0 })
			for _, c := range conns {
				if !c.Push(buffer) {
					t.Fatalf("event %d is refused", i)
				}
			}
		}
		reading.Wait()
	})
}

// TestBlocked has clients that take nothing while there is no more room for such: they
// are closed, each far from its own bound, and neither whoever publishes nor a client
// that reads waits for them.
func TestBlocked(t *testing.T) {
	const stalled, size = 6, 100_000
	both(t, Config{Outbox: 64 << 20, MaxBlocked: 4 << 20}, func(t *testing.T, s *site) {
		var conns []*Conn
		for range stalled {
			nc, c := s.dial(t)
			_ = socketOf(nc).SetReadBuffer(4096)
			conns = append(conns, c)
		}
		reader, well := s.dial(t)
		buffer := make([]byte, size)
		answer := make([]byte, len(buffer))
		for s.loop.Stats().Closed[ErrSlow] == 0 {
			caughtUp(t, s.loop)
			for _, c := range conns {
				c.Push(buffer)
			}
			if !well.Push(buffer) {
				t.Fatal("a client that reads is refused")
			}
			if _, err := io.ReadFull(reader, answer); err != nil || !bytes.Equal(answer, buffer) {
				t.Fatalf("a client that reads: %v", err)
			}
			// On goroutines a write has to last before it counts as stuck.
			time.Sleep(time.Millisecond)
		}
		if st := s.loop.Stats(); st.Blocked > 16<<20 {
			t.Errorf("%d bytes are blocked", st.Blocked)
		}
	})
}

// TestCloseBehindWhatWaits ends a connection that has far more to write than the
// kernel takes: all of it leaves, and then what is said last.
func TestCloseBehindWhatWaits(t *testing.T) {
	const events, size = 200, 100_000
	both(t, Config{Outbox: 64 << 20}, func(t *testing.T, s *site) {
		nc, c := s.dial(t)
		buffer := make([]byte, size)
		for range events {
			c.Push(buffer)
		}
		c.End(AwaitPeer, []byte("last words"), ErrTooMuch)
		if c.Push(buffer) {
			t.Error("pushed behind the last words")
		}
		if n, err := io.CopyN(io.Discard, nc, events*size); err != nil {
			t.Fatalf("%v after %d bytes", err, n)
		}
		last := make([]byte, len("last words"))
		if _, err := io.ReadFull(nc, last); err != nil || string(last) != "last words" {
			t.Errorf("%q, %v", last, err)
		}
		c.End(CloseSocket, []byte("not again"), ErrPeerClosed)
		if rest, err := io.ReadAll(nc); len(rest) > 0 || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		if got := receive(t, s.recorder.closed, "the end"); got != ErrTooMuch {
			t.Errorf("reason %v", got)
		}
	})
}

// TestCloseOfTheLoop ends a loop with connections that take nothing, of both sorts and
// one that is on its way to net/http: it waits for none of them.
func TestCloseOfTheLoop(t *testing.T) {
	for _, goroutines := range []bool{false, true} {
		l, err := New(Config{Outbox: 64 << 20, WriteTimeout: time.Hour, CloseTimeout: time.Hour, Goroutines: goroutines})
		if err != nil {
			t.Fatal(err)
		}
		s := siteOn(t, l)
		for _, inOrder := range []bool{false, true} {
			_, c := s.dial(t)
			c.Push(make([]byte, 30<<20))
			if inOrder {
				c.End(AwaitPeer, []byte("last words"), ErrClosed)
			}
		}
		if !goroutines && runtime.GOOS == "linux" {
			peer := carry(t, l, &lines{left: make(chan net.Conn, 1), closed: make(chan error, 1)})
			for _, text := range []string{"flood", "leave"} {
				if _, err := io.WriteString(peer, text); err != nil {
					t.Fatal(err)
				}
				time.Sleep(50 * time.Millisecond) // so that they come one by one
			}
		}
		ended := make(chan struct{})
		go func() { // ends with the loop
			l.Close()
			close(ended)
		}()
		receive(t, ended, "the loop to end")
		if st := l.Stats(); st.Conns != 0 || st.Blocked != 0 || st.Queued != 0 {
			t.Errorf("left behind: %+v", st)
		}
	}
}
