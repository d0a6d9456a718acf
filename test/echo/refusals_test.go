package echo

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
)

// However the application says it, or does not: a page is in a channel only after a yes, is
// told a status where it is not, and everybody else goes on.
func TestApplicationMisbehaves(t *testing.T) {
	s := start(t, "ECHO_AUTH_TIMEOUT=3s")
	b := newBroadcaster(t, s.redis, prefix)
	p := open(t, s.URL(), "echo-2", "sio-4.8.1", 1)
	for _, row := range []struct {
		kind, name string
		status     int
	}{
		{"private", "refused", 403}, {"private", "expired", 419}, {"private", "redirected", 302}, {"private", "login-page", 403},
		{"private", "rubbish", 403}, {"private", "false", 403}, {"private", "broken", 500}, {"private", "endless", 403}, {"private", "cut", 0}, {"private", "hangs", 0},
		{"presence", "refused", 403}, {"presence", "redirected", 302}, {"presence", "login-page", 403}, {"presence", "nobody", 403}, {"presence", "hangs", 0},
	} {
		channel := row.kind + "-" + row.name
		p.join(row.kind, row.name, ".said")
		p.wants(fmt.Sprintf(`["subscription_error",%q,%d]`, channel, row.status))
		b.send(broadcast{Channels: []string{channel}, Event: "said", Data: "not for it"}) // or the next that it says is this
		asked := s.app.requests(channel)
		if len(asked) == 0 {
			t.Fatalf("the application was not asked about %s", channel)
		}
		if r := asked[0]; r.PostFormValue("socket_id") != p.id || r.Header.Get("X-Requested-With") != "XMLHttpRequest" || r.Header.Get("Authorization") != "Bearer 1" {
			t.Errorf("%s: it was asked with %v %v", channel, r.PostForm, r.Header)
		}
	}
	p.join("private", "slow")
	p.hears(b, "slow", "private-slow")
	p.tell([]any{"ping"})
	p.wants(`["pong"]`) // and it has heard nothing of what it is not in
	redistest.Until(t, "the log tells of answers that are no yes and no no", func() bool {
		return strings.Contains(s.Log(), "reason=no_json") && strings.Contains(s.Log(), "reason=redirected")
	})
	if strings.Contains(s.Log(), "Bearer") {
		t.Errorf("a header of a page is in the log")
	}
}

// An application that hangs for one channel costs others nothing, and a page that leaves
// meanwhile is not let in afterwards.
func TestApplicationHangs(t *testing.T) {
	s := start(t, "ECHO_AUTH_TIMEOUT=5m", "ECHO_AUTH_CONCURRENCY=8")
	b := newBroadcaster(t, s.redis, prefix)
	p, other := open(t, s.URL(), "echo-1", "sio-2.5.0", 1), open(t, s.URL(), "echo-2", "sio-4.8.1", 2)
	for n := range 20 {
		// Each is a question of its own that does not end: Echo would ask once for a channel.
		p.tell([]any{"emit", "subscribe", map[string]any{"channel": "private-hangs"}})
		redistest.Until(t, "the application is asked", func() bool { return len(s.app.requests("private-hangs")) == n+1 })
		p.tell([]any{"emit", "unsubscribe", map[string]any{"channel": "private-hangs"}})
	}
	redistest.Until(t, "questions of who has left end", func() bool {
		for _, r := range s.app.requests("private-hangs") {
			if r.Context().Err() == nil {
				return false
			}
		}
		return true
	})
	p.tell([]any{"emit", "subscribe", map[string]any{"channel": "presence-hangs"}})
	redistest.Until(t, "it is asked about another channel", func() bool { return len(s.app.requests("presence-hangs")) == 1 })
	other.join("private", "fine")
	other.hears(b, "fine", "private-fine")
	p.tell([]any{"close"})
	redistest.Until(t, "the question of a page that closed ends", func() bool {
		return s.app.requests("presence-hangs")[0].Context().Err() != nil
	})
}

// Cookies are those of the handshake; a page decides neither them nor the host, nor who it
// seems to come from.
func TestWhatThePageDecides(t *testing.T) {
	s := start(t)
	p := open(t, s.URL(), "echo-1", "sio-4.8.1", 7, "transportOptions", `{"websocket":{"extraHeaders":{"Cookie":"user=9"}}}`, "auth",
		`{"headers":{"X-CSRF-TOKEN":"csrf","X-Tenant":"t","Host":"evil","Cookie":"user=1","X-Forwarded-For":"1.1.1.1","X_Forwarded_For":"1.1.1.1","X-Real-IP":"1.1.1.1","X-HTTP-Method-Override":"GET","Content-Type":"text/plain","Content-Length":"3","Connection":"close"}}`)
	p.join("presence", "room")
	p.wants(fmt.Sprintf(`["here","room",[%s]]`, ann(9)))
	r := s.app.requests("presence-room")[0]
	for name, want := range map[string]string{"X-Csrf-Token": "csrf", "X-Tenant": "t", "Cookie": "user=9", "X-Forwarded-For": "", "X_forwarded_for": "", "X-Real-Ip": "", "X-Http-Method-Override": "", "Content-Type": "application/x-www-form-urlencoded", "Connection": ""} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if want := strings.TrimPrefix(strings.TrimSuffix(s.app.url, "/broadcasting/auth"), "http://"); r.Host != want || r.Method != http.MethodPost {
		t.Errorf("%s %s, want %s", r.Method, r.Host, want)
	}
	p.tell([]any{"emit", "subscribe", map[string]any{"channel": "private-x", "auth": map[string]any{"headers": map[string]any{"X-A": "a\r\nHost: evil"}}}})
	p.wants(`["subscription_error","private-x",400]`)
	p.join("private", "after")
	redistest.Until(t, "it is asked on", func() bool { return len(s.app.requests("private-after")) == 1 })
	if list := s.app.requests("private-x"); list != nil {
		t.Errorf("a header with the end of a line was sent: %v", list[0].Header)
	}
}
