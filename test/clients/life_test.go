package clients_test

import (
	"strings"
	"testing"
	"time"
)

// Rooms that each client joins.
const (
	plainRoom   = "news"
	awkwardRoom = "комната é 漢字 😀 \"a\\b\""
)

// payloads are what is sent to them, JSON as JavaScript prints it.
var payloads = []struct{ name, json string }{
	{"text", `"é ü 漢字 😀 \\ \" end"`},
	{"nested", `{"a":[1,2.5,{"b":null,"c":[true,{}]}],"é":{"ключ":["ü",-3]}}`},
	{"long", `{"text":` + quote(strings.Repeat("abc é 漢 😀 ", 3600)) + `}`}, // 68 KB in UTF-8, 54 K characters
}

// Every client in each way it knows lives a whole life: it joins rooms, is given
// what is sent, keeps its heartbeats, comes back after a crash of the server and after
// a restart, and ends.
func TestLife(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind
		ways []string
	}{
		{socketIOClient, []string{"polling", "upgrade"}},
		{pythonSocketIO4, []string{"polling", "websocket", "upgrade"}},
		{pythonSocketIO5, []string{"polling", "websocket", "upgrade"}},
		{nkzawa, []string{"polling", "websocket", "upgrade"}},
		{java1, []string{"polling", "websocket", "upgrade"}},
		{java2, []string{"polling", "websocket", "upgrade"}},
		{rust, []string{"polling", "websocket", "upgrade"}},
	} {
		for _, way := range c.ways {
			t.Run(c.name+" "+way, func(t *testing.T) {
				t.Parallel()
				live(t, c.kind, way)
			})
		}
	}
}

func live(t *testing.T, k kind, way string) {
	s := start(t)
	d := drive(t, k, map[string]any{"url": s.URL(), "way": way, "rooms": []string{plainRoom, awkwardRoom}})
	d.wait("connect", 1)
	s.waitRoom(t, plainRoom, 1)
	s.waitRoom(t, awkwardRoom, 1)
	hear(t, s, d)
	transports(t, s, way)
	outlive(t, s, d)

	// As all of them did when the original was ended, whose connections were just gone.
	for i, end := range []func(){s.Kill, s.Terminate} {
		end()
		d.wait("disconnect", i+1)
		s.Restart()
		d.wait("connect", i+2)
		s.waitRoom(t, plainRoom, 1)
		s.waitRoom(t, awkwardRoom, 1)
	}
	hear(t, s, d)

	d.say("close")
	d.wait("closed", 1)
	if k.name == socketIOClient.name && way == "upgrade" {
		d.end() // it says that it ends in a way that counts on polling alone, and ends its connection with its process
	}
	s.waitEnd(t)
	d.end()
}

// hear sends each payload and checks that the client is given it.
func hear(t *testing.T, s *server, d *driver) {
	t.Helper()
	for _, p := range payloads {
		for _, room := range []string{plainRoom, awkwardRoom} {
			before := len(d.seen("event"))
			s.send(t, room, "news", p.json)
			if got := d.wait("event", before+1)[before]; !same(got, p.json) {
				t.Errorf("%s payload arrived as %.200s, want %.200s", p.name, got, p.json)
			}
		}
	}
}

// transports checks that the client uses the transport that it was told to.
func transports(t *testing.T, s *server, way string) {
	t.Helper()
	want := 1
	if way == "polling" {
		want = 0
	}
	eventually(t, "the client's transport", func() bool { return s.Status()["websockets"] == want })
}

// outlive waits longer than the silence that either side takes for the other's end,
// and checks that the session is still the same.
func outlive(t *testing.T, s *server, d *driver) {
	t.Helper()
	connects, disconnects := len(d.seen("connect")), len(d.seen("disconnect"))
	time.Sleep(pingInterval + pingTimeout + pingInterval/2)
	if ends := s.ends(); len(ends) > 0 {
		t.Errorf("in silence, sessions ended for %q", ends)
	}
	if n := len(d.seen("connect")); n != connects {
		t.Errorf("in silence, the client connected %d times more", n-connects)
	}
	if gone := d.seen("disconnect")[disconnects:]; len(gone) > 0 {
		t.Errorf("in silence, the client was disconnected: %q", gone)
	}
	s.waitRoom(t, plainRoom, 1)
}
