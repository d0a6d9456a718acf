package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// stream asks for events as a proxy does for somebody, and returns the answer.
func (r *running) stream(t *testing.T, version, from, header string) *http.Response {
	t.Helper()
	nc, err := net.Dial("tcp", r.client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(nc, "GET /events?room=a HTTP/%s\r\nHost: test\r\nX-Forwarded-For: %s\r\n%s\r\n", version, from, header)
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{res.Body, nc}
	return res
}

// Streams count for the network that a proxy saw, as WebSockets do, and give their places
// back. One too many is told to come again, in words that do not have a browser give up,
// wherever its connection stands.
func TestStreamsAreBounded(t *testing.T) {
	const from, origin = "192.0.2.1", "Origin: https://a.example\r\n"
	const wants = origin + "Accept: text/event-stream\r\n"
	allowed := func(res *http.Response) bool { // else a browser would not let the page see it
		return res.Header.Get("Access-Control-Allow-Origin") == "https://a.example"
	}
	r := run(t, map[string]string{"TRUSTED_PROXIES": "127.0.0.1", "MAX_CONNECTIONS_PER_ADDRESS": "2"}, nil)
	for _, version := range []string{"1.1", "1.0"} {
		var open []*http.Response
		for range 2 {
			res := r.stream(t, version, from, wants)
			if res.StatusCode != 200 || res.Header.Get("X-Accel-Buffering") == "" {
				t.Fatalf("HTTP/%s: %v", version, res)
			}
			open = append(open, res)
		}
		res := r.stream(t, version, from, wants)
		if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 || string(text) != "retry: 5000\n\n: too many connections\n\n" || !allowed(res) {
			t.Errorf("HTTP/%s: one too many is answered %v %q, %v", version, res, text, err)
		}
		res = r.stream(t, version, from, origin)
		if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "5" ||
			strings.TrimSpace(string(text)) != `{"error":"too many connections"}` || !allowed(res) {
			t.Errorf("HTTP/%s: who is no EventSource is answered %v %q, %v", version, res, text, err)
		}
		if res := r.stream(t, version, "192.0.2.2", wants); res.Header.Get("X-Accel-Buffering") == "" {
			t.Errorf("HTTP/%s: somebody else is answered %v", version, res)
		} else {
			open = append(open, res)
		}
		for _, res := range open {
			_ = res.Body.Close()
		}
		until(t, "no stream", func() bool { return r.scrape(t).sum("poosh_clients", `transport="sse"`) == 0 })
	}
	// Who is one too many is answered before it is counted.
	var many, aside float64
	defer func() {
		if t.Failed() {
			t.Logf("%v were counted as too many, want 4; %v are not on the loop", many, aside)
		}
	}()
	until(t, "all are counted and gone", func() bool {
		m := r.scrape(t)
		many, aside = m.sum("poosh_connection_errors_total", `error_type="too many connections for a stream"`), m.sum("poosh_goroutine_connections")
		return many == 4 && aside == 0
	})
}

// Streams end with the server, paced as the rest, and nothing of them is left.
func TestStreamsAreDrained(t *testing.T) {
	r := run(t, map[string]string{"HISTORY": "1m"}, nil)
	res := r.stream(t, "1.1", "192.0.2.1", "")
	r.stop()
	text, err := io.ReadAll(res.Body)
	if err != nil || !strings.HasSuffix(string(text), "event: poosh:closed\ndata: {\"reason\":\"server shutdown\"}\n\n") {
		t.Errorf("it ended with %q, %v", text, err)
	}
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}
