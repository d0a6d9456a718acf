package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"poosh/server/excerpt"
	"poosh/server/websocketclient"
)

// maxBody bounds an answer that is read, in bytes.
const maxBody = 1 << 20

// A request is one that a client of socket.io would make.
type request struct {
	method string     // empty for GET
	query  url.Values // transport and EIO are added
	header http.Header
	body   string
	local  func(net.Addr) // is told the address that it comes from; nil for nobody
	wait   time.Duration  // for the answer; 0 for oneStep
	h2     bool           // HTTP/2 may be spoken
}

// An answer is what came back. Nothing of it is kept open.
type answer struct {
	status int
	header http.Header
	body   string
	proto  int // the major version of HTTP
	took   time.Duration
	err    error // there is no answer, and the rest is zero
}

// ask makes a request on a connection of its own.
func (x *exam) ask(ctx context.Context, r request) answer {
	t := x.transport(r)
	defer t.CloseIdleConnections()
	return x.askOn(ctx, t, r)
}

func (x *exam) transport(r request) *http.Transport {
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := x.dial(ctx, network, addr)
			if err == nil && r.local != nil {
				r.local(c.LocalAddr())
			}
			return c, err
		},
		TLSClientConfig: x.blind(), TLSHandshakeTimeout: oneStep, DisableCompression: true,
		MaxResponseHeaderBytes: websocketclient.MaxHead,
	}
	if r.h2 {
		t.ForceAttemptHTTP2 = true
	} else {
		t.TLSNextProto = make(map[string]func(string, *tls.Conn) http.RoundTripper) // HTTP/1.1 alone
	}
	return t
}

func (x *exam) askOn(ctx context.Context, t http.RoundTripper, r request) answer {
	wait := r.wait
	if wait == 0 {
		wait = oneStep
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	method := r.method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, x.at(r.query).String(), body)
	if err != nil {
		return answer{err: err}
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.body != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	req.Header.Set("User-Agent", x.Agent)
	began := time.Now()
	res, err := t.RoundTrip(req)
	if err != nil {
		return answer{err: err, took: time.Since(began)}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	a := answer{status: res.StatusCode, header: res.Header, body: string(text), proto: res.ProtoMajor, took: time.Since(began), err: err}
	if err == nil && r.wait == 0 {
		x.note(a.took)
	}
	return a
}

// note keeps the quickest of all answers.
func (x *exam) note(took time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.quickest == 0 || took < x.quickest {
		x.quickest = took
	}
}

// at is where socket.io is, with a query.
func (x *exam) at(query url.Values) *url.URL {
	at := *x.URL
	at.Path = strings.TrimSuffix(at.Path, "/") + "/socket.io/"
	q := url.Values{"EIO": {"4"}, "transport": {"polling"}}
	for name, values := range query {
		q[name] = values
	}
	at.RawQuery = q.Encode()
	return &at
}

// A said is what the server says in a refusal.
type said struct {
	Code    *int   `json:"code"`
	Message string `json:"message"`
	Error   string `json:"error"`
}

// ours reports what an answer of Poosh itself says is wrong; false for an answer that is
// somebody else's.
func (a answer) ours() (said, bool) {
	var s said
	err := json.Unmarshal([]byte(a.body), &s)
	return s, err == nil && (s.Code != nil || s.Error != "" || s.Message != "")
}

// The codes of Engine.IO that matter here.
const (
	codeTransport = 0
	codeSession   = 1
)

func (a answer) hasCode(code int) bool {
	s, ok := a.ours()
	return ok && s.Code != nil && *s.Code == code
}

// what is what came, for people.
func (a answer) what() string {
	if a.err != nil {
		if isTimeout(a.err) {
			return "no answer in time"
		}
		if errors.Is(a.err, io.EOF) {
			return "the connection was closed without an answer"
		}
		return lastWord(a.err)
	}
	text := http.StatusText(a.status)
	if s, ok := a.ours(); ok {
		if text = s.Message; text == "" {
			text = s.Error
		}
	}
	by := ""
	if server := a.header.Get("Server"); server != "" {
		by = ", by " + clip(server)
	}
	return strings.TrimSpace(itoa(a.status)+" "+clip(text)) + by
}

// clip makes a stranger's text one that is no page.
func clip(text string) string { return bounded(text, 120) }

// bounded makes a text one line of at most so many bytes, and says that it was longer.
func bounded(text string, most int) string {
	return excerpt.Of(strings.Join(strings.Fields(text), " "), most)
}
