package e2e

import (
	"fmt"
	"slices"
	"testing"
)

// browserVersions are the releases whose browser builds differ in what they ask
// of a server.
var browserVersions = []string{"1.0.6", "1.3.4", "1.4.8", "1.7.4", "2.5.0", "4.8.1"}

// Pages of another origin, in a real browser, with each build and in each way
// that it has: they join rooms with awkward names, are given what was posted,
// find the server again after a restart, and are gone when their tab is.
func TestBrowserClients(t *testing.T) {
	s := start(t, roomy...)
	d := drive(t, "browser.js")
	all := openPages(t, s, d)
	s.waitRoom(t, "joined", len(all))
	checkTexts(t, s, all)
	for _, c := range all {
		for _, kind := range []string{"disconnect", "error"} {
			if seen := c.seen(kind); len(seen) > 0 {
				t.Errorf("%s: %s %q", c.id, kind, seen[0].Text)
			}
		}
	}
	if t.Failed() {
		return
	}

	s.stop()
	for _, c := range all {
		if reason, want := c.wait(t, "disconnect", 1)[0].Text, farewell(c.id); reason != want {
			t.Errorf("%s: disconnect %q, want %s", c.id, reason, want)
		}
	}
	s.restart()
	for _, c := range all {
		c.wait(t, "connect", 2)
	}
	s.waitRoom(t, "joined", len(all))
	if got := s.broadcast(t, "everyone", `"again"`); got != len(all) {
		t.Errorf("after the restart: handed to %d connections, want %d", got, len(all))
	}
	for _, c := range all {
		if got := c.events(t, "everyone", 2)[1]; got != `["again"]` {
			t.Errorf("%s: after the restart it heard %s", c.id, got)
		}
	}

	// Nothing is sent meanwhile: a poll that is answered while its page goes away
	// leaves nothing to see that by.
	for _, c := range all {
		c.leave()
	}
	eventually(t, patience, "the sessions of the pages to end", func() bool { return s.status(t).sessions == 0 })
}

// openPages opens a page for each build and way and waits until each is as far
// as it gets.
func openPages(t *testing.T, s *server, d *driver) []*client {
	t.Helper()
	var all []*client
	for _, version := range browserVersions {
		for _, way := range []string{"polling", "websocket", "upgrade", "jsonp"} {
			if way == "jsonp" && version == "4.8.1" {
				continue // it has none
			}
			all = append(all, d.open(opening{
				Version: version, Way: way, URL: fmt.Sprintf("http://localhost:%d", s.clientPort),
				Listen: []string{"text", "awkward", "everyone"},
				Rooms:  append(slices.Clone(awkwardRooms), "joined"),
			}))
		}
	}
	for _, c := range all {
		c.wait(t, "connect", 1)
		if c.way == "upgrade" {
			c.wait(t, "upgrade", 1)
		}
	}
	return all
}
