package e2e

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/auth"
)

// token is what the original README tells a sender to put into Authorization.
func token(payload string) string {
	return auth.PooshSign(secret, []byte(payload))
}

// body is the JSON a sender posts. room and event are texts to quote; payload is
// JSON as it stands.
func body(room, event, payload string) string {
	return `{"room":` + quote(room) + `,"event":` + quote(event) + `,"payload":` + payload + `}`
}

func quote(s string) string {
	q, _ := json.Marshal(s)
	return string(q)
}

// An answer is what the server said to a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// sender posts without following anything and with connections of its own.
var sender = &http.Client{
	Timeout:   patience,
	Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Second},
}

// post sends one request to /send and returns the answer.
func (s *server) post(t *testing.T, body, token string, header ...string) answer {
	t.Helper()
	a, err := s.tryPost(body, token, header...)
	if err != nil {
		t.Fatalf("POST /send: %v", err)
	}
	return a
}

// tryPost is post for goroutines and for servers that may be gone.
func (s *server) tryPost(body, token string, header ...string) (answer, error) {
	r, err := http.NewRequest("POST", s.serverURL()+"/send", strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := sender.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// send posts an event as a PHP sender does and returns how many connections the
// server says it handed the event to.
func (s *server) send(t *testing.T, room, event, payload string) int {
	t.Helper()
	return s.sendBody(t, body(room, event, payload), payload)
}

// broadcast is send without a room.
func (s *server) broadcast(t *testing.T, event, payload string) int {
	t.Helper()
	return s.sendBody(t, `{"event":`+quote(event)+`,"payload":`+payload+`}`, payload)
}

func (s *server) sendBody(t *testing.T, body, payload string) int {
	t.Helper()
	a := s.post(t, body, token(payload))
	if a.status != 200 || a.body != "" {
		t.Fatalf("POST /send %.200s: status %d, body %.200q; want 200 and nothing", body, a.status, a.body)
	}
	n, err := strconv.Atoi(a.header.Get("X-Poosh-Delivered"))
	if err != nil {
		t.Fatalf("POST /send: X-Poosh-Delivered is %q, want a number", a.header.Get("X-Poosh-Delivered"))
	}
	return n
}

// waitRoom waits until n connections are in a room, asking with an event that no
// test listens for: a join has no answer that a client could wait for.
func (s *server) waitRoom(t *testing.T, room string, n int) {
	t.Helper()
	var got string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		a := s.post(t, body(room, "probe", "0"), token("0"))
		if got = a.header.Get("X-Poosh-Delivered"); a.status == 200 && got == strconv.Itoa(n) {
			return
		}
	}
	t.Fatalf("waited %v for %d connections in room %q, there are %s", patience, n, room, got)
}
