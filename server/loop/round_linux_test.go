package loop

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// A doer is a Protocol that does what a test wants done on the reader.
type doer struct{ do func() }

func (d *doer) Data(_ *Conn, data []byte) {
	if len(data) > 0 {
		d.do()
	}
}
func (d *doer) Closed(*Conn, error) {}
func (d *doer) RemoteAddr() string  { return "a test" }

// dialOn is dial for a connection of one shard.
func (s *site) dialOn(t *testing.T, shard int) (net.Conn, *Conn) {
	t.Helper()
	for {
		nc, c := s.dial(t)
		if c.shard == s.loop.shards[shard] {
			return nc, c
		}
	}
}

// onReader returns a connection to write to, which has do called on the reader of the
// first shard.
func (s *site) onReader(t *testing.T, do func()) net.Conn {
	t.Helper()
	nc, c := s.dialOn(t, 0)
	c.mu.Lock()
	c.protocol = &doer{do}
	c.mu.Unlock()
	return nc
}

func say(t *testing.T, nc net.Conn) {
	t.Helper()
	if _, err := nc.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
}

// hears waits for n bytes.
func hears(t *testing.T, nc net.Conn, n int) {
	t.Helper()
	if _, err := io.ReadFull(nc, make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}

// TestWhoWrites: readers write what little is pushed while they are on their round,
// whoever pushes it, and the flusher is called for a crowd, and when no reader is there.
func TestWhoWrites(t *testing.T) {
	each := func(conns []*Conn) {
		for _, c := range conns {
			c.Push([]byte("event"))
		}
	}
	for _, tt := range []struct {
		name    string
		clients int
		push    func(s *site, t *testing.T, conns []*Conn)
		flusher bool
	}{
		{"a reader to a few", few, func(s *site, t *testing.T, conns []*Conn) {
			say(t, s.onReader(t, func() { each(conns) }))
		}, false},
		{"a reader to more", crowd - 1, func(s *site, t *testing.T, conns []*Conn) {
			say(t, s.onReader(t, func() { each(conns) }))
		}, false},
		{"a reader to a crowd", crowd, func(s *site, t *testing.T, conns []*Conn) {
			say(t, s.onReader(t, func() { each(conns) }))
		}, true},
		{"somebody else beside a reader", 5, func(s *site, t *testing.T, conns []*Conn) {
			in, out := make(chan struct{}), make(chan struct{})
			say(t, s.onReader(t, func() { close(in); <-out }))
			receive(t, in, "the reader")
			each(conns)
			close(out)
		}, false},
		{"somebody else alone", 5, func(_ *site, _ *testing.T, conns []*Conn) { each(conns) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, Config{})
			var peers []net.Conn
			var conns []*Conn
			for range tt.clients {
				nc, c := s.dialOn(t, 0)
				peers, conns = append(peers, nc), append(conns, c)
			}
			tt.push(s, t, conns)
			for _, nc := range peers {
				hears(t, nc, len("event"))
			}
			// A count follows what it counts.
			waitFor(t, "all outboxes to be counted", func() bool {
				st := s.loop.Stats()
				return st.ByReaders+st.ByFlushers == uint64(tt.clients)
			})
			if st := s.loop.Stats(); tt.flusher != (st.ByFlushers > 0) || !tt.flusher && st.ByReaders != uint64(tt.clients) {
				t.Errorf("readers wrote %d outboxes of %d, flushers %d", st.ByReaders, tt.clients, st.ByFlushers)
			}
		})
	}
}

// TestReadersWriteInTime: a reader that has much to read does not keep what it was
// given to write until it is through.
func TestReadersWriteInTime(t *testing.T) {
	had := runtime.GOMAXPROCS(4) // two shards, of which the second one sleeps
	s := newSite(t, Config{})
	runtime.GOMAXPROCS(had)
	for shard := range s.loop.shards {
		t.Run(fmt.Sprint("shard ", shard), func(t *testing.T) { writesInTime(t, s, shard) })
	}
}

func writesInTime(t *testing.T, s *site, shard int) {
	peer, c := s.dialOn(t, shard)
	in, out := make(chan struct{}), make(chan struct{})
	stop := s.onReader(t, func() { close(in); <-out })
	arrived := make(chan struct{})
	var second bool // owned by the reader
	talk := func() {
		if second {
			<-arrived
			return
		}
		second = true
		time.Sleep(2 * ahead)
		c.Push([]byte("event"))
	}
	talkers := []net.Conn{s.onReader(t, talk), s.onReader(t, talk)}
	say(t, stop)
	receive(t, in, "the reader")
	for _, nc := range talkers {
		say(t, nc)
	}
	close(out)
	defer close(arrived)
	hears(t, peer, len("event"))
}
