package pusher_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestResumePluginIsSmall: pages load it.
func TestResumePluginIsSmall(t *testing.T) {
	source, err := os.ReadFile("../../examples/pusher/resume.js")
	if err != nil {
		t.Fatal(err)
	}
	source = regexp.MustCompile(`(?m)^ *(//.*)?`).ReplaceAll(source, nil)
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(source)
	_ = w.Close()
	if n := packed.Len(); n > 1024 {
		t.Errorf("the plugin takes %d bytes, compressed and without comments", n)
	}
}

// TestResumePlugin has stock pusher-js, and Echo on top of it, with the plugin of
// examples/pusher: what is sent while they are away they get when they are back, once and in
// order, behind what they had.
func TestResumePlugin(t *testing.T) {
	eachOf(t, slices.Concat(ways, between), []string{"PUSHER_HISTORY=5m", "PUSHER_CLIENT_EVENTS=on"}, func(t *testing.T, s *server, d *driver, w way) {
		resumeBesideAnother(t, s, d, w)
		if w.browser { // which is cut off as often as one likes
			resumeBeforeAnything(t, s, d, w)
		}
		more := map[string]any{"resume": true}
		if !w.browser {
			more["echo"] = "pusher"
		}
		c := d.open(s, w, w.name, "1", more)
		c.wait("connected", "", 1)
		suffix := strings.ReplaceAll(w.name, " ", "-")
		public, private, presence, sealed := "news-"+suffix, "private-"+suffix, "presence-"+suffix, "private-encrypted-"+suffix
		channels := []string{public, private, presence, sealed}
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
		c.op("disconnect")
		// The server begins anew: the page is told. The oldest and a browser have to do. It is a
		// page that has lost no connection yet.
		if w.version != "4" && !w.browser {
			return
		}
		at := newDoor(t, s.port)
		more["wsPort"] = at.Port
		c = d.open(s, w, w.name+" later", "1", more)
		c.wait("connected", "", 1)
		c.join(channels...)
		at.shut(func() {
			s.stop()
			s.launch()
		})
		c.connections(2)
		for _, channel := range channels {
			if got := c.events(channel, "pusher:resume_failed", 1); !strings.Contains(got[0], "stream_reset") {
				t.Errorf("%s: %s", channel, got)
			}
		}
		c.op("disconnect")
	})
}

// resumeBeforeAnything has a page cut off twice before anything has come on its connection, when
// it has subscribed, and when it does not know yet whether it may: what it sent on these is not
// for it on the next one either.
func resumeBeforeAnything(t *testing.T, s *server, d *driver, w way) {
	t.Helper()
	at := newDoor(t, s.port)
	c := d.open(s, w, w.name+" cut off early", "1", map[string]any{"resume": true, "wsPort": at.Port})
	c.wait("connected", "", 1)
	const channel = "private-early"
	c.join(channel)
	send := func(data string, more ...any) {
		t.Helper()
		if r := d.call("trigger", append([]any{channel, "e", data}, more...)...); r.Name != "200" {
			t.Fatalf("trigger: %+v", r)
		}
	}
	own := func(connection int) {
		t.Helper()
		send("its own", map[string]any{"socket_id": c.connections(connection)[connection-1]})
	}
	send("1")
	c.events(channel, "e", 1)
	own(1)
	at.mutes.Store(1)
	c.op("cut")
	own(2)
	eventually(t, "the page to subscribe", func() bool { return at.mutes.Load() == 0 })
	send("2")
	d.do(map[string]any{"op": "ignore"})
	c.op("cut")
	own(3)
	d.wait("", "ignored", channel, "", 1)
	send("3")
	c.op("cut")
	c.connections(4)
	send("4")
	c.events(channel, "e", 4)
	send("5")
	if got := strings.Join(c.events(channel, "e", 5), " "); got != "1 2 3 4 5" {
		t.Errorf("it received %s", got)
	}
	c.op("disconnect")
}

// resumeBesideAnother has two clients of one class in one page, both away: each goes on where it
// was itself. A channel that the page gave up meanwhile, and enters again later, is a new one, and
// of channels that it gave up for good nothing stays behind. Events to the user are no channel of
// the page's, and go on too.
func resumeBesideAnother(t *testing.T, s *server, d *driver, w way) {
	t.Helper()
	a := d.open(s, w, w.name+" first", "1", map[string]any{"resume": true})
	a.wait("connected", "", 1)
	b := d.open(s, w, w.name+" second", "2", map[string]any{"resume": true, "page": a.id})
	b.wait("connected", "", 1)
	both := []*client{a, b}
	suffix := strings.ReplaceAll(w.name, " ", "-")
	shared, given := "shared-"+suffix, "given-up-"+suffix
	n := 0
	send := func(channel string) {
		t.Helper()
		n++
		if r := d.call("trigger", channel, "e", n); r.Name != "200" {
			t.Fatalf("trigger: %+v", r)
		}
	}
	look := func(want ...string) {
		t.Helper()
		for _, c := range both {
			if got := c.events(shared, "e", len(want)); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Fatalf("%s: %s, want %s", c.id, got, want)
			}
		}
	}
	for _, c := range both {
		c.join(shared, given)
	}
	brief := []string{"brief-1-" + suffix, "brief-2-" + suffix}
	a.join(brief...)
	for _, channel := range brief {
		send(channel)
		a.events(channel, "e", 1)
	}
	a.op("unsubscribe", "channel", brief[0])
	signsIn := w.version >= "7"
	user := func(event string) {
		t.Helper()
		if r := d.call("sendToUser", "1", event, "x"); r.Name != "200" {
			t.Fatalf("sendToUser: %+v", r)
		}
	}
	if signsIn {
		a.op("signin")
		eventually(t, "the user's own channel", func() bool {
			user("ready")
			return len(d.seen(a.id, "user", "ready", "")) > 0
		})
	}
	n = 0
	send(shared)
	look("1")
	a.op("disconnect")
	a.wait("state", "disconnected", 1)
	send(shared) // which b sees
	b.events(shared, "e", 2)
	b.op("disconnect")
	b.wait("state", "disconnected", 1)
	send(shared)
	a.op("unsubscribe", "channel", given)
	a.op("unsubscribe", "channel", brief[1])
	send(given)
	if signsIn {
		user("missed")
	}
	for _, c := range both {
		c.op("connect")
		c.connections(2)
	}
	look("1", "2", "3")
	if signsIn {
		a.wait("user", "missed", 1)
	}
	a.op("subscribe", "channel", given)
	d.wait(a.id, "channel", "pusher:subscription_succeeded", given, 2)
	send(given)
	if got := a.events(given, "e", 1); got[0] != "5" {
		t.Errorf("of a channel that was given up: %s", got)
	}
	if got := b.events(given, "e", 2); strings.Join(got, " ") != "4 5" {
		t.Errorf("of a channel that was kept: %s", got)
	}
	send(shared)
	look("1", "2", "3", "6")
	a.op("places")
	kept := given + " " + shared
	of, at := kept, kept
	if signsIn {
		of, at = "#server-to-user-1 "+of, "#server-to-user-1 "+at
	}
	if got, want := a.wait("places", "", 1)[0].Text, marshal([]string{of, at}); got != want {
		t.Errorf("the plugin remembers %s, want %s", got, want)
	}
	for _, c := range both {
		if failed := d.seen(c.id, "channel", "pusher:resume_failed", ""); len(failed) > 0 {
			t.Errorf("%s is not resumed: %+v", c.id, failed)
		}
		c.op("disconnect")
	}
}
