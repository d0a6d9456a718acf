package cluster

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// BenchmarkPublish has so many senders, each of whom waits for its answer, publish through two nodes to rooms that
// one of them is in. calls/op is how many scripts that took, us/call how long the engine had one, and
// engine-us/op its processor time in all.
func BenchmarkPublish(b *testing.B) {
	for _, senders := range []int{2, 16, 256} {
		b.Run(strconv.Itoa(senders), func(b *testing.B) { benchPublish(b, senders) })
	}
}

func benchPublish(b *testing.B, senders int) {
	const rooms = 5000
	redis := redistest.Start(b)
	cfg := config(b, at(redis.Addr))
	nodes := []*process{join(b, cfg, light), join(b, cfg, light)}
	for i, n := range nodes {
		var names []string
		for r := i; r < rooms; r += len(nodes) {
			names = append(names, "room-"+strconv.Itoa(r))
		}
		n.enter(names...)
	}
	redis.Do("CONFIG", "RESETSTAT")
	before := engineTime(redis)
	data := []byte(strings.Repeat("x", 150))
	b.ResetTimer()
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			answered := make(chan hub.Handed, 1)
			for i := s; i < b.N; i += senders {
				nodes[i%2].Publish(&hub.Publication{App: app, Room: "room-" + strconv.Itoa(i*7%rooms), Data: data}, func(h hub.Handed) { answered <- h })
				if h := <-answered; h.Err != nil || h.Nodes != 1 {
					b.Errorf("%+v", h)
				}
			}
		})
	}
	sending.Wait()
	b.StopTimer()
	var calls, us float64
	const stat = "cmdstat_evalsha:calls="
	if _, rest, ok := strings.Cut(redis.Do("INFO", "commandstats"), stat); ok {
		_, _ = fmt.Sscanf(rest, "%f,usec=%f", &calls, &us)
	}
	b.ReportMetric(calls/float64(b.N), "calls/op")
	b.ReportMetric(us/max(calls, 1), "us/call")
	b.ReportMetric(1e6*(engineTime(redis)-before)/float64(b.N), "engine-us/op")
}

// light has a node note nothing of what it gets.
func light(o *Options) { o.Deliver = func(*hub.Publication, hub.Position) int { return 1 } }

// engineTime is how many seconds of a processor the engine has used.
func engineTime(redis *redistest.Server) (sum float64) {
	text := redis.Do("INFO", "cpu")
	for _, name := range []string{"used_cpu_sys:", "used_cpu_user:"} {
		if _, rest, ok := strings.Cut(text, name); ok {
			var s float64
			_, _ = fmt.Sscanf(rest, "%f", &s)
			sum += s
		}
	}
	return sum
}
