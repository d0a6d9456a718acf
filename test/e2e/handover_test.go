package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"poosh/test/process"
)

// Real clients whose process ends over DRAIN_TIME come back through their balancer, to the
// next one, whatever they are and however they connect. They have heard all that was
// accepted before the end began, and each of them what was handed to it until it left.
func TestClientsMoveToTheNextProcess(t *testing.T) {
	paced := []string{"DRAIN_DELAY=1s", "DRAIN_TIME=3s", "SHUTDOWN_TIMEOUT=20s"}
	old, next := start(t, paced...), start(t, paced...)
	balancer := process.Balance(t, old.clientPort)
	d := drive(t, "node.js")
	var all []*client
	for _, version := range []string{"1.0.6", "1.3.4", "1.7.4", "2.5.0", "4.8.1"} {
		for _, way := range []string{"polling", "websocket", "upgrade"} {
			all = append(all, d.open(opening{
				Version: version, Way: way, URL: "http://" + addr(balancer.Port), Listen: []string{"n", "again"}, Rooms: []string{"joined"},
			}))
		}
	}
	for _, c := range all {
		c.wait(t, "connect", 1)
		if c.way == "upgrade" {
			c.wait(t, "upgrade", 1)
		}
	}
	old.waitRoom(t, "joined", len(all))

	var accepted, handed []int // events, and to how many clients each
	post := func() bool {
		n := len(accepted)
		payload := fmt.Sprintf(`{"n":%d,"pad":""}`, n)
		a, err := old.tryPost(body("joined", "n", payload), token(payload))
		if err != nil || a.status != http.StatusOK {
			return false
		}
		to, _ := strconv.Atoi(a.header.Get("X-Poosh-Delivered"))
		accepted, handed = append(accepted, n), append(handed, to)
		return true
	}
	for range 50 {
		if !post() {
			t.Fatal("a send is refused before the end")
		}
	}
	before := len(accepted)
	old.signal(syscall.SIGTERM)
	var sending sync.WaitGroup
	sending.Go(func() {
		for post() { // until the process takes none any more
			time.Sleep(20 * time.Millisecond)
		}
	})
	eventually(t, patience, "the balancer to see that the process goes away", func() bool {
		resp, err := http.Get(old.clientURL() + "/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	balancer.Choose(next.clientPort)
	for _, c := range all {
		if reason, want := c.wait(t, "disconnect", 1)[0].Text, farewell(c.id); reason != want {
			t.Errorf("%s: disconnect %q, want %s", c.id, reason, want)
		}
		c.wait(t, "connect", 2)
	}
	sending.Wait()
	old.waitExit(patience)
	old.checkLog()
	next.waitRoom(t, "joined", len(all))
	next.send(t, "joined", "again", "1")

	heard := make([]int, len(accepted))
	for _, c := range all {
		c.events(t, "again", 1)
		var numbers []int
		for _, r := range c.seen("event") {
			var args []struct{ N int }
			if r.Name != "n" {
				continue
			}
			if err := json.Unmarshal([]byte(r.Text), &args); err != nil || len(args) != 1 {
				t.Fatalf("%s: event %s: %v", c.id, r.Text, err)
			}
			numbers = append(numbers, args[0].N)
		}
		if err := missing(accepted[:before], numbers); err != nil {
			t.Errorf("%s: %v", c.id, err)
		}
		for _, n := range numbers {
			heard[n]++
		}
	}
	t.Logf("%d events accepted, %d of them while clients left", len(accepted), len(accepted)-before)
	if !slices.ContainsFunc(handed, func(n int) bool { return n > 0 && n < len(all) }) {
		t.Errorf("no event was accepted when some had left: they were handed to %v", handed)
	}
	if !slices.Equal(heard, handed) {
		t.Errorf("events were heard by %v, and handed to %v", heard, handed)
	}
}
