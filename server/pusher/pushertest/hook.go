package pushertest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"poosh/auth"
	"poosh/server/pusher"
)

// A Hook stands for the address of a webhook of [App].
type Hook struct {
	t      testing.TB
	url    string
	answer func(*http.Request) int

	mu     sync.Mutex // guards events
	events []string
}

// NewHook starts an address that answers with what answer says, or 200. It ends with
// the test; a request that is still open then ends before.
func NewHook(t testing.TB, answer func(*http.Request) int) *Hook {
	h := &Hook{t: t, answer: answer}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// Webhook is what an app's configuration says of the address.
func (h *Hook) Webhook() pusher.Webhook {
	return pusher.Webhook{URL: h.url, Headers: map[string]string{"X-Mine": "1"}}
}

// ServeHTTP takes one request, whose signature must be good.
func (h *Hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the server was cut off
	}
	var sent struct {
		TimeMS int64             `json:"time_ms"`
		Events []json.RawMessage `json:"events"`
	}
	if r.Header.Get("X-Pusher-Signature") != auth.PusherSign(Secret, string(body)) || r.Header.Get("X-Pusher-Key") != Key ||
		r.Header.Get("X-Mine") != "1" || json.Unmarshal(body, &sent) != nil || sent.TimeMS == 0 {
		h.t.Errorf("a webhook with %v: %s", r.Header, body)
	}
	h.mu.Lock()
	for _, e := range sent.Events {
		h.events = append(h.events, string(e))
	}
	h.mu.Unlock()
	if h.answer != nil {
		w.WriteHeader(h.answer(r))
	}
}

// Events is what has come, in its order.
func (h *Hook) Events() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.events...)
}

// All is Events as one text.
func (h *Hook) All() string { return strings.Join(h.Events(), " ") }
