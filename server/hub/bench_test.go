package hub

import (
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
)

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		b.Run("subs="+strconv.Itoa(n), func(b *testing.B) {
			h, k := New(), &fixed{}
			boxes := make([]drain, n)
			for i := range boxes {
				_ = h.Join(h.Register("", strconv.Itoa(i), 1, k, &boxes[i]), "r")
			}
			p := &Publication{Room: "r", Event: "e"}
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				h.Publish(p)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/delivery")
		})
	}
}

// BenchmarkPublishNobody publishes to rooms that nobody is in, while there are others.
func BenchmarkPublishNobody(b *testing.B) {
	h, k := New(), &fixed{}
	var box drain
	_ = h.Join(h.Register("", "a", 1, k, &box), "r")
	p := &Publication{Room: "somebody", Event: "e"}
	b.ReportAllocs()
	for b.Loop() {
		h.Publish(p)
	}
}

// BenchmarkPublishManyRooms publishes from many goroutines, each to rooms of its own.
func BenchmarkPublishManyRooms(b *testing.B) {
	const rooms = 1024
	h, k := New(), &fixed{}
	boxes := make([]drain, rooms)
	pubs := make([]Publication, rooms)
	for i := range boxes {
		room := "room-" + strconv.Itoa(i)
		_ = h.Join(h.Register("", strconv.Itoa(i), 1, k, &boxes[i]), room)
		pubs[i] = Publication{Room: room, Event: "e"}
	}
	const workers = 16
	var turn atomic.Int64
	b.SetParallelism(max(1, workers/runtime.GOMAXPROCS(0)))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		first := int(turn.Add(1)-1) * rooms / workers
		for i := 0; pb.Next(); i++ {
			h.Publish(&pubs[(first+i%(rooms/workers))%rooms])
		}
	})
}

// BenchmarkJoinLeave has a subscriber come to a room where others are, and go.
func BenchmarkJoinLeave(b *testing.B) {
	h, k := New(), &fixed{}
	boxes := make([]drain, 3)
	var last *Subscriber
	for i := range boxes {
		last = h.Register("", strconv.Itoa(i), 1, k, &boxes[i])
		_ = h.Join(last, "r")
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Leave(last, "r")
		_ = h.Join(last, "r")
	}
}

// BenchmarkRoomMemory says what a room with one subscriber takes.
func BenchmarkRoomMemory(b *testing.B) {
	const rooms = 20_000
	names := make([]string, rooms)
	for i := range names {
		names[i] = "room-" + strconv.Itoa(i)
	}
	for b.Loop() {
		h, k := New(), &fixed{}
		boxes := make([]drain, 1)
		s := h.Register("", "a", rooms, k, &boxes[0])
		before := heap()
		for _, name := range names {
			_ = h.Join(s, name)
		}
		b.ReportMetric(float64(heap()-before)/rooms, "B/room")
		runtime.KeepAlive(h)
	}
}

// BenchmarkSubscriberMemory says what a subscriber takes, with its id.
func BenchmarkSubscriberMemory(b *testing.B) {
	for name, own := range map[string]bool{"in no room": false, "in a room of its own": true} {
		b.Run(name, func(b *testing.B) {
			const subscribers = 20_000
			names := make([]string, subscribers)
			for i := range names {
				names[i] = strconv.Itoa(i)
			}
			boxes := make([]drain, subscribers)
			for b.Loop() {
				h, k := New(), &fixed{}
				before := heap()
				for i, name := range names {
					s := h.Register("", name, 1, k, &boxes[i])
					if own {
						_ = h.Join(s, name)
					}
				}
				b.ReportMetric(float64(heap()-before)/subscribers, "B/subscriber")
				runtime.KeepAlive(h)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkRosterJoinLeave has the only member of a room come and go, while there are
// other rooms.
func BenchmarkRosterJoinLeave(b *testing.B) {
	h, k := New(), &fixed{}
	s := h.Register("app", "s", 1, k, &drain{})
	other := h.Register("app", "other", 1000, k, &drain{})
	for i := range 1000 {
		r := h.Open("app", strconv.Itoa(i))
		_, _ = r.Join(other, Member{})
		r.Close()
	}
	b.ReportAllocs()
	for b.Loop() {
		r := h.Open("app", "room")
		_, _ = r.Join(s, Member{ID: "a"})
		r.Close()
		r = h.Open("app", "room")
		r.Leave(s, "a")
		r.Close()
	}
}

// BenchmarkOpenedRoomMemory says what a room with a roster and one subscriber takes.
func BenchmarkOpenedRoomMemory(b *testing.B) {
	const rooms = 20_000
	names := make([]string, rooms)
	for i := range names {
		names[i] = "room-" + strconv.Itoa(i)
	}
	for b.Loop() {
		h, k := New(), &fixed{}
		s := h.Register("", "a", rooms, k, &drain{})
		before := heap()
		for _, name := range names {
			r := h.Open("", name)
			_, _ = r.Join(s, Member{})
			r.Close()
		}
		b.ReportMetric(float64(heap()-before)/rooms, "B/room")
		runtime.KeepAlive(h)
	}
}
