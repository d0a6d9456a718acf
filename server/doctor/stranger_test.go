package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A stranger is a server of socket.io for one client that polls, whose polls behind the
// first are answered as a test wants.
type stranger struct {
	interval time.Duration
	poll     func(w http.ResponseWriter, r *http.Request)

	mu    sync.Mutex // guards what follows
	n     int        // sessions
	asked map[string]int
}

func (s *stranger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("sid")
	switch {
	case r.Method == http.MethodPost:
		fmt.Fprint(w, "ok")
	case id == "":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.n++
		fmt.Fprintf(w, `0{"sid":"s%d","pingInterval":%d,"pingTimeout":20000,"maxPayload":1000}`, s.n, s.interval.Milliseconds())
	case s.first(id):
		fmt.Fprint(w, `40{"sid":"x"}`)
	default:
		s.poll(w, r)
	}
}

func (s *stranger) first(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		s.asked = make(map[string]int)
	}
	s.asked[id]++
	return s.asked[id] == 1
}

func (s *stranger) exam(t *testing.T) *exam {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &exam{Config: Config{URL: at, SocketIO: true, Patience: time.Minute}, host: at.Hostname(), port: at.Port(),
		to: netip.MustParseAddrPort(at.Host), connect: time.Hour, timing: Timing{Interval: s.interval}}
}

func (x *exam) found() string {
	var list []string
	for _, f := range x.report.Faults {
		list = append(list, f.ID)
	}
	return strings.Join(list, " ")
}

// Polls that are answered at once, and never with what is waited for, have an end, and the
// server is not asked as often as it answers.
func TestPollsThatAreAnsweredAtOnce(t *testing.T) {
	var polls atomic.Int64
	s := &stranger{interval: 100 * time.Millisecond, poll: func(w http.ResponseWriter, _ *http.Request) {
		polls.Add(1)
		fmt.Fprint(w, "6")
	}}
	x := s.exam(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // of a test that fails
	defer cancel()
	x.Send = func(context.Context, string, string) (int, error) { return 1, nil }
	var both sync.WaitGroup
	both.Go(func() { x.idlePoll(ctx, s.interval) })
	both.Go(func() { x.pollingCanary(ctx) })
	both.Wait()
	if got := x.found(); got != "heartbeat-lost canary" || ctx.Err() != nil {
		t.Errorf("%q, %v: %+v", got, ctx.Err(), x.report)
	}
	if n := polls.Load(); n > 1000 {
		t.Errorf("%d polls", n)
	}
}

// That a poll is cut off once is chance; a server whose every poll is cut off is at fault.
func TestPollIsCutOff(t *testing.T) {
	for name, row := range map[string]struct {
		cut  func(n int64) int // the status in place of an answer to poll n; 0 for none
		want string
	}{
		"once, by 504":          {func(n int64) int { return map[int64]int{1: 504}[n] }, ""},
		"twice, without answer": {func(n int64) int { return map[int64]int{1: -1, 2: -1}[n] }, ""},
		"always, by 502":        {func(int64) int { return 502 }, "canary"},
		"refused":               {func(int64) int { return 403 }, "canary"},
	} {
		t.Run(name, func(t *testing.T) {
			var polls atomic.Int64
			events := make(chan string, 10)
			x := (&stranger{interval: time.Minute, poll: func(w http.ResponseWriter, r *http.Request) {
				var event string
				select {
				case event = <-events:
				case <-r.Context().Done():
					return
				}
				switch status := row.cut(polls.Add(1)); status {
				case 0:
					fmt.Fprintf(w, `42[%q]`, event)
				case -1:
					panic(http.ErrAbortHandler)
				default:
					w.WriteHeader(status)
				}
			}}).exam(t)
			x.Send = func(_ context.Context, _, event string) (int, error) {
				events <- event
				return 1, nil
			}
			x.pollingCanary(t.Context())
			if got := x.found(); got != row.want || (len(x.report.Good) == 1) != (row.want == "") {
				t.Errorf("%q, want %q: %+v", got, row.want, x.report)
			}
		})
	}
}

// How long a connection takes is what the quickest of all takes.
func TestQuickestConnection(t *testing.T) {
	x := (&stranger{}).exam(t) // whose first took an hour
	c, err := x.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if x.connect >= time.Hour {
		t.Errorf("%s", x.connect)
	}
	if x.note(2 * time.Hour); !x.late() {
		t.Error("answers that take two hours are not late")
	}
}

// A stranger's text is told in one line that is no page.
func TestTextsAreBounded(t *testing.T) {
	page := strings.Repeat("ä page\n", 100_000)
	x := &exam{Config: Config{URL: &url.URL{Scheme: "http", Host: "127.0.0.1"}}}
	x.fault("canary", page)
	x.skip("clock", page)
	for what, text := range map[string]string{"fault": x.report.Faults[0].Seen, "skip": x.report.NotLooked[0].Why, "lastWord": lastWord(errors.New(page))} {
		if len(text) > maxSeen+len("...") || len(text) < maxSeen-10 || strings.ContainsAny(text, "\n\ufffd") {
			t.Errorf("%s: %d bytes: %.100q", what, len(text), text)
		}
	}
}

// What stands in an address that is asked for is not told with where it leads to.
func TestLocation(t *testing.T) {
	for to, want := range map[string]string{
		"": "", "https://push.example.com/recieve?token=abc": " to https://push.example.com/recieve", "/x": " to /x", "?token=abc": "",
	} {
		if got := location(answer{header: http.Header{"Location": {to}}}); got != want {
			t.Errorf("%q: %q, want %q", to, got, want)
		}
	}
}

// Where one server of several is away, that is all that is said: what comes to it is refused
// whatever it is.
func TestUnsteadyAlone(t *testing.T) {
	for name, served := range map[string]int64{"from the second handshake on": 1, "from a later one on": 2} {
		t.Run(name, func(t *testing.T) {
			s := &stranger{interval: time.Minute}
			var asked atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) > served {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				s.ServeHTTP(w, r)
			}))
			defer server.Close()
			at, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			x := s.exam(t)
			x.URL, x.to = at, netip.MustParseAddrPort(at.Host)
			var all sync.WaitGroup
			x.socketIO(t.Context(), &all)
			x.canary(t.Context(), Canary{Name: "socket.io", At: func() *url.URL { return at }})
			all.Wait()
			if got := x.found(); got != "unsteady" {
				t.Errorf("%q: %+v", got, x.report)
			}
		})
	}
}
