package history

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"poosh/server/hub"
)

// BenchmarkPublish publishes to a room of so many in an app that is kept.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1, 100} {
		b.Run("subs="+strconv.Itoa(n), func(b *testing.B) {
			h := hub.NewWith(nil, New(Config{Age: time.Minute}, ""))
			for range n {
				c := new(sink)
				sub, _ := h.RegisterKept("", "", 1, numbered{}, c, &c.trail)
				if err := h.JoinKept(sub, &c.trail, "r"); err != nil {
					b.Fatal(err)
				}
			}
			p := &hub.Publication{Room: "r", Event: "event", Data: make([]byte, 100)}
			b.ReportAllocs()
			for b.Loop() {
				h.Publish(p)
			}
		})
	}
}

type sink struct{ trail hub.Trail }

func (*sink) Deliver([]byte) bool { return true }

// BenchmarkKept says what an event of 100 bytes takes, in a room of many and in one of its
// own, and what it is counted as.
func BenchmarkKept(b *testing.B) {
	for _, rooms := range []int{1, 20_000} {
		b.Run("rooms="+strconv.Itoa(rooms), func(b *testing.B) {
			for b.Loop() {
				const events = 20_000
				l := New(Config{Age: time.Hour, Bytes: 1 << 40, Events: events}, "")
				before := heap()
				for i := range events {
					put(l, "room-"+strconv.Itoa(i%rooms), "event", 100)
				}
				b.ReportMetric(float64(heap()-before)/events, "B/event")
				b.ReportMetric(float64(l.Stats().Bytes)/events, "counted/event")
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkRecover has one come back who missed 100 events, as a thousand may at once.
func BenchmarkRecover(b *testing.B) {
	h := hub.NewWith(nil, New(Config{Age: time.Minute}, ""))
	var zero hub.Position
	_, zero = h.RegisterKept("", "", 1, numbered{}, &sink{}, new(hub.Trail))
	for range 100 {
		h.Publish(&hub.Publication{Room: "r", Event: "event", Data: make([]byte, 100)})
	}
	b.ReportAllocs()
	for b.Loop() {
		c := new(sink)
		s, _ := h.RegisterKept("", "", 1, numbered{}, c, &c.trail)
		if got, err := h.Recover(s, &c.trail, &hub.Ask{Rooms: []string{"r"}, After: zero}); err != nil || got.Missed != 100 {
			b.Fatal(got, err)
		}
		h.Unregister(s)
	}
}
