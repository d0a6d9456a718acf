package socketio

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// each runs a test where polls wait on the loop, and in memory, where they wait on
// goroutines.
func each(t *testing.T, cfg Config, test func(*site)) {
	t.Run("on the loop", func(t *testing.T) { test(serve(t, cfg)) })
	t.Run("on goroutines", func(t *testing.T) { still(t, cfg, test) })
}

// The answer to a handshake is the open packet alone, and 40 the whole answer to the
// next GET: clients written for 1.x read one packet of a payload.
func TestOpenPacketAlone(t *testing.T) {
	each(t, Config{}, func(s *site) {
		for _, query := range []string{"EIO=2", "EIO=3", "", "EIO=3&b64=1", "EIO=3&j=7", "EIO=3&j=0&b64=1"} {
			p := s.poll(query)
			take(s.T, s.connected, "the client to be connected")
			p.want("40")
			p.post("1")
			take(s.T, s.closed, "its end")
		}
		p := s.poll("EIO=4")
		p.post("40")
		p.want(`40{"sid":"...`)
	})
}

// On a WebSocket both come at once, in two messages.
func TestOpenWebSocket(t *testing.T) {
	s := serve(t, Config{})
	for _, query := range []string{"EIO=2", "EIO=3", ""} {
		s.dial(query).want("0{...", "40")
	}
	ws := s.dial("EIO=4")
	ws.want("0{...")
	ws.say("40")
	ws.want(`40{"sid":"...`)
}

func TestPollHeaders(t *testing.T) {
	s := serve(t, Config{})
	p := s.poll("EIO=3")
	if got, want := p.first.header.Get("Set-Cookie"), "io="+p.sid+"; Path=/; HttpOnly; SameSite=Lax"; got != want {
		t.Errorf("the cookie is %q, want %q", got, want)
	}
	for name, a := range map[string]answer{
		"handshake":    p.first,
		"poll":         s.ask("GET", p.query, ""),
		"POST":         s.ask("POST", p.query, "1:2"),
		"JSONP":        s.ask("GET", p.query+"&j=1", ""),
		"error":        s.ask("GET", "transport=polling&sid=x", ""),
		"preflight":    s.ask("OPTIONS", p.query, ""),
		"no transport": s.ask("GET", "", ""),
	} {
		if got := a.header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options is %q", name, got)
		}
	}
}

func TestOrigins(t *testing.T) {
	const listed = "https://a.example"
	s := serve(t, Config{Origins: []string{listed, "http://b.example:8080", "null"}})
	live := s.poll("EIO=3")
	requests := map[string][2]string{
		"handshake": {"GET", "transport=polling&EIO=3"},
		"preflight": {"OPTIONS", live.query},
		"poll":      {"GET", live.query},
		"POST":      {"POST", live.query},
	}
	for origin, ok := range map[string]bool{
		"": true, listed: true, "HTTPS://A.example": true, "http://b.example:8080": true, "null": true,
		"http://a.example": false, "https://a.example:8443": false, "https://a.example.evil": false, "http://b.example": false, "*": false,
	} {
		header := []string{}
		if origin != "" {
			header = append(header, "Origin: "+origin)
		}
		for _, name := range []string{"handshake", "preflight", "POST", "poll"} {
			if name == "poll" {
				live.post("2") // so that there is an answer
			}
			body := ""
			if name == "POST" {
				body = "1:2"
			}
			a := s.ask(requests[name][0], requests[name][1], body, header...)
			switch {
			case ok && a.status != 200:
				t.Errorf("%s from %q: %d %s", name, origin, a.status, a.body)
			case !ok && (a.status != 403 || !strings.HasPrefix(a.body, `{"error":`) || a.header.Get("Access-Control-Allow-Origin") != ""):
				t.Errorf("%s from %q: %d %s %v, want 403 that the page cannot read", name, origin, a.status, a.body, a.header)
			}
		}
		ws, err := s.tryDial("EIO=3", header...)
		if ok != (err == nil) || !ok && err.Error() != "status 403" {
			t.Errorf("WebSocket from %q: %v", origin, err)
		}
		if ws != nil {
			_ = ws.Close()
		}
	}
	if s.server.Stats().Refused["origin refused"] == 0 {
		t.Error("refused origins are not counted")
	}
	for _, all := range [][]string{nil, {"*"}, {listed, "*"}} {
		s := serve(t, Config{Origins: all})
		if a := s.ask("GET", "transport=polling", "", "Origin: http://any.example"); a.status != 200 {
			t.Errorf("%q: %d", all, a.status)
		}
	}
}

// A script names no origin, but its page.
func TestOriginsOfScripts(t *testing.T) {
	const listed = "https://a.example"
	s := serve(t, Config{Origins: []string{listed}})
	for referer, ok := range map[string]bool{listed + "/page?x": true, listed: true, "": false, "https://evil.example/": false, "%zz:nonsense": false} {
		header := []string{}
		if referer != "" {
			header = append(header, "Referer: "+referer)
		}
		if a := s.ask("GET", "transport=polling&EIO=3&j=0", "", header...); ok != (a.status == 200) {
			t.Errorf("JSONP of %q: %d %s", referer, a.status, a.body)
		}
	}
}

// A client that the library does not connect is not kept, and its handshake is
// answered all the same.
func TestLibraryThatDoesNotConnect(t *testing.T) {
	still(t, Config{ConnectTimeout: 300 * time.Millisecond}, func(s *site) {
		t := s.T
		began := time.Now()
		p := s.poll("EIO=3")
		p.post(`42["room","x"]`) // waits
		ws := s.dial("EIO=3")
		if took := time.Since(began); took > 250*time.Millisecond {
			t.Errorf("the handshakes took %v", took)
		}
		ws.want("0{...")
		if _, code := ws.ended(); code == 0 {
			t.Error("no close frame")
		}
		eventually(t, "the sessions to end", func() bool { return s.sessions() == 0 })
		p.gone()
		if got := s.server.Stats().Ended[reasonFailed.String()]; got != 2 {
			t.Errorf("%d sessions ended with %s, want 2", got, reasonFailed)
		}
	}, neverJoins)
}

// Sessions of both transports count by network: an IPv6 one by its /64.
func TestBoundsByNetwork(t *testing.T) {
	var a addresses
	a.counts = make(map[address]tally)
	a.bound(Config{MaxSessionsPerAddress: 2, MaxUnfinishedPerAddress: 1})
	srv := &Server{}
	srv.rules.Store(&rules{})
	type answer struct {
		bound turnedAway
		ok    bool
	}
	for i, want := range []answer{{ok: true}, {bound: refusedUnfinished}, {ok: true}, {bound: refusedAddress}} {
		s := srv.newSession(requestFrom(fmt.Sprintf("[2001:db8:0:1::%d]:80", i+1)))
		if bound, ok := a.enter(s.address, i < 2); (answer{bound, ok}) != want {
			t.Errorf("session %d: %v, %v, want %v", i, bound, ok, want)
		}
	}
	other := srv.newSession(requestFrom("[2001:db8:0:2::1]:80"))
	if bound, ok := a.enter(other.address, true); !ok {
		t.Errorf("another network: %v", bound)
	}
}
