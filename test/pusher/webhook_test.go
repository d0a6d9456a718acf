package pusher_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A hook is one request that a webhook got.
type hook struct {
	header http.Header
	body   string
	at     time.Time
}

// A hookSite takes webhooks.
type hookSite struct {
	*httptest.Server
	mu     sync.Mutex
	hooks  []hook
	answer func(n int) int // the status of request n, from 1 on
}

func newHookSite(t *testing.T) *hookSite {
	h := &hookSite{answer: func(int) int { return 200 }}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		h.hooks = append(h.hooks, hook{r.Header, string(body), time.Now()})
		status := h.answer(len(h.hooks))
		h.mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hookSite) all() []hook {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.hooks)
}

// events is what the requests told, sorted, since channels are not in one order.
func (h *hookSite) events() []string {
	var list []string
	for _, one := range h.all() {
		var body struct{ Events []json.RawMessage }
		_ = json.Unmarshal([]byte(one.body), &body)
		for _, e := range body.Events {
			list = append(list, string(e))
		}
	}
	slices.Sort(list)
	return list
}

// TestWebhooks has every type of event reach the application, and the libraries
// believe its signature.
func TestWebhooks(t *testing.T) {
	site := newHookSite(t)
	s := start(t, "PUSHER_WEBHOOK_URL="+site.URL+"/hook", "PUSHER_CLIENT_EVENTS=on", "PUSHER_SUBSCRIPTION_COUNT=on")
	d := drive(t, s)
	a := d.dial(s, ways[2], "a", "1")
	a.join("cache-c", "presence-c", "private-c")
	a.op("trigger", "channel", "presence-c", "event", "client-e", "data", map[string]any{"x": 1})
	socket := a.connections(1)[0]
	eventually(t, "the client event", func() bool { return strings.Contains(strings.Join(site.events(), ""), "client_event") })
	a.op("disconnect")
	want := []string{
		`{"name":"channel_occupied","channel":"cache-c"}`, `{"name":"channel_occupied","channel":"presence-c"}`, `{"name":"channel_occupied","channel":"private-c"}`,
		`{"name":"cache_miss","channel":"cache-c"}`,
		`{"name":"member_added","channel":"presence-c","user_id":"1"}`,
		`{"name":"subscription_count","channel":"cache-c","subscription_count":1}`, `{"name":"subscription_count","channel":"private-c","subscription_count":1}`,
		`{"name":"client_event","channel":"presence-c","event":"client-e","data":"{\"x\":1}","socket_id":"` + socket + `","user_id":"1"}`,
		`{"name":"member_removed","channel":"presence-c","user_id":"1"}`,
		`{"name":"channel_vacated","channel":"cache-c"}`, `{"name":"channel_vacated","channel":"presence-c"}`, `{"name":"channel_vacated","channel":"private-c"}`,
	}
	slices.Sort(want)
	eventually(t, "the channels to be vacated", func() bool { return len(site.events()) >= len(want) })
	if got := site.events(); !slices.Equal(got, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, one := range site.all() {
		headers := map[string]string{}
		for k, v := range one.header {
			headers[strings.ToLower(k)] = v[0]
		}
		d.calls++
		id := fmt.Sprint("hook ", d.calls)
		d.do(map[string]any{"op": "webhook", "id": id, "headers": headers, "body": one.body})
		if r := d.wait(id, "reply", "", "", 1)[0]; r.Name != "true" {
			t.Errorf("the Node library does not believe %s", one.body)
		}
	}
	one := site.all()[0]
	if got := callGo(t, s, "webhook", map[string]any{"header": one.header, "body": one.body}); !strings.Contains(got, `"name":"channel_occupied"`) && !strings.Contains(got, `"Name":"channel_occupied"`) {
		t.Errorf("the Go library says %s of %s", got, one.body)
	}
	if out, err := exec.Command("php", "sender.php", s.settings(nil), "webhook", one.body).Output(); err != nil || string(out) != marshal(one.header.Get("X-Pusher-Signature")) {
		t.Errorf("PHP signs %s with %s, %v", one.body, out, err)
	}
	if got := callPython(t, s, "validate_webhook", one.header.Get("X-Pusher-Key"), one.header.Get("X-Pusher-Signature"), one.body); !strings.Contains(got, "time_ms") {
		t.Errorf("the Python library says %s of %s", got, one.body)
	}
	if got := callPython(t, s, "validate_webhook", one.header.Get("X-Pusher-Key"), one.header.Get("X-Pusher-Signature"), one.body+" "); got != "null" {
		t.Errorf("the Python library believes a changed body: %s", got)
	}
}

// TestWebhookFaults has an address that fails at first, one that is dead, and a
// filter; none of that is in the way of events.
func TestWebhookFaults(t *testing.T) {
	flaky, filtered := newHookSite(t), newHookSite(t)
	flaky.answer = func(n int) int {
		if n < 3 {
			return 503
		}
		return 200
	}
	file := filepath.Join(t.TempDir(), "apps.json")
	config := `{"apps":[{"id":"4","key":"k4","secret":"another-secret"},{"id":"5","key":"hooked","secret":"` + appSecret + `","webhooks":[
		{"url":"` + flaky.URL + `","event_types":["channel_occupied"]},
		{"url":"http://127.0.0.1:1/dead"},
		{"url":"` + filtered.URL + `","channel_prefix":"presence-","headers":{"X-Mine":"1"},"batch":true}]}]}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "PUSHER_APPS="+file, "SHUTDOWN_TIMEOUT=2s")
	d := drive(t, s)
	c := d.open(s, ways[2], "a", "1", nil)
	d.do(map[string]any{"op": "open", "id": "other app", "version": "8", "key": "hooked", "options": map[string]any{
		"wsHost": "127.0.0.1", "wsPort": s.port, "forceTLS": false, "enabledTransports": []string{"ws"}, "cluster": "mt1"}})
	hooked := &client{d, "other app", "8"}
	c.wait("connected", "", 1)
	hooked.wait("connected", "", 1)
	hooked.join("x")
	eventually(t, "the third try", func() bool { return len(flaky.all()) == 3 })
	tries := flaky.all()
	if tries[0].body != tries[2].body || tries[0].header.Get("X-Pusher-Signature") != tries[2].header.Get("X-Pusher-Signature") {
		t.Error("the tries differ")
	}
	if wait := tries[1].at.Sub(tries[0].at); wait < 400*time.Millisecond {
		t.Errorf("tried again after %s", wait)
	}
	if n := len(filtered.all()); n != 0 {
		t.Errorf("a filter lets %d through", n)
	}
	// All the while, events flow.
	c.join("news")
	if r := d.call("trigger", "news", "e", "x"); r.Name != "200" {
		t.Errorf("%+v", r)
	}
	c.events("news", "e", 1)
}
