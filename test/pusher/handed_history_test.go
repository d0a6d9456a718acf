package pusher_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A survivor is a client that is there when the server ends.
type survivor struct {
	*client
	channels []string
}

// survivor opens a client of the plugin in a channel of each kind.
func (d *driver) survivor(s *server, w way, at *door, name string) *survivor {
	d.t.Helper()
	c := d.open(s, w, w.name+" "+name, "1", map[string]any{"resume": true, "wsPort": at.Port})
	c.wait("connected", "", 1)
	v := &survivor{c, []string{"news", "private-news", "presence-news"}}
	c.join(v.channels...)
	return v
}

// hasAll waits for n events in each channel, and wants them once and in order.
func (v *survivor) hasAll(n int) {
	v.t.Helper()
	for _, channel := range v.channels {
		got := v.events(channel, "e", n)
		for i, text := range got {
			if i >= n || text != fmt.Sprint(i) {
				v.t.Fatalf("%s has in %s %s, want %d events from 0 on", v.id, channel, got, n)
			}
		}
	}
}

// TestResumeOverARestart has stock pusher-js with the plugin of examples/pusher live through
// restarts of a server whose history goes on, and which keeps nothing but Pusher's: what was sent
// before the end and after the start is there once and in order, for who was connected and for
// who was away. After an end that left nothing the page is told.
func TestResumeOverARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	s := start(t, "PUSHER_HISTORY=10m", "HISTORY_FILE="+file)
	d, at := drive(t, s), newDoor(t, s.port)
	n := 0
	send := func() {
		t.Helper()
		for _, channel := range []string{"news", "private-news", "presence-news"} {
			if r := d.call("trigger", channel, "e", n); r.Name != "200" {
				t.Fatalf("trigger: %+v", r)
			}
		}
		n++
	}
	var there, away, all []*survivor
	for _, w := range ways {
		there, away = append(there, d.survivor(s, w, at, "there")), append(away, d.survivor(s, w, at, "away"))
	}
	all = append(append(all, there...), away...)
	send()
	for _, v := range all {
		v.hasAll(n)
	}
	for _, v := range away {
		v.op("disconnect")
		v.wait("state", "disconnected", 1)
	}
	send()
	at.shut(func() {
		s.stop()
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text[:min(len(text), 80)]), " left\n") {
			t.Fatalf("the file is %.80q, %v", text, err)
		}
		s.launch()
	})
	send() // while those who were there find back, too
	for _, v := range away {
		v.op("connect")
	}
	for _, v := range all {
		v.connections(2)
		v.hasAll(n)
	}
	send()
	for _, v := range all {
		v.hasAll(n)
		if failed := d.seen(v.id, "channel", "pusher:resume_failed", ""); len(failed) > 0 {
			t.Errorf("%s is not resumed: %+v", v.id, failed)
		}
		v.op("disconnect")
	}
	// Outside a browser pusher-js gives its one transport up after a second unclean end: these
	// are new pages.
	told := []*survivor{d.survivor(s, ways[0], at, "told"), d.survivor(s, ways[len(ways)-1], at, "told")}
	at.shut(func() {
		s.crash()
		s.launch()
	})
	for _, v := range told {
		v.connections(2)
		for _, channel := range v.channels {
			if got := v.events(channel, "pusher:resume_failed", 1); !strings.Contains(got[0], "stream_reset") {
				t.Errorf("%s: %s", channel, got)
			}
		}
		v.op("disconnect")
	}
}
