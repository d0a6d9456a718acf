// Seats fills a hub with rooms of one seat, a million of them or as many as its
// argument says, and prints as JSON what they take: bytes of the heap after a
// collection, and the time of a join and of a publish.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"poosh/server/hub"
)

const (
	app   = "bench"
	crowd = 1000 // seats of a room when it is not rooms that are counted
)

// silent stands for a connection: it takes every frame.
type silent struct{ frames int }

func (s *silent) Deliver([]byte) bool {
	s.frames++
	return true
}

// encoder gives every kind of connection one frame.
type encoder struct{}

var frame = []byte("frame")

func (encoder) Encode(*hub.Publication) []byte { return frame }

func main() {
	n := 1_000_000
	if len(os.Args) > 1 {
		var err error
		if n, err = strconv.Atoi(os.Args[1]); err != nil || n < crowd {
			fmt.Fprintln(os.Stderr, "seats: want a number of seats, at least", crowd)
			os.Exit(2)
		}
	}
	text, err := json.Marshal(measure(n))
	if err != nil {
		fmt.Fprintln(os.Stderr, "seats:", err)
		os.Exit(1)
	}
	fmt.Println(string(text))
}

// measure seats n subscribers in a room each, and as many in rooms of a crowd, whose
// own bytes count for nothing. The difference is what a room takes.
func measure(n int) map[string]float64 {
	alone := fill(n, n)
	together := fill(n, n/crowd)
	return map[string]float64{
		"bytes/subscriber": alone.subscriber,
		"bytes/seat":       together.seat,
		"bytes/room":       alone.seat - together.seat,
		"us/join":          alone.join,
		"us/publish":       alone.publish,
	}
}

// filled is what a hub takes for each subscriber.
type filled struct{ subscriber, seat, join, publish float64 }

// fill seats n subscribers in so many rooms.
func fill(n, rooms int) (f filled) {
	h := hub.New()
	all := make([]*hub.Subscriber, n)
	receivers := make([]silent, n)
	begin := heap()
	for i := range all {
		all[i] = h.Register(app, "c"+strconv.Itoa(i), 10, encoder{}, &receivers[i])
	}
	registered := heap()
	f.subscriber = (registered - begin) / float64(n)
	start := time.Now()
	for i, s := range all {
		if err := h.Join(s, name(i%rooms)); err != nil {
			panic(err)
		}
	}
	f.join = float64(time.Since(start)) / 1e3 / float64(n)
	f.seat = (heap() - registered) / float64(n)
	f.publish = publish(h, rooms, receivers)
	runtime.KeepAlive(all)
	return f
}

// publish sends an event to rooms all over the hub, makes sure that it arrives, and
// returns how many microseconds one takes.
func publish(h *hub.Hub, rooms int, receivers []silent) float64 {
	const stride = 7919 // a prime: rooms are far apart in memory
	count := min(rooms, 100_000)
	start := time.Now()
	for i := range count {
		h.Publish(&hub.Publication{App: app, Room: name(i * stride % rooms), Event: "e", Data: frame})
	}
	took := time.Since(start)
	got := 0
	for i := range receivers {
		got += receivers[i].frames
	}
	if want := count * (len(receivers) / rooms); got != want {
		panic(fmt.Sprintf("%d of %d events arrived", got, want))
	}
	return float64(took) / 1e3 / float64(count)
}

func name(room int) string { return "room-" + strconv.Itoa(room) }

// heap returns the bytes in use after a collection.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
