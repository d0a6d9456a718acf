package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"poosh/test/heads"
)

// Every kind of connection lives on the loop, but over TLS, where it costs goroutines;
// counts as what it is, and is forgotten when it ends.
func TestKindsLiveOnTheLoop(t *testing.T) {
	for _, w := range ways(everyDialect()...) {
		t.Run(w.name, func(t *testing.T) {
			d := w.dialect
			t.Parallel()
			f := w.start(t)
			f.proxied(t)
			c := gather(t, f, d, "r", 2)
			if err := c.publish(eventText(0, 1, 20)); err != nil {
				t.Fatal(err)
			}
			for _, m := range c.members {
				if err := m.read(newTally(d), 1, patience); err != nil {
					t.Error(err)
				}
			}
			sender.CloseIdleConnections()
			goroutines := 0
			if w.tls {
				goroutines = len(c.members)
			}
			f.waitNumbers(t, "all connections to be counted", map[string]int{
				"websockets": len(c.members), "connections": len(c.members), "goroutine_connections": goroutines, "polling": 0,
			})
			c.leave()
			f.waitNumbers(t, "all connections to be forgotten", map[string]int{
				"websockets": 0, "connections": 0, "goroutine_connections": 0, "polling": 0,
				"pusher_connections": 0, "socktopus_clients": 0,
			})
		})
	}
}

// A head that is longer than the server takes is refused on every port, whoever
// reads it.
func TestKindsLongestHead(t *testing.T) {
	f := startFourfold(t)
	for _, d := range dialects() {
		k := kind{name: "17 KB of cookies", head: filled(heads.ChromiumWebSocket, heads.Values{Cookie: heads.LongCookie(17 << 10)})}
		m, err := d.enter(f, k, "r")
		if err == nil {
			m.Close()
			t.Errorf("%s: a head of 17 KB is taken", d.name)
		} else if !strings.Contains(err.Error(), "431") {
			t.Errorf("%s: %v; want status 431", d.name, err)
		}
	}
	f.waitNumbers(t, "all connections to be forgotten", map[string]int{"connections": 0, "polling": 0, "goroutine_connections": 0})
}

// A client that stops reading is closed once its outbox is full, and counted. Those
// who read have every event.
func TestKindsBound(t *testing.T) {
	const outbox, size = 1 << 20, 10_000
	for _, w := range ways("Poosh, EIO 4") {
		t.Run(w.name, func(t *testing.T) {
			d := w.dialect
			events := 1500
			if d.name == "Socktopus" {
				events = 900 // one request has a copy for everybody
			}
			f := w.start(t, fmt.Sprintf("OUTBOX_BYTES=%d", outbox))
			f.proxied(t)
			before := f.numbers(t)["closed_slow"]
			c := gather(t, f, d, "r", 2)
			stalled, readers := c.split(1)
			for _, m := range stalled {
				if m.kind.proxy == "" { // what a proxy holds for its client is its own affair
					socketOf(m.Conn).SetReadBuffer(4096)
				}
			}
			var reading sync.WaitGroup
			for _, m := range readers {
				reading.Go(func() {
					if err := m.read(newTally(d), events, 2*patience); err != nil {
						t.Error(err)
					}
				})
			}
			for n := 1; n <= events; n++ {
				// Socktopus says of each recipient whether it is there, and these are
				// at some time not.
				if d.name == "Socktopus" {
					if _, err := d.publish(f, "r", ids(stalled), eventText(0, n, 2*size)); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.publishTo(ids(readers), eventText(0, n, size)); err != nil {
					t.Fatal(err)
				}
			}
			reading.Wait()
			f.waitNumbers(t, "those who stopped reading to be closed and counted", map[string]int{
				"websockets": len(readers), "closed_slow": before + len(stalled), "stuck_bytes": 0,
			})
		})
	}
}

// Clients that read all they can are not cut off by senders that send all they can:
// these are held back, or told to come again, and every event arrives once and in
// order.
func TestKindsBackPressure(t *testing.T) {
	const senders, size = 16, 10_000
	for _, w := range ways("Poosh, EIO 4", "Pusher") {
		t.Run(w.name, func(t *testing.T) {
			d := w.dialect
			each := 100 // events of a sender
			if d.name == "Socktopus" {
				each = 12 // one request has a copy for everybody
			}
			f := w.start(t, "MAX_BODY_BYTES=16KiB", "OUTBOX_BYTES=256KiB")
			f.proxied(t)
			c := gather(t, f, d, "r", 6)
			var reading, sending sync.WaitGroup
			for _, m := range c.members {
				reading.Go(func() {
					if err := m.read(newTally(d), senders*each, 4*patience); err != nil {
						t.Error(err)
					}
				})
			}
			for s := range senders {
				sending.Go(func() {
					for n := 1; n <= each; n++ {
						if err := c.publish(eventText(s, n, size)); err != nil {
							t.Errorf("sender %d: %v", s, err)
							return
						}
					}
				})
			}
			sending.Wait()
			reading.Wait()
			f.waitNumbers(t, "everybody to be there still", map[string]int{"websockets": len(c.members), "closed_slow": 0})
		})
	}
}

// Clients that stop reading keep nobody else from hearing: sends to others are taken
// and arrive all the while.
func TestKindsStall(t *testing.T) {
	const size, events = 10_000, 800
	for _, w := range ways("Poosh, EIO 4") {
		t.Run(w.name, func(t *testing.T) {
			d := w.dialect
			f := w.start(t, "BACKLOG_BYTES=8MiB", "OUTBOX_BYTES=1MiB")
			f.proxied(t)
			each := 4
			if d.name == "Socktopus" {
				each = 2 // one request has a copy for everybody
			}
			stalled, others := gather(t, f, d, "stalled", each), gather(t, f, d, "others", 1)
			for _, m := range stalled.members {
				if m.kind.proxy == "" {
					socketOf(m.Conn).SetReadBuffer(4096)
				}
			}
			var reading sync.WaitGroup
			for _, m := range others.members {
				reading.Go(func() {
					if err := m.read(newTally(d), events/10, 2*patience); err != nil {
						t.Error(err)
					}
				})
			}
			for n := 1; n <= events; n++ {
				// To those who take nothing: whether it is taken is not the question.
				if _, err := d.publish(f, "stalled", ids(stalled.members), eventText(0, n, size)); err != nil {
					t.Fatal(err)
				}
				if n%10 > 0 {
					continue
				}
				a, err := d.publish(f, "others", ids(others.members), eventText(0, n/10, 100))
				if err != nil || a.status != http.StatusOK {
					t.Fatalf("with %d events for those who take nothing, a sender to others is answered %d %.200q, %v", n, a.status, a.body, err)
				}
			}
			reading.Wait()
		})
	}
}
