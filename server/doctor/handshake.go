package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// A session is one of Engine.IO 4 that polls, as a browser has it: with the cookies that it
// was given. It is for one goroutine.
type session struct {
	x       *exam
	id      string
	cookies map[string]string
	due     bool // a heartbeat came that has no answer yet
}

// separator stands between the packets of an answer (engine.io-protocol 4).
const separator = "\x1e"

// handshake asks for a session.
func (x *exam) handshake(ctx context.Context, r request) (*session, Timing, answer) {
	a := x.ask(ctx, r)
	id, t, ok := openPacket(a.body)
	if a.err != nil || a.status != http.StatusOK || !ok {
		return nil, t, a
	}
	s := &session{x: x, id: id, cookies: make(map[string]string)}
	s.remember(a)
	return s, t, a
}

// openPacket reads the packet that begins a session.
func openPacket(text string) (id string, t Timing, ok bool) {
	text, _, _ = strings.Cut(text, separator)
	var open struct {
		SID                                   string `json:"sid"`
		PingInterval, PingTimeout, MaxPayload int64
	}
	if !strings.HasPrefix(text, "0{") || json.Unmarshal([]byte(text[1:]), &open) != nil || open.SID == "" {
		return "", t, false
	}
	const longest = 24 * 60 * 60 * 1000
	t.Interval = time.Duration(min(max(open.PingInterval, 0), longest)) * time.Millisecond
	t.Timeout = time.Duration(min(max(open.PingTimeout, 0), longest)) * time.Millisecond
	t.MaxPayload = int(min(max(open.MaxPayload, 0), 1<<30))
	return open.SID, t, true
}

// ask makes a request of the session.
func (s *session) ask(ctx context.Context, r request) answer {
	q := url.Values{"sid": {s.id}}
	for name, values := range r.query {
		q[name] = values
	}
	r.query = q
	r.header = s.x.withCookies(r.header, s.cookies)
	a := s.x.ask(ctx, r)
	s.remember(a)
	return a
}

func (s *session) post(ctx context.Context, packet string) answer {
	return s.ask(ctx, request{method: http.MethodPost, body: packet})
}

// remember keeps the cookies of an answer.
func (s *session) remember(a answer) {
	if a.err != nil {
		return
	}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		s.cookies[c.Name] = c.Value
	}
}

func (x *exam) withCookies(h http.Header, cookies map[string]string) http.Header {
	if len(cookies) == 0 {
		return h
	}
	var all []string
	for name, value := range cookies {
		all = append(all, name+"="+value)
	}
	if h = h.Clone(); h == nil {
		h = make(http.Header)
	}
	h.Set("Cookie", strings.Join(all, "; "))
	return h
}

// close ends the session, if somebody is there who knows it.
func (s *session) close(ctx context.Context) { s.post(ctx, "1") }

// open is the first handshake: what it is answered with says most of what may be wrong. It
// reports false when nothing more can be looked at.
func (x *exam) open(ctx context.Context) (*session, bool) {
	s, t, a := x.handshake(ctx, request{})
	if s == nil {
		x.fault(refusedHandshake(a), "the handshake of a polling client, GET "+x.at(nil).Path+": "+a.what()+location(a))
		x.skip("everything else of socket.io", "there is no handshake")
		return nil, false
	}
	x.mu.Lock()
	x.timing = t
	x.mu.Unlock()
	x.good(fmt.Sprintf("handshake: a heartbeat every %s, messages of %d bytes", t.Interval, t.MaxPayload))
	return s, true
}

// location is where a redirect leads to, without the query: what a client has signed its
// address with may be in there.
func location(a answer) string {
	to, _, _ := strings.Cut(a.header.Get("Location"), "?")
	if to != "" {
		return " to " + clip(to)
	}
	return ""
}

// refusedHandshake names what a handshake was answered with.
func refusedHandshake(a answer) string {
	says, ours := a.ours()
	switch {
	case a.err != nil:
		return "no-answer"
	case a.status >= 300 && a.status < 400:
		return "redirect"
	case a.hasCode(codeTransport):
		return "query-lost"
	case ours && says.Code == nil && (a.status == http.StatusOK || a.status == http.StatusNotFound):
		return "path-rewritten" // the server's own words for who comes to another path
	case ours && a.status != http.StatusNotFound:
		return "server-refuses"
	case a.status == http.StatusNotFound, a.status == http.StatusGone:
		return "path-not-passed"
	case a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable, a.status == http.StatusGatewayTimeout:
		return "upstream-down"
	case a.status >= 200 && a.status < 300:
		return "other-content"
	}
	return "proxy-refuses"
}
