package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/stalltest"
)

// A fake is a server of socket.io 4 in which faults can be put. The zero one has none.
type fake struct {
	*httptest.Server

	refuse func(r *http.Request) int          // a status in place of what is asked for; 0 for none
	taken  func(n int)                        // is told of each event before it is answered
	makes  func(n int, event string) []string // what is sent of an event

	mu    sync.Mutex // guards what follows
	conns []*websocket.Conn
	n     int // events, without those that look who is there
}

func start(t *testing.T, f *fake) *Config {
	t.Helper()
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.drop()
		f.Close()
	})
	return configOf(t, f.URL)
}

func configOf(t *testing.T, address string) *Config {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	to, err := Resolve(t.Context(), u, false)
	if err != nil {
		t.Fatal(err)
	}
	return &Config{
		Server: to, API: to, Protocol: EIO4, Clients: 5, Rooms: 1, Prefix: "bench-", Join: "room", Publish: BySend, Secret: "a secret",
		Publishers: 2, Size: 150, Rate: 100, Duration: time.Second, AtOnce: 8, Timeout: 10 * time.Second,
	}
}

func (f *fake) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.NetConn().Close()
	}
	f.conns = nil
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.refuse != nil {
		if status := f.refuse(r); status != 0 {
			http.Error(w, "no", status)
			return
		}
	}
	if r.URL.Path == "/send" {
		f.send(w, r)
		return
	}
	conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.WriteMessage(websocket.TextMessage, []byte(`0{"sid":"x","pingInterval":25000,"pingTimeout":20000}`))
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return
		}
		switch {
		case string(text) == "40":
			_ = conn.WriteMessage(websocket.TextMessage, []byte(`40{"sid":"y"}`))
		case strings.HasPrefix(string(text), `42["room"`):
			f.mu.Lock()
			f.conns = append(f.conns, conn)
			f.mu.Unlock()
		}
	}
}

func (f *fake) send(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var event struct {
		Payload json.RawMessage
	}
	_ = json.Unmarshal(body, &event)
	_, publisher, _, _, ok := ParsePayload(event.Payload, NewPayload(len(event.Payload)).Tail())
	if !ok {
		http.Error(w, "what is this", http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []string{string(event.Payload)}
	if publisher != prober {
		n := f.n
		f.n++
		if f.taken != nil {
			f.mu.Unlock()
			f.taken(n)
			f.mu.Lock()
		}
		if f.makes != nil {
			list = f.makes(n, list[0])
		}
	}
	for _, c := range f.conns {
		for _, text := range list {
			_ = c.WriteMessage(websocket.TextMessage, []byte(`42["bench",`+text+`]`))
		}
	}
}

// run does a test that must be possible.
func run(t *testing.T, ctx context.Context, cfg *Config) *Report {
	t.Helper()
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	r, err := New(*cfg).Run(ctx)
	if err != nil {
		t.Fatalf("%v: %+v", err, r)
	}
	return r
}

// Of a server that does as it should everything comes.
func TestGoodServer(t *testing.T) {
	cfg := start(t, &fake{})
	r := run(t, t.Context(), cfg)
	if !r.Good() || r.Events.Accepted != 100 || r.Deliveries.Delivered != 500 || r.Connections.Connected != 5 || r.Connections.Left != 5 ||
		r.Latency == nil || r.Latency.Count != 500 || r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P999 || r.Connections.Time.Count != 5 {
		t.Errorf("%+v, %+v", r, r.Latency)
	}
}

// What a server does wrong is counted as what it is.
func TestFaultyServers(t *testing.T) {
	const at = 10 // the event that something happens to
	var kept string
	for name, row := range map[string]struct {
		makes func(n int, event string) []string
		want  Deliveries
	}{
		"loses":   {func(n int, e string) []string { return without(n == at, e) }, Deliveries{Delivered: 495, Lost: 5}},
		"doubles": {func(n int, e string) []string { return with(n == at, e, e) }, Deliveries{Delivered: 500, Doubled: 5}},
		"damages": {func(n int, e string) []string {
			return []string{strings.Replace(e, "quick", map[bool]string{true: "quiet", false: "quick"}[n == at], 1)}
		}, Deliveries{Delivered: 495, Lost: 5, Damaged: 5}},
		"swaps": {func(n int, e string) []string {
			switch n {
			case at:
				kept = e
				return nil
			case at + 1:
				return []string{e, kept}
			}
			return []string{e}
		}, Deliveries{Delivered: 500, OutOfOrder: 5}},
		"sends what nobody asked for": {func(n int, e string) []string { return with(n == at, e, `"hello"`) }, Deliveries{Delivered: 500, Foreign: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := start(t, &fake{makes: row.makes})
			cfg.Publishers = 1
			r := run(t, t.Context(), cfg)
			d := r.Deliveries
			d.Bytes, d.Probes, d.PerSecond = 0, 0, 0
			if d != row.want || r.Events.Accepted != 100 {
				t.Errorf("%+v, want %+v", d, row.want)
			}
			if foreign := row.want.Foreign > 0; r.Good() != foreign {
				t.Errorf("good: %v", r.Good())
			}
		})
	}
}

func without(gone bool, event string) []string {
	if gone {
		return nil
	}
	return []string{event}
}

func with(also bool, event, more string) []string {
	if also {
		return []string{event, more}
	}
	return []string{event}
}

// A server that stalls for a second is as late for each event that was due meanwhile,
// although its publisher had to wait and sent none of them then: that is what the
// latencies say, where those from when each was sent would know of one slow event.
func TestStallIsNotOmitted(t *testing.T) {
	const stall = time.Second
	cfg := start(t, &fake{taken: func(n int) {
		if n == 50 {
			time.Sleep(stall)
		}
	}})
	cfg.Clients, cfg.Publishers, cfg.Duration = 1, 1, 2*time.Second
	r := run(t, t.Context(), cfg)
	if !r.Good() || r.Events.Accepted != 200 || r.Latency.Count != 200 {
		t.Fatalf("%+v, %+v", r, r.Latency)
	}
	// Of 200 events a hundred were due in the stall, and waited half a second in the mean.
	ms := float64(stall.Milliseconds())
	if q := r.Latency; q.Max < ms || q.P99 < 0.9*ms || q.P90 < 0.7*ms || r.Events.Late < 80 {
		t.Errorf("%d late, %+v", r.Events.Late, q)
	}
}

// The same to the end: what was due and could not even leave is told.
func TestWhatIsNotSentIsCounted(t *testing.T) {
	cfg := start(t, &fake{taken: func(n int) {
		if n == 50 {
			time.Sleep(5 * time.Second)
		}
	}})
	cfg.Clients, cfg.Publishers = 1, 1
	r := run(t, t.Context(), cfg)
	if r.Good() || r.Events.Accepted != 51 || r.Events.Unsent != 49 || r.Latency.Max < 4000 {
		t.Errorf("%+v, %+v", r, r.Latency)
	}
}

// Servers that say no, say nothing, or are not there.
func TestServersThatAreOfNoUse(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // which takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	refusing := func(path string, status int) func(t *testing.T) *Config {
		return func(t *testing.T) *Config {
			return start(t, &fake{refuse: func(r *http.Request) int {
				if strings.HasPrefix(r.URL.Path, path) {
					return status
				}
				return 0
			}})
		}
	}
	for name, row := range map[string]struct {
		cfg     func(t *testing.T) *Config
		is      error
		refused bool
		kind    string
		count   int64
	}{
		"no client":    {refusing("/socket.io", 403), ErrNobody, true, "connect: answered 403, no", 5},
		"no publisher": {refusing("/send", 401), ErrRefused, true, "publish: answered 401, no", 1},
		"silent":       {func(t *testing.T) *Config { return configOf(t, "http://"+silent.Addr().String()) }, ErrNobody, false, "connect: no answer in time", 5},
		"gone":         {func(t *testing.T) *Config { return configOf(t, "http://"+gone.Addr().String()) }, ErrNobody, false, "connect: connection refused", 5},
		"no join":      {func(t *testing.T) *Config { c := start(t, &fake{}); c.Join = "unknown"; return c }, ErrLost, false, "join: nothing that is published reaches the client", 5},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := row.cfg(t)
			if name == "silent" { // which is waited for to the end
				cfg.Timeout = 2 * time.Second
			}
			r, err := New(*cfg).Run(t.Context())
			if !errors.Is(err, row.is) || Refused(err) != row.refused || len(r.Errors) != 1 || r.Errors[0] != (Fault{row.kind, row.count}) {
				t.Errorf("%v: %+v", err, r.Errors)
			}
			if text := Why(err); !strings.HasPrefix(text, row.is.Error()) || strings.Contains(text, "127.0.0.1") {
				t.Errorf("%q", text)
			}
		})
	}
}

// Over TLS a certificate is checked, unless it is said that it is not to be.
func TestCertificates(t *testing.T) {
	f := &fake{}
	f.Server = httptest.NewTLSServer(f)
	f.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer f.Close()
	defer f.drop()
	cfg := configOf(t, f.URL)
	r, err := New(*cfg).Run(t.Context())
	if !errors.Is(err, ErrNobody) || Refused(err) || len(r.Errors) != 1 || r.Errors[0] != (Fault{"connect: TLS: the certificate is of an unknown authority", 5}) {
		t.Errorf("%v: %+v", err, r.Errors)
	}
	u, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Server, err = Resolve(t.Context(), u, true); err != nil {
		t.Fatal(err)
	}
	cfg.API = cfg.Server
	if r := run(t, t.Context(), cfg); !r.Good() || r.Deliveries.Delivered != 500 {
		t.Errorf("%+v", r)
	}
}

// Who interrupts a test while clients connect is not told that the server is of no use.
func TestInterruptWhileConnecting(t *testing.T) {
	cfg := start(t, &fake{})
	cfg.Clients, cfg.ConnectRate = 1000, 20
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	test := New(*cfg)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var watching sync.WaitGroup
	watching.Go(func() { // ends with the first client, or with ctx
		for test.Progress().Connected == 0 && wait(ctx, now()+int64(10*time.Millisecond)) {
		}
		cancel()
	})
	r, err := test.Run(ctx)
	watching.Wait()
	if err != nil {
		t.Fatalf("%v: %+v", err, r)
	}
	if !r.Interrupted || !r.Good() || r.Connections.Connected == 0 || r.Connections.Connected == 1000 {
		t.Errorf("%+v", r)
	}
}

// After so many failures in a row no more are tried: a server that is not there is not
// asked a hundred thousand times.
func TestGivesUp(t *testing.T) {
	cfg := start(t, &fake{refuse: func(*http.Request) int { return 503 }})
	cfg.Clients = 5000
	r, err := New(*cfg).Run(t.Context())
	if !errors.Is(err, ErrNobody) || r.Connections.Tried < giveUp || r.Connections.Tried > giveUp+2*int64(cfg.AtOnce) {
		t.Errorf("%v after %d", err, r.Connections.Tried)
	}
}

// A server that dies halfway ends the test, with the numbers so far.
func TestServerDiesHalfway(t *testing.T) {
	f := &fake{}
	f.taken = func(n int) {
		if n == 50 {
			f.drop()
		}
	}
	cfg := start(t, f)
	cfg.Duration = time.Minute
	began := time.Now()
	r := run(t, t.Context(), cfg)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if r.Good() || r.Interrupted || r.Connections.Connected != 5 || r.Connections.Left != 0 || r.Deliveries.Delivered < 200 || r.Deliveries.Missed == 0 || len(r.Errors) < 2 {
		t.Errorf("%+v", r)
	}
}

// Who interrupts a test gets the numbers so far, at once, also while the server stalls.
func TestInterrupt(t *testing.T) {
	for name, stall := range map[string]time.Duration{"a server that answers": 0, "a server behind which events wait": 100 * time.Millisecond, "a server that stalls": 8 * time.Second} {
		t.Run(name, func(t *testing.T) {
			began := make(chan struct{})
			var once sync.Once
			cfg := start(t, &fake{taken: func(n int) {
				if n >= 20 {
					once.Do(func() { close(began) })
					time.Sleep(stall)
				}
			}})
			cfg.Duration = time.Hour
			stalled := stalltest.Watch(t)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { // ends with the twentieth event
				<-began
				cancel()
			}()
			r := run(t, ctx, cfg)
			<-began
			inTime := stall < hasty && stalled() < hasty/2
			if !r.Interrupted || r.Deliveries.Delivered < 90 || r.Connections.Connected != 5 || inTime && !r.Good() {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Flat out is as fast as the answers come.
func TestFlatOut(t *testing.T) {
	cfg := start(t, &fake{})
	cfg.Rate, cfg.Rooms, cfg.Clients = 0, 1, 3
	r := run(t, t.Context(), cfg)
	if !r.Good() || r.Events.Accepted < 100 || r.Deliveries.Delivered != 3*r.Events.Accepted {
		t.Errorf("%+v", r)
	}
}

func TestConfigCheck(t *testing.T) {
	good := func() *Config { return configOf(t, "http://127.0.0.1:9") }
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"protocol": func(c *Config) { c.Protocol = "eio5" }, "clients": func(c *Config) { c.Clients = 0 }, "many clients": func(c *Config) { c.Clients = MaxClients + 1 },
		"rooms": func(c *Config) { c.Rooms = 6 }, "publishers": func(c *Config) { c.Publishers = 0 }, "size": func(c *Config) { c.Size = MinPayload - 1 },
		"rate": func(c *Config) { c.Rate = -1 }, "duration": func(c *Config) { c.Duration = 0 }, "polling Pusher": func(c *Config) { c.Protocol, c.Publish, c.Polling = Pusher, ByPusher, true },
		"send to Pusher": func(c *Config) { c.Protocol = Pusher }, "emit nothing": func(c *Config) { c.Publish = ByEmit }, "a room": func(c *Config) { c.Room = "x" },
	} {
		c := good()
		change(c)
		if c.Check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
	c := good()
	if c.Clients = MaxClients; c.Fits() == nil {
		if limit, _ := raiseFileLimit(); limit < uint64(c.Clients) {
			t.Errorf("%d clients fit into %d files", c.Clients, limit)
		}
	}
}

// What is not this machine is known as such, however it is written.
func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:80": true, "http://127.9.9.9": true, "http://[::1]:80": true, "https://localhost": true, "http://[::ffff:127.0.0.1]": true,
		"http://0.0.0.0:80": false, "http://192.0.2.1": false, "http://[2001:db8::1]": false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		to, err := Resolve(t.Context(), u, false)
		if err != nil || to.Loopback() != want {
			t.Errorf("%s: %v, %v", address, to, err)
		}
	}
}
