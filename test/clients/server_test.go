package clients_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/auth"
	"poosh/test/process"
)

// Heartbeats of every server here: small, and yet no trouble for a busy machine.
const (
	pingInterval = time.Second
	pingTimeout  = 5 * time.Second
)

const secret = "secret of the clients"

// A server is one running program whose Poosh dialect is in use.
type server struct {
	*process.Process
	senders int // SERVER_PORT
}

func start(t *testing.T, env ...string) *server {
	t.Helper()
	s := &server{senders: process.FreePort(t)}
	s.Process = process.Start(t, program, "CLIENT_PORT", append([]string{
		"SERVER_PORT=" + strconv.Itoa(s.senders), "SERVER_SECRET=" + secret,
		"PING_INTERVAL=" + pingInterval.String(), "PING_TIMEOUT=" + pingTimeout.String(),
		"LOG_LEVEL=debug", "SHUTDOWN_TIMEOUT=2s", "GORACE=halt_on_error=0 atexit_sleep_ms=0",
	}, env...)...)
	return s
}

// sender posts with connections that it keeps.
var sender = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Second}}

// trySend posts an event and returns how many connections it was handed to. payload
// is JSON, written as JavaScript would: the token is made of it.
func (s *server) trySend(room, event, payload string) (int, error) {
	body := `{"room":` + quote(room) + `,"event":` + quote(event) + `,"payload":` + payload + `}`
	r, err := http.NewRequest("POST", fmt.Sprintf("http://127.0.0.1:%d/send", s.senders), strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", auth.PooshSign(secret, []byte(payload)))
	resp, err := sender.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("POST /send: %s %s %w", resp.Status, text, err)
	}
	return strconv.Atoi(resp.Header.Get("X-Poosh-Delivered"))
}

// send is trySend to one connection that must be there.
func (s *server) send(t *testing.T, room, event, payload string) {
	t.Helper()
	n, err := s.trySend(room, event, payload)
	if err != nil {
		t.Fatal(err)
	}
	if n != 1 {
		t.Fatalf("an event for room %q was handed to %d connections, want 1", room, n)
	}
}

// waitRoom waits until n connections are in a room, asking with an event that no
// client listens for: a join has no answer that a client could wait for.
func (s *server) waitRoom(t *testing.T, room string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d connections in room %q", n, room), func() bool {
		got, err := s.trySend(room, "probe", "0")
		return err == nil && got == n
	})
}

var endReason = regexp.MustCompile(`msg="session closed".* reason=("[^"]*"|\S+)`)

// ends are the reasons that sessions ended for since the server was started last.
func (s *server) ends() []string {
	var reasons []string
	for _, m := range endReason.FindAllStringSubmatch(s.Log(), -1) {
		reasons = append(reasons, strings.Trim(m[1], `"`))
	}
	return reasons
}

// waitEnd waits until the server has no session and checks that all of them ended
// because their clients said so, and not because they fell silent or did wrong.
func (s *server) waitEnd(t *testing.T) {
	t.Helper()
	eventually(t, "the end of the session", func() bool { return s.Status()["sessions"] == 0 })
	// The log has its line a moment later.
	eventually(t, "the reason of the end", func() bool { return len(s.ends()) > 0 })
	reasons := s.ends()
	if slices.ContainsFunc(reasons, func(r string) bool { return r != "transport close" }) {
		t.Errorf("sessions ended for %q, want transport close", reasons)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

func quote(s string) string {
	q, err := json.Marshal(s)
	if err != nil {
		panic(err) // of a text that a test wrote
	}
	return string(q)
}

// same says whether two texts are JSON of the same value.
func same(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return reflect.DeepEqual(x, y)
}
