package socketio

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"poosh/server/http1"
	"poosh/server/quota"
)

// What is no request that a session is opened or reached by is told why.
func TestRefusals(t *testing.T) {
	still(t, Config{MaxPayload: 1000}, func(s *site) {
		p := s.poll("EIO=3")
		upgrade := []string{"Connection: Upgrade", "Upgrade: websocket"}
		for name, tt := range map[string]struct {
			method, query, body string
			header              []string
			status              int
			message             string
		}{
			"no transport":         {"GET", "EIO=3", "", nil, 400, "Transport unknown"},
			"two transports":       {"GET", "transport=polling&transport=polling", "", nil, 400, "Transport unknown"},
			"another transport":    {"GET", "transport=flashsocket", "", nil, 400, "Transport unknown"},
			"handshake by POST":    {"POST", "transport=polling", "x", nil, 400, "Bad handshake method"},
			"WebSocket by polling": {"GET", "transport=polling", "", upgrade, 400, "Bad request"},
			"polling by WebSocket": {"GET", "transport=websocket", "", nil, 400, "Bad request"},
			"no key":               {"GET", "transport=websocket", "", upgrade, 400, "Bad request"},
			"probe without a key":  {"GET", "transport=websocket&sid=" + p.sid, "", upgrade, 400, "Bad request"},
			"probe that is none":   {"GET", "transport=websocket&sid=" + p.sid, "", nil, 400, "Bad request"},
			"poll that is a probe": {"GET", p.query, "", upgrade, 400, "Bad request"},
			"another method":       {"PUT", p.query, "x", nil, 400, "Bad request"},
			"unknown session":      {"GET", "transport=polling&sid=x", "", nil, 400, "Session ID unknown"},
			"escaped unknown":      {"GET", "transport=polling&sid=x%20y", "", nil, 400, "Session ID unknown"},
		} {
			a := s.ask(tt.method, tt.query, tt.body, tt.header...)
			if a.status != tt.status || !strings.Contains(a.body, `"message":"`+tt.message+`"`) {
				t.Errorf("%s: %d %s, want %d %s", name, a.status, a.body, tt.status, tt.message)
			}
		}
		if a := s.ask("OPTIONS", p.query, "", "Access-Control-Request-Headers: X-Own"); a.header.Get("Access-Control-Allow-Headers") != "X-Own" {
			t.Errorf("a preflight got %v", a.header)
		}
		if a := s.ask("GET", "EIO=3", "", "User-Agent: Mozilla/5.0 (Trident/7.0)"); a.header.Get("X-XSS-Protection") != "0" {
			t.Errorf("an old browser got %v", a.header)
		}
		if p.want("40"); p.server.find(p.sid).RemoteAddr() == "" {
			t.Error("no address")
		}
		if a := p.ask("POST", p.query, "1001:"+strings.Repeat("x", 1001)); a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("too large a body was answered %d", a.status)
		}
		if got := take(t, s.closed, "the end"); got != reasonPacket.String() {
			t.Errorf("ended for %s", got)
		}
	})
}

// Bounds on sessions are met by an answer that names them and says when to come again.
func TestSessionBounds(t *testing.T) {
	for message, cfg := range map[string]Config{
		overloaded.Message: {MaxSessions: 1},
		tooMany.Message:    {MaxSessionsPerAddress: 1},
	} {
		still(t, cfg, func(s *site) {
			p := s.poll("EIO=3")
			p.want("40")
			a := s.ask("GET", "transport=polling&EIO=3", "")
			if a.status/100 == 2 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, message) {
				t.Errorf("%d %s %v, want %s", a.status, a.body, a.header, message)
			}
			if _, err := s.tryDial("EIO=3"); err == nil {
				t.Error("a WebSocket was let in")
			}
			p.post("1")
			take(s.T, s.closed, "the end")
			s.poll("EIO=3")
		})
	}
	still(t, Config{MaxUnfinishedPerAddress: 1}, func(s *site) {
		p := s.poll("EIO=3")
		if a := s.ask("GET", "transport=polling&EIO=3", ""); a.status != http.StatusTooManyRequests {
			t.Errorf("a second unfinished handshake: %d %s", a.status, a.body)
		}
		p.want("40") // it came back
		s.poll("EIO=3")
	})
}

// A body that breaks off ends the session; one that there is no room for does not.
func TestBodiesThatDoNotArrive(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		lives  bool
	}{
		{io.ErrUnexpectedEOF, 200, false}, // nobody reads it
		{fmt.Errorf("no room: %w", quota.ErrFull), 503, true},
	} {
		still(t, Config{}, func(s *site) {
			p := s.poll("EIO=3")
			p.want("40")
			session := s.server.find(p.sid)
			r := requestFrom("192.0.2.1:1")
			r.Method, r.Body = http.MethodPost, io.NopCloser(io.MultiReader(strings.NewReader("1:2"), failing{tt.err}))
			r.URL.RawQuery = p.query
			e := &exchange{header: make(http.Header), status: 200}
			s.server.ServeHTTP(e, r)
			if e.status != tt.status || session.isOpen() != tt.lives {
				t.Errorf("%v: %d, the session is open %v", tt.err, e.status, session.isOpen())
			}
		})
	}
}

// failing is a reader that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// An answer that cannot be written ends the session: its packets are lost.
func TestAnswerThatCannotBeWritten(t *testing.T) {
	still(t, Config{}, func(s *site) {
		p := s.poll("EIO=3")
		r := requestFrom("192.0.2.1:1")
		r.URL.RawQuery = p.query
		s.server.ServeHTTP(broken{&exchange{header: make(http.Header)}}, r)
		if got := take(s.T, s.closed, "the end"); got != reasonFailed.String() {
			t.Errorf("ended for %s", got)
		}
	})
}

// broken is the answer to a client that has gone.
type broken struct{ *exchange }

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// Where the client's script comes from.
func TestClientScript(t *testing.T) {
	file := filepath.Join(t.TempDir(), "socket.io.js")
	if err := os.WriteFile(file, []byte("script"), 0o600); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		"https://example.com/x.js": "302 https://example.com/x.js", file: "200 ", file + ".none": "404 ",
	} {
		srv := new(Server)
		srv.rules.Store(&rules{script: clientScript(source)})
		e := &exchange{header: make(http.Header), status: 200}
		r := requestFrom("192.0.2.1:1")
		r.URL.Path = scriptPath + ".map"
		if Where(r) != http1.Elsewhere || Where(requestFrom("")) != http1.Here {
			t.Error("a script is taken for a poll, or a poll for a script")
		}
		srv.ServeHTTP(e, r)
		if got := fmt.Sprint(e.status, " ", e.header.Get("Location")); got != want {
			t.Errorf("%q: %s, want %s", source, got, want)
		}
	}
}
