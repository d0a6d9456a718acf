package cluster

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/presence"
)

// BenchmarkEnter has connections enter rooms and leave them: ns/op is of one that does both, of many at
// once. calls/op is how many scripts that took, us/call how long the engine had one.
func BenchmarkEnter(b *testing.B) {
	redis := redistest.Start(b)
	h := newTown(config(b, at(redis.Addr))).build(b, "")
	for _, kind := range []string{"counted", "member"} {
		b.Run(kind, func(b *testing.B) {
			redis.Do("CONFIG", "RESETSTAT")
			room := make(chan struct{}, 1000)
			for i := range b.N {
				room <- struct{}{}
				e := presence.Entry{App: app, Room: "r" + strconv.Itoa(i%100), Counted: true, Socket: "123.456"}
				if kind == "member" {
					e.User, e.Info, e.Only = "u"+strconv.Itoa(i), []byte(`{"name":"somebody"}`), true
				}
				h.Enter(e, func(_ presence.Seated, err error) {
					if err != nil {
						b.Error(err)
					} else {
						h.Leave(e)
					}
					<-room
				})
			}
			for range cap(room) {
				room <- struct{}{}
			}
			b.StopTimer()
			var calls, us float64
			text := redis.Do("INFO", "commandstats")
			const at = "cmdstat_evalsha:calls="
			if _, rest, ok := strings.Cut(text, at); ok {
				_, _ = fmt.Sscanf(rest, "%f,usec=%f", &calls, &us)
			}
			b.ReportMetric(calls/float64(b.N), "calls/op")
			b.ReportMetric(us/max(calls, 1), "us/call")
			b.ReportMetric(us/float64(b.N), "engine-us/op")
		})
	}
}

// BenchmarkBack has an engine forget everything, with so many connections in as many rooms: ms/op is
// until it has them all again.
func BenchmarkBack(b *testing.B) {
	redis := redistest.Start(b)
	cfg := config(b, at(redis.Addr))
	a := newTown(cfg).build(b, "")
	const rooms = 20_000
	enterMany(b, a, rooms)
	for b.Loop() {
		redis.Do("FLUSHALL")
		until(b, "all are entered again", func() bool {
			n := 0
			for _, p := range a.rooms() {
				m, _ := strconv.Atoi(redis.Do("ZCARD", string(p.tag)+":dz:"+app)[1:])
				n += m
			}
			return n == rooms
		})
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/op")
}

// BenchmarkReap takes away what a node had, of so many connections in as many rooms.
func BenchmarkReap(b *testing.B) {
	redis := redistest.Start(b)
	w := newTown(config(b, at(redis.Addr)))
	a, c := w.build(b, ""), w.build(b, redis.Addr)
	enterMany(b, c, 10_000)
	until(b, "the applications know that they came", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.told) == 20_000
	})
	lease, _ := c.leaseNow()
	c.kill()
	began := time.Now()
	if err := a.takeAway(b.Context(), lease); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	until(b, "the applications know", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.ends == 20_000
	})
	b.ReportMetric(float64(took.Milliseconds()), "ms-reaped")
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-told")
}

// enterMany has one member enter each of so many rooms.
func enterMany(b *testing.B, h *house, rooms int) {
	b.Helper()
	room := make(chan struct{}, 1000)
	for i := range rooms {
		room <- struct{}{}
		e := h.entry("room-"+strconv.Itoa(i), "u", "123.456")
		e.Only = true
		h.Enter(e, func(_ presence.Seated, err error) {
			if err != nil {
				b.Error(err)
			}
			<-room
		})
	}
	for range cap(room) {
		room <- struct{}{}
	}
}
