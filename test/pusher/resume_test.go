package pusher_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestResumePlugin has stock pusher-js, and Echo on top of it, with the plugin of
// examples/pusher: what is sent while they are away they get when they are back, once and in
// order, behind what they had.
func TestResumePlugin(t *testing.T) {
	each(t, []string{"PUSHER_HISTORY=5m", "PUSHER_CLIENT_EVENTS=on"}, func(t *testing.T, s *server, d *driver, w way) {
		more := map[string]any{"resume": true}
		if !w.browser {
			more["echo"] = "pusher"
		}
		c := d.open(s, w, w.name, "1", more)
		c.wait("connected", "", 1)
		suffix := strings.ReplaceAll(w.name, " ", "-")
		public, private, presence := "news-"+suffix, "private-"+suffix, "presence-"+suffix
		channels := []string{public, private, presence}
		c.join(channels...)
		if !w.browser {
			c.op("listen", "kind", "private", "channel", suffix, "event", ".e")
		}
		n := 0
		send := func(more ...any) {
			t.Helper()
			for _, channel := range channels {
				args := append([]any{channel, "e", map[string]any{"n": n}}, more...)
				if r := d.call("trigger", args...); r.Name != "200" {
					t.Fatalf("trigger: %+v", r)
				}
			}
			n++
		}
		look := func() {
			t.Helper()
			for _, channel := range channels {
				got := c.events(channel, "e", n)
				for i, text := range got {
					if text != fmt.Sprintf(`{"n":%d}`, i) {
						t.Fatalf("%s: event %d is %s, of %s", channel, i, text, got)
					}
				}
				if len(got) > n {
					t.Fatalf("%s: %d events, want %d", channel, len(got), n)
				}
			}
		}
		send()
		look()
		// Outside a browser pusher-js takes each of these for an unclean end, and gives its one
		// transport up after the second.
		rounds := 1
		if w.browser {
			rounds = 3
		}
		for round := 2; round < 2+rounds; round++ {
			c.op("disconnect")
			c.wait("state", "disconnected", round-1)
			send()
			send()
			// Its own event is not for it, though it has another socket now.
			before := n
			for _, channel := range channels {
				d.call("trigger", channel, "e", "its own", map[string]any{"socket_id": c.connections(round - 1)[round-2]})
			}
			n = before
			c.op("connect")
			c.connections(round)
			look()
			send()
			look()
		}
		// Cut off without a word of the page, while events come.
		connected := 1 + rounds
		for w.browser && connected < 6 {
			connected++
			c.op("cut")
			for range 5 {
				send()
			}
			c.connections(connected)
			send()
			look()
		}
		if !w.browser {
			d.wait(c.id, "echo", ".e", suffix, n)
		}
		if failed := d.seen(c.id, "channel", "pusher:resume_failed", ""); len(failed) > 0 {
			t.Errorf("not resumed: %+v", failed)
		}
		if w.version == "4" {
			c.op("disconnect")
			return // it would not come back a third time
		}
		// The server begins anew: the page is told.
		s.stop()
		s.launch()
		c.connections(connected + 1)
		for _, channel := range channels {
			if got := c.events(channel, "pusher:resume_failed", 1); !strings.Contains(got[0], "stream_reset") {
				t.Errorf("%s: %s", channel, got)
			}
		}
		n = 0
		c.op("disconnect")
	})
}
