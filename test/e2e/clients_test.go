package e2e

import (
	"slices"
	"testing"
)

// Every version of the client connects in every way, is understood whatever the
// names of its rooms are, and is given what the sender posted.
func TestNodeClients(t *testing.T) {
	s := start(t, roomy...)
	d := drive(t, "node.js")
	var all []*client
	for _, version := range versions {
		for _, way := range []string{"polling", "websocket", "upgrade"} {
			all = append(all, d.open(opening{
				Version: version, Way: way, URL: s.clientURL(),
				Listen: []string{"text", "awkward", "everyone"},
				Rooms:  append(roomsOf(version, way), version, "joined"),
			}))
		}
	}
	for _, c := range all {
		c.wait(t, "connect", 1)
		if c.way == "upgrade" {
			c.wait(t, "upgrade", 1)
		}
	}
	// Joins of a client count in order, so those before its last one count too.
	s.waitRoom(t, "joined", len(all))
	checkTexts(t, s, all)

	for _, c := range all {
		for _, kind := range []string{"disconnect", "error"} {
			if seen := c.seen(kind); len(seen) > 0 {
				t.Errorf("%s: %s %q", c.id, kind, seen[0].Text)
			}
		}
	}
	for _, c := range all {
		c.close()
	}
	s.waitRoom(t, "joined", 0)
}

// A client of protocol 4 that takes its time before it asks for the namespace connects
// once, without an error, and stays: silence is not enough to be taken for an old one.
func TestSlowClientsOfProtocol4(t *testing.T) {
	s := start(t, "PING_INTERVAL=1s", "PING_TIMEOUT=4s")
	d := drive(t, "node.js")
	var all []*client
	for _, version := range []string{"3.1.3", "4.0.1", "4.8.1"} {
		for _, way := range []string{"websocket", "polling", "upgrade"} {
			all = append(all, d.open(opening{
				Version: version, Way: way, URL: s.clientURL(), Listen: []string{"e"}, Rooms: []string{"slow"}, AuthDelay: 2500,
			}))
		}
	}
	for _, c := range all {
		c.wait(t, "connect", 1)
	}
	s.waitRoom(t, "slow", len(all))
	s.silentOnesAreGone(t)
	s.waitRoom(t, "slow", len(all))
	s.send(t, "slow", "e", "1")
	for _, c := range all {
		c.events(t, "e", 1)
		if n := len(c.seen("connect")); n != 1 {
			t.Errorf("%s connected %d times", c.id, n)
		}
		for _, kind := range []string{"disconnect", "error"} {
			if seen := c.seen(kind); len(seen) > 0 {
				t.Errorf("%s: %s %q", c.id, kind, seen[0].Text)
			}
		}
	}
}

// roomsOf is the awkward rooms a client can name. What Node's 1.0.6 says over
// websocket is UTF-8 twice although its handshake promises once (EIO=3), so that
// one cannot be told from a client that means it.
func roomsOf(version, way string) []string {
	if version == "1.0.6" && way != "polling" {
		return asciiRooms()
	}
	return slices.Clone(awkwardRooms)
}

// checkTexts sends to each awkward room and every awkward payload and checks who
// gets what. The clients listen to text, awkward and everyone.
func checkTexts(t *testing.T, s *server, all []*client) {
	t.Helper()
	for i, room := range awkwardRooms {
		want := 0
		for _, c := range all {
			if slices.Contains(c.rooms, room) {
				want++
			}
		}
		if got := s.send(t, room, "text", quote(room)); got != want {
			t.Errorf("room %d %q: handed to %d connections, want %d", i, room, got, want)
		}
	}
	for _, p := range append(awkwardPayloads, large()) {
		if got := s.send(t, "joined", "awkward", p.json); got != len(all) {
			t.Errorf("%s: handed to %d connections, want %d", p.name, got, len(all))
		}
	}
	if got := s.broadcast(t, "everyone", `"all"`); got != len(all) {
		t.Errorf("without a room: handed to %d connections, want %d", got, len(all))
	}
	for _, c := range all {
		// The last send is the last to arrive.
		c.events(t, "everyone", 1)
		rooms := slices.DeleteFunc(slices.Clone(awkwardRooms), func(room string) bool {
			return !slices.Contains(c.rooms, room)
		})
		texts := c.events(t, "text", len(rooms))
		for i, room := range rooms {
			if canonical(texts[i]) != canonical("["+quote(room)+"]") {
				t.Errorf("%s: event %d of its rooms says %s, want %q", c.id, i, texts[i], room)
			}
		}
		for i, p := range append(awkwardPayloads, large()) {
			checkEvent(t, c, "awkward", i+1, p)
		}
	}
}
