package overview

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/metric"
)

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// readings are what a server says after so many seconds.
func readings(n int) []metric.Reading {
	by := func(name string, kind metric.Kind, samples ...metric.Sample) metric.Reading {
		return metric.Reading{Name: name, Kind: kind, Samples: samples}
	}
	return []metric.Reading{
		metric.Gauge("connections", "", "", 999), // the status line's, of another kind
		by("connections", metric.IsGauge, metric.Of(7, "client"), metric.Of(2, "sender")),
		by("connections_limit", metric.IsGauge, metric.Of(100, "client"), metric.Of(20, "sender")),
		by("connections_refused_total", metric.IsCounter, metric.Of(n, "client"), metric.Of(0, "sender")),
		by("clients", metric.IsGauge, metric.Of(4, "socket.io", "polling", "EIO3"), metric.Of(0, "pusher", "websocket", "protocol 7")),
		by("published_total", metric.IsCounter, metric.Of(10*n, "socket.io"), metric.Of(n, "pusher")),
		by("delivered_total", metric.IsCounter, metric.Of(20*n, "socket.io"), metric.Of(0, "pusher")),
		by("closed_total", metric.IsCounter, metric.Of(2*n, "socket.io", "ping timeout"), metric.Of(0, "socket.io", "kicked"), metric.Of(1, "pusher", "asked to close")),
		by("pusher_answers_total", metric.IsCounter, metric.Of(50*n, "200"), metric.Of(n, "401")),
		metric.Counter("held_back", "publications_held_back_total", "", 3),
		by("webhook_events_total", metric.IsCounter, metric.Of(n, "sent"), metric.Of(0, "retried")),
		metric.Gauge("", "webhook_queue_events", "", 5),
		metric.Counter("cpu_seconds", "", "", 0.5*float64(n)),
		metric.Gauge("fds", "open_files", "", -1),
		metric.Gauge("stuck_bytes", "stuck_bytes", "", 77),
		metric.Gauge("", "draining", "", 1),
	}
}

func TestOf(t *testing.T) {
	o := Of(Moment{began.Add(12 * time.Second), readings(12)}, Moment{began.Add(10 * time.Second), readings(10)})
	for name, row := range map[string]struct{ got, want any }{
		"clients":    {o.Connections.Clients, Sockets{7, 100, 12, 0}},
		"senders":    {o.Connections.Senders, Sockets{2, 20, 0, 0}},
		"by":         {o.Connections.By, []Kind{{"socket.io", "polling", "EIO3", 4}}},
		"sends":      {o.Traffic.Sends, Count{132, 11}},
		"deliveries": {o.Traffic.Deliveries, Count{240, 20}},
		"dialects": {o.Traffic.Dialects, []Dialect{{"socket.io", Count{120, 10}, Count{240, 20}, Count{}},
			{"pusher", Count{12, 1}, Count{}, Count{}}}},
		"closes":   {o.Closes, []Close{{"pusher", "asked to close", Count{1, 0}}, {"socket.io", "ping timeout", Count{24, 2}}}},
		"refusals": {o.Refusals, []Refusal{{"connections", "client", Count{12, 1}}, {"pusher api", "401", Count{12, 1}}, {"sends", "held back", Count{3, 0}}}},
		"webhooks": {o.Webhooks, &Webhooks{5, 0, []Outcome{{"sent", Count{12, 1}}}}},
		"cpu":      {o.Process.CPU, 0.5},
		"files":    {o.Process.OpenFiles, (*int)(nil)},
		"stuck":    {o.Waiting.Stuck, int64(77)},
		"draining": {o.Draining, true},
	} {
		if !reflect.DeepEqual(row.got, row.want) {
			t.Errorf("%s: %+v, want %+v", name, row.got, row.want)
		}
	}
	// The first moment has none before it, so nothing has a rate.
	if o := Of(Moment{began, readings(10)}, Moment{}); o.Traffic.Sends != (Count{110, 0}) || o.Process.CPU != 0 {
		t.Errorf("%+v", o.Traffic.Sends)
	}
	if o := Of(Moment{began, nil}, Moment{}); o.Webhooks != nil {
		t.Error("there are webhooks where there are none")
	}
}

// live is one that was told of some seconds.
func live(seconds int) *Live {
	l := New(Config{Version: "v1", Started: began, Apps: func() []App { return []App{{"pusher", "1", 3, 0}} }})
	for i := range seconds {
		l.Told(began.Add(time.Duration(i)*time.Second), readings(i))
	}
	return l
}

func TestServeOverview(t *testing.T) {
	w := httptest.NewRecorder()
	live(0).ServeOverview(w, nil)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("before the beginning: %d %s", w.Code, w.Body)
	}
	l := live(3)
	for range 5 {
		w = httptest.NewRecorder()
		l.ServeOverview(w, nil)
		var o Overview
		if err := json.Unmarshal(w.Body.Bytes(), &o); err != nil || w.Code != 200 || o.Uptime != 2 || o.Traffic.Sends.PerSecond != 11 || len(o.Connections.Apps) != 1 {
			t.Fatalf("%d %v %s", w.Code, err, w.Body)
		}
	}
	if l.made != 1 {
		t.Errorf("one second was written down %d times", l.made)
	}
}

// While what is asked for numbers is stuck, who asks is told what was last known.
func TestStuck(t *testing.T) {
	stuck, over := make(chan struct{}), make(chan struct{})
	l := live(2)
	l.cfg.Apps = func() []App { <-stuck; return nil }
	l.cfg.Latency = func() *Latency { return &Latency{Count: 7} }
	go func() {
		l.Told(began.Add(2*time.Second), readings(2))
		close(over)
	}()
	for range 2 {
		w := httptest.NewRecorder()
		l.ServeOverview(w, nil)
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"at":"2026-01-01T00:00:01Z"`) || !strings.Contains(w.Body.String(), `"latency":null`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	close(stuck)
	<-over
	w := httptest.NewRecorder()
	if l.ServeOverview(w, nil); !strings.Contains(w.Body.String(), `"latency":{"count":7,`) || !strings.Contains(w.Body.String(), `"apps":[]`) {
		t.Errorf("%s", w.Body)
	}
}

// streaming serves streams on a real server.
func streaming(t *testing.T, l *Live) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(l.ServeStream))
	t.Cleanup(s.Close)
	return s
}

// events reads a stream until it ends.
func events(t *testing.T, body io.Reader, each func(event, data string) bool) {
	t.Helper()
	event := ""
	for lines := bufio.NewScanner(body); lines.Scan(); {
		if name, found := strings.CutPrefix(lines.Text(), "event: "); found {
			event = name
		}
		if data, found := strings.CutPrefix(lines.Text(), "data: "); found && !each(event, data) {
			return
		}
	}
}

func open(t *testing.T, url string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// All who watch are handed the same bytes, made once; nothing is made for nobody; one more
// than may watch is told so; and the end is told to all.
func TestServeStream(t *testing.T) {
	l := live(10)
	if l.made != 0 {
		t.Errorf("%d were written down for nobody", l.made)
	}
	s := streaming(t, l)
	got := make(chan string, 4*MaxWatchers)
	for range MaxWatchers {
		res := open(t, s.URL)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatal(res.Status, res.Header)
		}
		go events(t, res.Body, func(event, data string) bool { // ends with the stream
			got <- event + " " + data
			return true
		})
	}
	if res := open(t, s.URL); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %s", res.Status)
	}
	all := func() string {
		t.Helper()
		one := <-got
		for range MaxWatchers - 1 {
			if other := <-got; other != one {
				t.Fatalf("they are told\n%s\n%s", one, other)
			}
		}
		return one
	}
	first := all()
	l.Told(began.Add(10*time.Second), readings(10))
	second := all()
	if l.made != 2 || first == second || !strings.HasPrefix(second, `overview {"at":"2026-01-01T00:00:10Z"`) {
		t.Errorf("%d were written down: %s", l.made, second)
	}
	l.Close()
	if end := all(); end != "end {}" {
		t.Errorf("the end is %q", end)
	}
	if res := open(t, s.URL); res.StatusCode != 503 {
		t.Errorf("after the end: %s", res.Status)
	}
}

// Who does not read is cut off, and nobody waits for it.
func TestSlowWatcher(t *testing.T) {
	l := live(1)
	w, err := l.watch()
	if err != nil {
		t.Fatal(err)
	}
	for i := range behind { // and the first, which came at once
		l.Told(began.Add(time.Duration(i+1)*time.Second), readings(i))
	}
	select {
	case <-w.over:
	default:
		t.Error("it is watched on for one who is too far behind")
	}
	if len(l.watchers) != 0 || w.end {
		t.Error("it counts, or is told that the server ends")
	}
	l.leave(w) // as its handler does
}

// A watcher that takes nothing, whose connection is there, holds nothing up either: the
// write ends by its deadline and the handler returns.
func TestStuckWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := live(1)
		ctx, cancel := context.WithCancel(t.Context())
		w := &stuck{header: make(http.Header)}
		ended := make(chan struct{})
		go func() {
			l.ServeStream(w, httptest.NewRequest("GET", "/api/stream", nil).WithContext(ctx))
			close(ended)
		}()
		<-ended
		if w.deadlines == 0 || len(l.watchers) != 0 {
			t.Errorf("%d deadlines were set, %d watch", w.deadlines, len(l.watchers))
		}
		cancel()
	})
}

// stuck is the answer to one that does not read: a write ends with its deadline.
type stuck struct {
	header    http.Header
	until     time.Time
	deadlines int
}

func (s *stuck) Header() http.Header             { return s.header }
func (s *stuck) WriteHeader(int)                 {}
func (s *stuck) SetReadDeadline(time.Time) error { return nil }
func (s *stuck) SetWriteDeadline(t time.Time) error {
	s.until = t
	s.deadlines++
	return nil
}
func (s *stuck) Write([]byte) (int, error) {
	time.Sleep(time.Until(s.until))
	return 0, context.DeadlineExceeded
}
