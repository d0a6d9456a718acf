package socketio

import (
	"slices"
	"testing"
	"time"

	"poosh/server/closed"
	"poosh/server/websocket"
)

// While the 5 does not come, a client that polls again at once is answered ten times a
// second, as engine.io 1.5.1 does, and events are still delivered at once.
func TestPaceOfAnUpgradeThatHangs(t *testing.T) {
	still(t, Config{UpgradeTimeout: 2 * time.Second}, func(s *site) {
		p := s.poll("EIO=3")
		p.want("40")
		session := take(s.T, s.connected, "the client")
		ws := s.dial("sid=" + p.sid)
		first := p.waiting()
		ws.say("2probe")
		ws.want("3probe")
		if got := take(s.T, first, "the first GET"); !slices.Equal(got, []string{"6"}) {
			s.Errorf("the probe freed the GET with %q", got)
		}
		began, polls := time.Now(), 0
		for ; time.Since(began) < 900*time.Millisecond; polls++ {
			p.want("6")
		}
		if polls < 3 || polls > 10 {
			s.Errorf("%d answers of nothing in 0.9 s, want at most one in 100 ms", polls)
		}
		next := p.waiting()
		session.Deliver(EventFrame("e", nil))
		if got := take(s.T, next, "the event"); !slices.Equal(got, []string{`42["e",null]`}) && !slices.Equal(got, []string{"6"}) {
			s.Errorf("an event during the upgrade: %q", got)
		}
		if _, code := ws.ended(); code != websocket.ClosePolicy {
			s.Errorf("close code %d", code)
		}
		// Without the probe a GET waits again.
		last := p.waiting()
		select {
		case got := <-last:
			if !slices.Equal(got, []string{`42["e",null]`}) {
				s.Errorf("a GET after the probe was answered %q", got)
			}
		case <-time.After(2 * quiet):
		}
		if session.Protocol() != 3 || s.sessions() != 1 {
			s.Error("the session is gone")
		}
		session.Close(closed.Kicked, "over")
	})
}

// Of the first packet of a WebSocket that takes over only the first character counts.
func TestUpgradePackets(t *testing.T) {
	s := serve(t, Config{})
	for packet, ok := range map[string]bool{"5": true, "52": true, "5probe": true, "": false, "2": false, "2prob": false, "3": false, "6": false, "42[]": false} {
		p := s.poll("EIO=3")
		session := take(t, s.connected, "the client") // its 40 waits
		ws := s.dial("sid=" + p.sid)
		ws.say("2probe")
		ws.want("3probe")
		ws.say(packet)
		if !ok {
			if _, code := ws.ended(); code != websocket.CloseProtocol {
				t.Errorf("%q: close code %d", packet, code)
			}
			p.want("40")
			session.Close(closed.Kicked, "over")
			continue
		}
		ws.want("40")
		ws.say("2")
		ws.want("3")
		session.Deliver(EventFrame("e", nil))
		ws.want(`42["e",null]`)
		_ = ws.Close()
	}
}

// One WebSocket may try at a time, and one that took over is not tried against.
func TestSecondProbe(t *testing.T) {
	s := serve(t, Config{})
	p := s.poll("EIO=3")
	ws := s.dial("sid=" + p.sid)
	if _, err := s.tryDial("sid=" + p.sid); err == nil || err.Error() != "status 400" {
		t.Errorf("a second probe: %v", err)
	}
	ws.say("2probe", "5")
	ws.want("3probe", "40")
	if _, err := s.tryDial("sid=" + p.sid); err == nil || err.Error() != "status 400" {
		t.Errorf("a probe behind the change: %v", err)
	}
	if a := s.ask("GET", p.query, ""); a.status != 400 {
		t.Errorf("a GET behind the change was answered %d", a.status)
	}
	// A POST may have been under way.
	if a := p.post(`42["late"]`); a.status != 200 {
		t.Errorf("a POST behind the change was answered %d", a.status)
	}
	eventually(t, "its event", func() bool { return contains(s.heard(), "late") })
	// A session that never polled takes none: its id is no secret to those in its room.
	only := s.dial("EIO=3")
	open, _, err := only.next()
	if err != nil {
		t.Fatal(err)
	}
	q := &poller{site: s, eio: 3, query: "transport=polling&sid=" + openID(t, open)}
	if a := q.post(`42["foreign"]`); a.status != 400 {
		t.Errorf("a POST to a session that never polled was answered %d", a.status)
	}
	only.want("40")
	only.say("2")
	only.want("3")
	if contains(s.heard(), "foreign") {
		t.Error("a stranger's event was taken")
	}
}

// Who asks on and on on a WebSocket that may take over, and does not read, waits for itself as
// one does that has taken over.
func TestProbesOweTheirAnswers(t *testing.T) {
	s := serve(t, Config{Outbox: 32 << 20})
	p := s.poll("EIO=3")
	p.want("40")
	session := take(t, s.connected, "the client")
	ws := s.dial("EIO=3&sid=" + p.sid)
	eventually(t, "the probe", func() bool {
		session.mu.Lock()
		defer session.mu.Unlock()
		return session.probe != nil
	})
	conn := session.probe.conn
	if !conn.OnLoop() {
		t.Skip("connections with goroutines are always heard")
	}
	for event := EventFrame("e", make([]byte, 60_000)); conn.Waiting() < 4<<20; { // beyond what sockets hold
		if !conn.Push(event) {
			t.Fatal("refused")
		}
	}
	for range 1500 { // of 71 bytes each
		ws.say("2probe")
	}
	eventually(t, "100 KB to be owed, and nothing to be heard", func() bool {
		ws.say("2probe")
		return conn.Unheard()
	})
}
