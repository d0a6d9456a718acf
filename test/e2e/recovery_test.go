package e2e

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// With SOCKETIO_RECOVERY=on pages that know nothing of it get connection state recovery: those of
// socket.io 4.6 and newer are who they were, and miss nothing. Those of 3.x and 4.x before see one
// argument more, and those of 1.x and 2.x see nothing of it.
func TestRecoveryForEveryClient(t *testing.T) {
	s := start(t, "HISTORY=2m", "SOCKETIO_RECOVERY=on", "MAX_CONNECTIONS_PER_ADDRESS=10000", "PING_INTERVAL=5s", "PING_TIMEOUT=20s", "UPGRADE_TIMEOUT=60s")
	cutter := newScissors(t, addr(s.clientPort))
	d := drive(t, "node.js")
	open := func(url, version, way string) *client {
		return d.open(opening{Version: version, Way: way, URL: url, Listen: []string{"n"}, Rooms: []string{"a", "b"}})
	}
	var back, more, old []*client
	for _, version := range []string{"4.6.2", "4.8.1"} {
		for _, way := range []string{"polling", "upgrade"} { // by WebSocket alone it may ask too late on a loaded machine
			back = append(back, open(cutter.url(), version, way))
		}
	}
	for _, version := range []string{"3.1.3", "4.0.1", "4.5.4"} {
		more = append(more, open(s.clientURL(), version, "polling"))
	}
	for _, version := range []string{"1.0.6", "1.3.4", "1.7.4", "2.5.0"} {
		old = append(old, open(s.clientURL(), version, "polling"))
	}
	s.waitRoom(t, "b", len(back)+len(more)+len(old))
	// A client that is cut off in the middle of an upgrade finds that out by its heartbeat.
	upgraded := func(times int) {
		for _, c := range back {
			if c.way == "upgrade" {
				c.wait(t, "upgrade", times)
			}
		}
	}
	n := 0
	send := func() {
		for range 6 {
			s.send(t, []string{"a", "b"}[n%2], "n", fmt.Sprint(n))
			n++
		}
	}
	const rounds = 3
	for round := range rounds {
		upgraded(1 + round)
		send()
		cutter.without(send)
		send()
		for _, c := range back {
			c.events(t, "n", n)
		}
	}
	looks := func(list []*client, end string) {
		t.Helper()
		for _, c := range list {
			got := c.events(t, "n", n)
			for i, text := range got {
				if !strings.HasPrefix(text, fmt.Sprintf("[%d%s", i, end)) {
					t.Errorf("%s: event %d is %s", c.id, i, text)
					break
				}
			}
			if len(got) > n {
				t.Errorf("%s: %d events, want %d", c.id, len(got), n)
			}
		}
	}
	looks(back, `,"`)
	looks(more, `,"`)
	looks(old, "]")
	for _, c := range back {
		connections := 1 // at the least: who polls may be between two polls whenever it is cut off
		if c.way == "upgrade" {
			connections++
		}
		states := c.wait(t, "state", connections)
		sid := c.wait(t, "connect", len(states))[0].SID
		for i, r := range c.seen("connect")[:len(states)] {
			if state := states[i].Text; r.SID != sid || state != fmt.Sprint(i > 0) {
				t.Errorf("%s: connection %d is that of %s, recovered %s; it was %s", c.id, i, r.SID, state, sid)
			}
		}
	}
}

// A page that asks by auth, and connects by WebSocket alone, asks in its first packet: it has a
// second for that. Where the machine stood still for so long, another one is tried.
func TestRecoveryByAuthOverWebSocket(t *testing.T) {
	s := start(t, "HISTORY=2m")
	d := drive(t, "node.js")
	for _, version := range []string{"4.6.2", "4.8.1"} {
		for try := 1; ; try++ {
			cutter, room := newScissors(t, addr(s.clientPort)), fmt.Sprint(version, "-", try)
			c := d.open(opening{Version: version, Way: "websocket", URL: cutter.url(), Listen: []string{"n"}, Rooms: []string{room}, Options: map[string]any{"auth": map[string]any{"recovery": true}}})
			s.waitRoom(t, room, 1)
			s.send(t, room, "n", "0")
			if text := c.events(t, "n", 1)[0]; text == "[0]" && try < 5 {
				c.close()
				continue // it was too late
			}
			cutter.without(func() {
				s.send(t, room, "n", "1")
				s.send(t, room, "n", "2")
			})
			for i, text := range c.events(t, "n", 3) {
				if !strings.HasPrefix(text, fmt.Sprintf(`[%d,"`, i)) {
					t.Errorf("%s: event %d is %s", c.id, i, text)
				}
			}
			if states, hello := c.wait(t, "state", 2), c.wait(t, "connect", 2); states[1].Text != "true" || hello[0].SID != hello[1].SID {
				t.Errorf("%s: was %s, is %s, recovered %s", c.id, hello[0].SID, hello[1].SID, states[1].Text)
			}
			break
		}
	}
}

// Who asks from a place that there is not yet, or from one of another log, is told that something
// may be missing, and gets what comes from then on.
func TestPlacesThatAreNone(t *testing.T) {
	s := start(t, "HISTORY=2m")
	d := drive(t, "node.js")
	first := d.open(opening{Version: "4.8.1", Way: "websocket", URL: s.clientURL(), Listen: []string{"n"}, Since: []string{"a"}})
	first.wait(t, "recovered", 1)
	s.send(t, "a", "n", "0")
	_, position, _ := strings.Cut(strings.TrimSuffix(first.events(t, "n", 1)[0], `"]`), `,"`)
	epoch, _, found := strings.Cut(position, "-")
	if !found {
		t.Fatalf("the position is %q", position)
	}
	places := map[string]string{"of the future": epoch + "-0000100000", "of another log": "0000000001-0000000001", "none": "yesterday"}
	for name, place := range places {
		for _, version := range []string{"1.3.4", "2.5.0", "4.8.1"} {
			room := version + " " + name
			c := d.open(opening{Version: version, Way: "polling", URL: s.clientURL(), Listen: []string{"n", "poosh:recovered"}})
			c.wait(t, "connect", 1)
			c.emit("room", room, map[string]any{"since": place})
			if told := c.events(t, "poosh:recovered", 1)[0]; !strings.Contains(told, `"recovered":false`) || !strings.Contains(told, `"missed":0`) || !strings.Contains(told, `"id":"`+epoch) {
				t.Errorf("%s: of a place %s it is told %s", c.id, name, told)
			}
			s.send(t, room, "n", "1")
			if got := c.events(t, "n", 1)[0]; !strings.HasPrefix(got, `[1,"`+epoch) {
				t.Errorf("%s: behind a place %s it gets %s", c.id, name, got)
			}
			c.close()
		}
		curl := exec.Command("curl", "-sSN", "--max-time", fmt.Sprint(int(patience.Seconds())), "-H", "Last-Event-ID: "+place, s.clientURL()+"/events?room=curl")
		out, err := curl.StdoutPipe()
		if err == nil {
			err = curl.Start()
		}
		if err != nil {
			t.Fatalf("curl: %v: apt-get install curl", err)
		}
		told, got := "", ""
		for lines := bufio.NewScanner(out); got == "" && lines.Scan(); {
			switch text, is := strings.CutPrefix(lines.Text(), "data: "); {
			case !is:
			case told == "":
				told = text
				s.send(t, "curl", "n", "1")
			default:
				got = text
			}
		}
		_ = curl.Process.Kill()
		_ = curl.Wait()
		if !strings.Contains(told, `"recovered":false,"missed":0`) || got != "1" {
			t.Errorf("curl, from a place %s, is told %s, and gets %q", name, told, got)
		}
	}
}
