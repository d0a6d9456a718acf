package loop

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSlowConsumer lets one client stop reading: it is closed at its bound and
// the other gets everything.
func TestSlowConsumer(t *testing.T) {
	both(t, Config{Outbox: 256 << 10}, func(t *testing.T, s *site) {
		peer, well := s.dial(t)
		_, slow := s.dial(t)
		const total, size = 2000, 10_000
		text := bytes.Repeat([]byte("x"), size)
		got := make(chan int64, 1)
		go func() { // ends with total, or with the connection
			n, _ := io.CopyN(io.Discard, peer, total*size)
			got <- n
		}()
		refused := 0
		for range total {
			if !slow.Push(text) {
				refused++
			}
			if !well.Push(text) {
				t.Fatal("the reading client was refused")
			}
			for well.Waiting() > 128<<10 { // let it keep up
				time.Sleep(time.Millisecond)
			}
		}
		if refused == 0 {
			t.Error("the stalled client took everything")
		}
		if n := receive(t, got, "all bytes"); n != total*size {
			t.Errorf("the reading client got %d of %d", n, total*size)
		}
		if reason := receive(t, s.recorder.closed, "the stalled client's end"); reason != ErrSlow {
			t.Errorf("reason %v", reason)
		}
		if !slow.Truncated() {
			t.Error("what was not written is not told of")
		}
		if n := slow.Waiting(); n <= 0 || n > total*(size+bufferCost) {
			t.Errorf("%d bytes of it never left", n)
		}
		// The flusher counts at the end of its round.
		for end := time.Now().Add(5 * time.Second); s.loop.Stats().Sent < uint64(total*size); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d bytes are counted of %d and more", s.loop.Stats().Sent, total*size)
			}
		}
		if n := s.loop.Stats().Closed[ErrSlow]; n != 1 {
			t.Errorf("%d connections counted as slow", n)
		}
	})
}

// TestOutboxGrows: where more may wait than when a connection came, it has the more of it, and
// where less may, what it had. One with a bound of its own keeps that, unless its protocol says
// otherwise.
func TestOutboxGrows(t *testing.T) {
	s := newSite(t, Config{Outbox: 64 << 10})
	connect := func(o Options, p Protocol) *Conn {
		nc, peer := net.Pipe()
		t.Cleanup(func() { _ = peer.Close() })
		c, err := s.loop.AttachConn(nc, o, p)
		if err != nil {
			t.Fatal(err)
		}
		return c // not started: all that is pushed waits
	}
	grower := &growing{recorder: s.recorder}
	grower.outbox.Store(1000)
	shares, own, grows := connect(Options{}, s.recorder), connect(Options{Outbox: 1000}, s.recorder), connect(Options{Outbox: 1000}, grower)
	const half = 50_000
	s.loop.SetOutbox(32 << 10)
	if !shares.Push(make([]byte, half)) {
		t.Error("a bound that is less now counts for one that was there")
	}
	s.loop.SetOutbox(1 << 20)
	grower.outbox.Store(1 << 20)
	for range 3 {
		if !shares.Push(make([]byte, half)) || !grows.Push(make([]byte, half)) {
			t.Fatal("a bound that is more now does not count")
		}
		if err := s.loop.Check(); err != nil {
			t.Error(err)
		}
	}
	if own.Push(make([]byte, 1001)) {
		t.Error("a bound of one's own grows")
	}
	for _, c := range []*Conn{shares, grows} {
		if c.Push(make([]byte, 1<<20)) {
			t.Error("there is no bound any more")
		}
	}
	for range 3 {
		if reason := receive(t, s.recorder.closed, "an end"); reason != ErrSlow {
			t.Errorf("reason %v", reason)
		}
	}
}

// growing is a recorder whose connections may hold what it says.
type growing struct {
	*recorder
	outbox atomic.Int64
}

func (g *growing) Outbox() int { return int(g.outbox.Load()) }

// TestBehind fills an outbox that nobody has begun to write: the loop is behind
// until that is done. A client that reads nothing is not the loop's fault.
func TestBehind(t *testing.T) {
	both(t, Config{Outbox: 64 << 20}, func(t *testing.T, s *site) {
		release := s.hold()
		settled := func(want bool, when string) {
			t.Helper()
			waitFor(t, when, func() bool { return s.loop.Behind() == want })
		}
		nc, c := s.dial(t)
		settled(false, "nothing to be behind with")
		c.Push(make([]byte, 31<<20))
		if s.loop.Behind() {
			t.Error("behind with half an outbox")
		}
		c.Push(make([]byte, 2<<20))
		if !s.loop.Behind() {
			t.Error("not behind with more than half an outbox")
		}
		release()
		waitFor(t, "the socket to take nothing", func() bool {
			st := s.loop.Stats()
			return st.Blocked > 0 && st.Queued == 0 && !s.loop.Behind()
		})
		_, _ = io.CopyN(io.Discard, nc, 20<<20)
		_ = nc.Close()
		receive(t, s.recorder.closed, "the end")
		settled(false, "the end to be forgotten")
	})
}

func TestWriteTimeout(t *testing.T) {
	both(t, Config{Outbox: 64 << 20, WriteTimeout: 300 * time.Millisecond}, func(t *testing.T, s *site) {
		_, c := s.dial(t)
		c.Push(make([]byte, 30<<20))
		if got := receive(t, s.recorder.closed, "the end"); got != ErrWriteTimeout {
			t.Errorf("reason %v", got)
		}
	})
}

// TestOrder pushes from one goroutine to clients that read slowly enough to
// fill their sockets: nothing is lost, doubled or reordered.
func TestOrder(t *testing.T) {
	both(t, Config{Outbox: 64 << 20}, func(t *testing.T, s *site) {
		const clients, total = 8, 1500
		var wg sync.WaitGroup
		var conns []*Conn
		for range clients {
			nc, c := s.dial(t)
			conns = append(conns, c)
			wg.Go(func() {
				lines := bufio.NewReader(nc)
				for i := range total {
					if i == 50 {
						time.Sleep(200 * time.Millisecond)
					}
					got, err := lines.ReadString('\n')
					if n, _, _ := strings.Cut(got, " "); err != nil || n != strconv.Itoa(i) {
						t.Errorf("line %d is %.20q, %v", i, got, err)
						return
					}
				}
			})
		}
		for i := range total {
			line := []byte(strconv.Itoa(i) + " " + strings.Repeat("x", i%7*1000) + "\n")
			for _, c := range conns {
				if !c.Push(line) {
					t.Fatal("refused")
				}
			}
		}
		wg.Wait()
	})
}

// TestPushLatest: of answers that wait one behind the other only the newest leaves.
func TestPushLatest(t *testing.T) {
	both(t, Config{Outbox: 1000}, func(t *testing.T, s *site) {
		release := s.hold()
		nc, c := s.dial(t)
		for _, text := range []string{"a", "bb"} {
			c.PushLatest([]byte(text))
		}
		c.Push([]byte("|"))
		for _, text := range []string{"c", "dd", "eee"} {
			c.PushLatest([]byte(text))
		}
		if got, want := c.Waiting(), Cost([]byte("bb"))+Cost([]byte("|"))+Cost([]byte("eee")); got != want {
			t.Errorf("%d bytes wait, want %d", got, want)
		}
		c.Finish()
		c.PushLatest([]byte("too late"))
		release()
		if got, err := io.ReadAll(nc); err != nil || string(got) != "bb|eee" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// TestPushNow writes on the caller's goroutine, behind what waited before.
func TestPushNow(t *testing.T) {
	both(t, Config{}, func(t *testing.T, s *site) {
		nc, c := s.dial(t)
		for i := range 100 {
			c.Push([]byte("a"))
			if !c.PushNow([]byte("b")) {
				t.Fatal("refused")
			}
			got := make([]byte, 2)
			if _, err := io.ReadFull(nc, got); err != nil || string(got) != "ab" {
				t.Fatalf("round %d: %q, %v", i, got, err)
			}
		}
		waitFor(t, "all to have left", func() bool { return c.Waiting() == 0 })
	})
}

// TestPause: what the peer says meanwhile waits, and is heard afterwards.
func TestPause(t *testing.T) {
	s := newSite(t, Config{})
	if s.loop.shards[0].poll == nil {
		t.Skip("connections with goroutines are not paused")
	}
	nc, c := s.dial(t)
	c.Pause()
	if _, err := nc.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the bytes to arrive", c.Unread)
	if len(s.recorder.heard) > 0 {
		t.Error("heard while it is paused")
	}
	c.Resume()
	if got := receive(t, s.recorder.heard, "the bytes"); got != "hello" {
		t.Errorf("heard %q", got)
	}
	c.Pause()
	_ = nc.Close()
	if got := receive(t, s.recorder.closed, "the end"); got != ErrPeerClosed {
		t.Errorf("reason %v", got)
	}
}

// TestChurn opens and cuts connections in several ways while bytes are pushed.
// TestMain looks at goroutines, the site at what is left behind.
func TestChurn(t *testing.T) {
	both(t, Config{CloseTimeout: 300 * time.Millisecond}, func(t *testing.T, s *site) {
		const rounds = 400
		text := make([]byte, 3000)
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range rounds / 4 {
					nc, c := s.dial(t) // c may be another one's
					for range 20 {
						c.Push(text)
					}
					switch (i + w) % 6 {
					case 0:
						_ = socketOf(nc).SetLinger(0)
					case 1:
						c.Abort(ErrShutdown)
					case 2:
						c.End(AwaitPeer, []byte("bye"), ErrClosed)
					case 3:
						c.End(HalfClose, []byte("bye"), ErrClosed)
					case 4:
						c.End(AwaitPeer, nil, ErrClosed)
						c.Finish()
					}
					c.Push(text)
					_ = nc.Close()
				}
			})
		}
		wg.Wait()
		for range rounds {
			receive(t, s.recorder.closed, "the end of each connection")
		}
	})
}

// TestTrusted: what strangers leave unread ends no connection to one who is none.
func TestTrusted(t *testing.T) {
	s := newSite(t, Config{})
	_, c := s.dial(t)
	for _, trusts := range []bool{true, false} {
		c.Become(s.recorder, Options{Outbox: 1 << 20, Trusted: trusts})
		c.mu.Lock()
		c.setBlocked(true)
		c.mu.Unlock()
		c.shard.blockedBytes.Add(c.shard.maxBlocked + 1)
		took := c.Push([]byte("x"))
		c.shard.blockedBytes.Add(-c.shard.maxBlocked - 1)
		if took != trusts {
			t.Errorf("trusted %v: taken %v", trusts, took)
		}
	}
}

// TestTrustedAndFull: nor does it end as its own socket takes no more, while strangers leave much unread.
func TestTrustedAndFull(t *testing.T) {
	s := newSite(t, Config{})
	for _, trusts := range []bool{true, false} {
		_, c := s.dial(t)
		c.Become(s.recorder, Options{Outbox: 64 << 20, Trusted: trusts})
		theirs := c.shard.maxBlocked + 1
		c.shard.blockedBytes.Add(theirs)
		c.Push(make([]byte, 32<<20)) // which nobody reads
		full := func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.flags&blocked != 0 || c.life != open
		}
		for deadline := time.Now().Add(20 * time.Second); !full() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		c.shard.blockedBytes.Add(-theirs)
		if c.Ending() == trusts {
			t.Errorf("trusted %v: it ends because of %v", trusts, c.Why())
		}
	}
}
