package pusher_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// A page whose places are not of this log, or are of a later time, is told so of each channel, by
// its reason, and of no other; it is given nothing, and goes on from there: what is sent while it
// is away the next time it has.
func TestResumeFromElsewhere(t *testing.T) {
	s := start(t, "PUSHER_HISTORY=5m")
	d := drive(t, s)
	const good, later, far, foreign, nothing = "good", "private-later", "presence-far", "foreign", "nothing"
	all := []string{good, later, far, foreign, nothing}
	send := func(data string) {
		t.Helper()
		for _, channel := range all {
			if r := d.call("trigger", channel, "e", data); r.Name != "200" {
				t.Fatalf("trigger: %+v", r)
			}
		}
	}
	var pages []*client
	for _, w := range ways {
		more := map[string]any{"resume": true, "activityTimeout": activity.Milliseconds(), "activity_timeout": activity.Milliseconds()}
		c := d.open(s, w, w.name, "1", more)
		c.wait("connected", "", 1)
		c.join(all...)
		pages = append(pages, c)
	}
	send("had")
	for _, c := range pages {
		for _, channel := range all {
			d.wait(c.id, "channel", "e", channel, 1)
		}
	}
	for _, c := range pages {
		c.op("place of", "channel", later)
		var place struct {
			StreamID string `json:"stream_id"`
			Serial   uint64
		}
		if text := d.wait(c.id, "place of", "", later, 1)[0].Text; json.Unmarshal([]byte(text), &place) != nil || place.Serial == 0 {
			t.Fatalf("%s is at %s", c.id, text)
		}
		// The log does not get that far while it is away.
		c.op("place", "channel", later, "place", map[string]any{"serial": place.Serial + 1000})
		c.op("place", "channel", far, "place", map[string]any{"serial": uint64(1)<<53 - 1})
		other := strings.Map(func(r rune) rune { // each digit is another one
			if i := strings.IndexRune("0123456789abcdef", r); i >= 0 {
				return rune("123456789abcdef0"[i])
			}
			return r
		}, place.StreamID)
		c.op("place", "channel", foreign, "place", map[string]any{"stream_id": other})
		c.op("place", "channel", nothing, "place", map[string]any{"stream_id": "nothing"})
	}
	again(pages, 1, func() { send("missed") })
	for _, c := range pages {
		for channel, code := range map[string]string{
			later: "continuity_unverifiable", far: "continuity_unverifiable", foreign: "stream_reset", nothing: "stream_reset",
		} {
			if got := c.driver.wait(c.id, "channel", "pusher:resume_failed", channel, 1)[0].Text; !strings.Contains(got, code) {
				t.Errorf("%s: %s was told %s, want %s", c.id, channel, got, code)
			}
		}
	}
	send("since")
	for _, c := range pages {
		for _, channel := range all {
			want := `"had" "since"`
			if channel == good {
				want = `"had" "missed" "since"`
			}
			d.wait(c.id, "channel", "e", channel, strings.Count(want, " ")+1)
			if got := strings.Join(c.events(channel, "e", 2), " "); got != want {
				t.Errorf("%s has in %s %s, want %s", c.id, channel, got, want)
			}
		}
	}
	again(pages, 2, func() { send("again") })
	for _, c := range pages {
		for _, channel := range all {
			n := 3
			if channel == good {
				n = 4
			}
			if got := c.driver.wait(c.id, "channel", "e", channel, n); len(got) != n || got[n-1].Text != `"again"` {
				t.Errorf("%s: after a failure it has in %s %v", c.id, channel, got)
			}
			failed := 1
			if channel == good {
				failed = 0
			}
			if got := d.seen(c.id, "channel", "pusher:resume_failed", channel); len(got) != failed {
				t.Errorf("%s: %s was told %+v", c.id, channel, got)
			}
		}
	}
}
