package loop

import (
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"poosh/server/latency"
)

// allEnded reports whether no mark is under way any more.
func allEnded(m *latency.Meter) bool {
	marks, outboxes := m.UnderWay()
	return marks == 0 && outboxes == 0
}

// A mark is passed when what it stands behind has been written, and not before.
func TestMark(t *testing.T) {
	both(t, Config{Outbox: 64 << 20}, func(t *testing.T, s *site) {
		m := latency.New()
		nc, c := s.dial(t)
		k := m.Begin()
		if !c.PushMarked([]byte("quick"), k) {
			t.Fatal("refused")
		}
		k.End()
		waitFor(t, "a mark to be passed", func() bool { return allEnded(m) })
		if got := make([]byte, 5); !readsAll(nc, got) || string(got) != "quick" {
			t.Errorf("its peer read %q", got)
		}

		// More than the socket takes is before the mark, and something behind it.
		const large = 30 << 20
		c.Push(make([]byte, large))
		k = m.Begin()
		c.PushMarked([]byte("marked"), k)
		k.End()
		c.Push([]byte("behind"))
		waitFor(t, "the socket to take nothing", func() bool { return s.loop.Stats().Blocked > 0 })
		if marks, outboxes := m.UnderWay(); marks != 1 || outboxes != 1 {
			t.Errorf("%d marks wait for %d outboxes", marks, outboxes)
		}
		if err := s.loop.Check(); err != nil {
			t.Error(err)
		}
		if n, err := io.CopyN(io.Discard, nc, large+6+6); err != nil {
			t.Errorf("read %d: %v", n, err)
		}
		waitFor(t, "the mark to be passed", func() bool { return allEnded(m) })
		if h := m.Histogram(); h.Count != 2 {
			t.Errorf("%d were counted", h.Count)
		}
	})
}

func readsAll(nc net.Conn, into []byte) bool {
	_, err := io.ReadFull(nc, into)
	return err == nil
}

// The end of a connection passes its marks, and one that has ended takes none.
func TestMarkOfAConnectionThatEnds(t *testing.T) {
	both(t, Config{Outbox: 64 << 20}, func(t *testing.T, s *site) {
		m := latency.New()
		_, c := s.dial(t)
		c.Push(make([]byte, 30<<20))
		for range 3 {
			k := m.Begin()
			c.PushMarked([]byte("never"), k)
			k.End()
		}
		if marks, outboxes := m.UnderWay(); marks != 3 || outboxes != 3 {
			t.Errorf("%d marks wait for %d outboxes", marks, outboxes)
		}
		c.Abort(ErrShutdown)
		if !allEnded(m) {
			t.Error("marks are left")
		}
		k := m.Begin()
		if c.PushMarked([]byte("too late"), k) {
			t.Error("taken")
		}
		c.Mark(k)
		k.End()
		if !allEnded(m) {
			t.Error("a mark is left of one that has ended")
		}
	})
}

// The mark behind an answer that a newer one may replace is passed all the same.
func TestMarkBehindTheLatest(t *testing.T) {
	both(t, Config{}, func(t *testing.T, s *site) {
		release := s.hold()
		m := latency.New()
		nc, c := s.dial(t)
		c.PushLatest([]byte("long one"))
		k := m.Begin()
		c.Mark(k)
		k.End()
		c.PushLatest([]byte("x"))
		release()
		if got := make([]byte, 9); !readsAll(nc, got) || string(got) != "long onex" {
			t.Errorf("got %q", got)
		}
		waitFor(t, "the mark to be passed", func() bool { return allEnded(m) })
	})
}

// A model of it over random churn: connections come, are pushed to with marks and
// without, read, stall and go in every way, and each mark ends.
func TestMarksOverChurn(t *testing.T) {
	both(t, Config{Outbox: 1 << 20, CloseTimeout: 300 * time.Millisecond}, func(t *testing.T, s *site) {
		seed := uint64(time.Now().UnixNano())
		var wg sync.WaitGroup
		var mu sync.Mutex // guards what follows
		var meters []*latency.Meter
		marked := 0
		for w := range 4 {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(w)))
				for range 40 {
					nc, c := s.dial(t) // c may be another one's
					m := latency.New() // one alone would let few be marked
					mu.Lock()
					meters = append(meters, m)
					mu.Unlock()
					if random.IntN(3) > 0 {
						wg.Go(func() { _, _ = io.Copy(io.Discard, nc) }) // ends with the connection
					}
					for range random.IntN(60) {
						buffer := make([]byte, 1+random.IntN(1<<random.IntN(17)))
						switch k := m.Begin(); {
						case k == nil:
							c.Push(buffer)
						default:
							mu.Lock()
							marked++
							mu.Unlock()
							c.PushMarked(buffer, k)
							if random.IntN(4) == 0 {
								c.PushLatest([]byte("latest"))
								c.Mark(k)
							}
							k.End()
						}
						if random.IntN(10) == 0 {
							time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
						}
					}
					if random.IntN(8) == 0 {
						if err := s.loop.Check(); err != nil {
							t.Error(err)
						}
					}
					switch random.IntN(6) {
					case 0:
						_ = socketOf(nc).SetLinger(0)
					case 1:
						c.Abort(ErrShutdown)
					case 2:
						c.End(AwaitPeer, []byte("bye"), ErrClosed)
					case 3:
						c.End(HalfClose, []byte("bye"), ErrClosed)
					case 4:
						c.Finish()
					}
					_ = nc.Close()
				}
			})
		}
		wg.Wait()
		waitFor(t, "all marks to end", func() bool { return !slices.ContainsFunc(meters, func(m *latency.Meter) bool { return !allEnded(m) }) })
		if marked < 1000 {
			t.Errorf("seed %d: only %d were marked", seed, marked)
		}
	})
}
