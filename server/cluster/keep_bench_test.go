package cluster

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/hub/history"
)

// BenchmarkKeep publishes to an app that is kept in the engine, and to one that is not: engine-us/op is what the engine
// takes for one of many.
func BenchmarkKeep(b *testing.B) {
	for _, kind := range []string{"not kept", "kept by nodes alone", "kept"} {
		b.Run(kind, func(b *testing.B) {
			redis := redistest.Start(b)
			opt := Options{Log: discard, Version: "test", Apps: []string{app}, Deliver: func(*hub.Publication, hub.Position) int { return 1 }}
			kept := history.New(much, app)
			if kind != "not kept" {
				opt.Together = kept.Keeps
			}
			if kind == "kept" {
				opt.Keeping = func(app string) Keeping { return Keeping{Bytes: much.Bytes, Age: much.Age} }
				opt.Fill = func(app string, behind hub.Position) Filling { return kept.Fill(app, behind) }
			}
			c := New(config(b, at(redis.Addr)))
			if err := c.Join(b.Context(), opt); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close(b.Context()) }()
			redis.Do("CONFIG", "RESETSTAT")
			room := make(chan struct{}, 1000)
			for b.Loop() {
				room <- struct{}{}
				c.Publish(&hub.Publication{App: app, Room: "r", Event: "e", Data: make([]byte, 100)}, func(h hub.Handed) {
					if h.Err != nil {
						b.Error(h.Err)
					}
					<-room
				})
			}
			for range cap(room) {
				room <- struct{}{}
			}
			b.StopTimer()
			var calls, us float64
			if _, rest, ok := strings.Cut(redis.Do("INFO", "commandstats"), "cmdstat_evalsha:calls="); ok {
				_, _ = fmt.Sscanf(rest, "%f,usec=%f", &calls, &us)
			}
			b.ReportMetric(us/float64(b.N), "engine-us/op")
			used, _ := strconv.Atoi(strings.TrimPrefix(redis.Do("EVAL", keptMemory, "1", string(c.partition(app, "", true).tag), app), ":"))
			b.ReportMetric(float64(used)/float64(b.N), "engine-B/op") // while nothing is too much
		})
	}
}
