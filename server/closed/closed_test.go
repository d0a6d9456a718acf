package closed

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var from = netip.MustParseAddr("192.0.2.1")

// Each reason has a name of its own, and [Reasons] has them all.
func TestReasons(t *testing.T) {
	seen := make(map[string]bool)
	for r := range Reasons {
		if r.String() == "" || seen[r.String()] {
			t.Errorf("reason %d is called %q, as another one or none", r, r)
		}
		seen[r.String()] = true
	}
	if len(seen) != len(names)-1 || seen[None.String()] {
		t.Errorf("%d of %d reasons", len(seen), len(names)-1)
	}
	if ReasonOf(fmt.Errorf("closed: %w", Slow)) != Slow || ReasonOf(errors.New("broken pipe")) != Failed || ReasonOf(nil) != Failed {
		t.Error("the reason in an error is not found")
	}
}

func TestBookKeepsTheLast(t *testing.T) {
	b := New(4)
	s := b.Source("pusher", "1")
	for i := range 7 {
		s.Opened()
		s.Closed(Slow, strconv.Itoa(i), from, time.Minute, i)
	}
	var ids []string
	for _, c := range b.Latest(10) {
		ids = append(ids, c.ID)
	}
	if got := strings.Join(ids, " "); got != "6 5 4 3" {
		t.Errorf("kept %s", got)
	}
	if list := b.Latest(2); len(list) != 2 || list[0].ID != "6" {
		t.Errorf("of two %v", list)
	}
	if len(b.Find("2", 1)) != 0 || len(b.Find("5", 3)) != 1 {
		t.Error("what is kept is not what is found")
	}
	c := b.Find("5", 1)[0]
	if c.Dialect != "pusher" || c.App != "1" || c.Network != from || c.Reason != Slow || c.Waiting != 5 || c.At.Sub(c.Since) != time.Minute {
		t.Errorf("%+v", c)
	}
	if s.OpenedCount() != 7 || s.ClosedAll() != 7 || s.ClosedCount(Slow) != 7 || s.By()["slow consumer"] != 7 {
		t.Error("counts less than ended")
	}
}

// An id that a stranger chose takes no more than its part.
func TestLongIDsAreClipped(t *testing.T) {
	b := New(2)
	long := strings.Repeat("x", 10_000)
	b.Source("socktopus", "a").Closed(None, long, from, 0, 0)
	found := b.Find(long, 1)
	if len(found) != 1 || len(found[0].ID) != MaxID || found[0].Reason != ByServer {
		t.Errorf("%+v", found)
	}
}

func TestBookThatKeepsNothing(t *testing.T) {
	b := New(0)
	s := b.Source("pusher", "1")
	s.Closed(Slow, "1", from, 0, 0)
	if len(b.Latest(1)) != 0 || s.ClosedAll() != 1 {
		t.Error("a book that only counts does something else")
	}
}

func TestManyAtOnce(t *testing.T) {
	b := New(64)
	sources := []*Source{b.Source("pusher", "1"), b.Source("pusher", "2")}
	var closing sync.WaitGroup
	for i := range 4 {
		closing.Go(func() {
			for n := range 1000 {
				sources[i%2].Closed(ByPeer, strconv.Itoa(n), from, 0, 0)
				if n%100 == 0 {
					b.Find("5", 3)
				}
			}
		})
	}
	closing.Wait()
	if n := sources[0].ClosedAll() + sources[1].ClosedAll(); n != 4000 || len(b.Latest(1000)) != 64 {
		t.Errorf("%d closed, %d kept", n, len(b.Latest(1000)))
	}
}

func TestClosingAllocatesNothing(t *testing.T) {
	s := New(Kept).Source("pusher", "1")
	if n := testing.AllocsPerRun(100, func() { s.Closed(ByPeer, "1234.5678", from, time.Second, 0) }); n != 0 {
		t.Error(n)
	}
}

func BenchmarkClosed(b *testing.B) {
	s := New(Kept).Source("pusher", "1")
	b.ReportAllocs()
	for range b.N {
		s.Closed(ByPeer, "1234.5678", from, time.Second, 0)
	}
}
