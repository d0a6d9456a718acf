package server

import (
	"strings"
	"testing"
	"time"
)

// A client that stalls makes the latency of what is sent to it visible, once it reads again
// or is gone; the others do not wait for it.
func TestLatencyOfAClientThatStalls(t *testing.T) {
	for _, how := range []string{"reads on", "is closed"} {
		t.Run(how, func(t *testing.T) {
			r := run(t, map[string]string{"ADMIN_PORT": "0", "OUTBOX_BYTES": "64MiB", "MAX_BODY_BYTES": "1MiB"}, nil)
			well, stalls := r.listen(t, "r"), r.listen(t, "r")
			r.joined(t, "r", 2)
			go func() { // ends with the connection
				for {
					if _, _, err := well.ReadMessage(); err != nil {
						return
					}
				}
			}()
			payload := `"` + strings.Repeat("x", 500<<10) + `"`
			for range 30 {
				r.send(t, "r", "e", payload)
			}
			waitUntil(t, "marks to wait for the stalled client", func() bool {
				marks, outboxes := r.latency.UnderWay()
				return marks > 0 && int64(marks) == outboxes
			})
			time.Sleep(300 * time.Millisecond)
			before := r.scrape(t)
			if how == "reads on" {
				go func() { // ends with the connection
					for {
						if _, _, err := stalls.ReadMessage(); err != nil {
							return
						}
					}
				}()
			} else {
				_ = stalls.NetConn().Close()
			}
			waitUntil(t, "no mark to wait", func() bool { marks, _ := r.latency.UnderWay(); return marks == 0 })
			after := r.scrape(t)
			slow := func(s scraped) float64 {
				return s.sum("poosh_delivery_latency_seconds_count") - s.sum("poosh_delivery_latency_seconds_bucket", `le="0.25"`)
			}
			if slow(after)-slow(before) < 1 {
				t.Errorf("%v took long before, %v after", slow(before), slow(after))
			}
			if l := r.lately(); l == nil || l.Max < 0.3 {
				t.Errorf("operators are told %+v", l)
			}
			if lately := r.latency.Lately(); lately.Max < 300*time.Millisecond {
				t.Errorf("lately it took %+v", lately)
			}
			_ = well.Close()
			_ = stalls.Close()
			r.stop()
			if err := r.wait(t); err != nil {
				t.Error(err)
			}
		})
	}
}

// waitUntil waits for something to become true.
func waitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}
