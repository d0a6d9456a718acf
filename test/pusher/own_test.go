package pusher_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestOwnEventsOfABriefConnection has a page that resumes leave as soon as it is connected: no
// channel has been answered, and to ask for the private one it still waits for its signature.
// What was sent for all but that connection is its own, and does not come on the next one.
func TestOwnEventsOfABriefConnection(t *testing.T) {
	s := start(t, "PUSHER_HISTORY=5m")
	d := drive(t, s)
	send := func(data, except string) {
		t.Helper()
		for _, channel := range []string{"news", "private-news"} {
			args := []any{channel, "e", data}
			if except != "" {
				args = append(args, map[string]any{"socket_id": except})
			}
			if r := d.call("trigger", args...); r.Name != "200" {
				t.Fatalf("trigger: %+v", r)
			}
		}
	}
	var all []*client
	for _, w := range ways {
		more := map[string]any{"resume": true, "leaves": 2, "activityTimeout": activity.Milliseconds(), "activity_timeout": activity.Milliseconds()}
		c := d.open(s, w, w.name, "1", more)
		c.wait("connected", "", 1)
		c.join("news", "private-news")
		all = append(all, c)
	}
	send("had", "")
	time.Sleep(3 * activity) // or outside a browser pusher-js gives its transport up
	want := []string{`"had"`}
	for _, c := range all {
		for _, channel := range []string{"news", "private-news"} {
			c.events(channel, "e", 1)
		}
		c.op("disconnect")
		c.wait("state", "disconnected", 1)
		c.op("connect")
		c.wait("state", "disconnected", 2)
	}
	for i, c := range all {
		send(fmt.Sprint("of ", i), c.connections(2)[1])
		want = append(want, fmt.Sprintf(`"of %d"`, i))
	}
	send("last", "")
	want = append(want, `"last"`)
	for _, c := range all {
		c.op("connect")
	}
	for i, c := range all {
		others := slices.Delete(slices.Clone(want), i+1, i+2)
		for _, channel := range []string{"news", "private-news"} {
			c.driver.wait(c.id, "channel", "e", channel, len(others))
			if got := c.events(channel, "e", len(others)); !slices.Equal(got, others) {
				t.Errorf("%s has in %s %s, want %s", c.id, channel, got, others)
			}
		}
		c.op("disconnect")
	}
}
