package server

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"poosh/server/dialect"
	"poosh/server/http1"
	"poosh/server/loop"
	"poosh/server/network"
	"poosh/server/websocket"
)

// stale is more than how long a connection is new to http1.
const stale = 50 * time.Millisecond

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

// limited starts a server with the bounds of a port.
func limited(t *testing.T, l *limiter, bounds http1.Bounds) (addr string) {
	t.Helper()
	lp, err := loop.New(loop.Config{Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lp.Close)
	sockets := websocket.NewServer(lp, websocket.Config{Released: l.released})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsUpgrade(r) {
			r.RemoteAddr = r.Header.Get("X-From")
			if c, err := sockets.Accept(w, r, websocket.Options{MaxMessage: 1000}, silentHandler{}); err == nil {
				c.Start()
				return
			}
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	srv := http1.New(http1.Config{Handler: handler, Rest: &http.Server{Handler: handler}, Loop: lp, Bounds: bounds, Log: discard,
		Where: func(*http.Request) http1.Where { return http1.Here }, MaxAnswer: 1 << 20,
		Proves: func(r *http.Request) http1.Proof {
			if r.Header.Get("X-Sends") != "" {
				return http1.Sender
			}
			return http1.Client
		}})
	l.ports = append(l.ports, srv)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }() // ends with Close
	t.Cleanup(func() {
		_ = srv.Close()
		<-ended
	})
	return ln.Addr().String()
}

type silentHandler struct{}

func (silentHandler) Message(*websocket.Conn, bool, []byte) {}
func (silentHandler) Closed(*websocket.Conn, error)         {}

// asking opens a connection, sends a request, and returns the answer's status, or 0 if
// it was closed.
func asking(t *testing.T, addr, headers string) (net.Conn, int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return c, 0
	}
	return c, res.StatusCode
}

func settle(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// TestConnectionBounds opens sockets up to each bound and one more: that one is
// closed at once, and there is room again when another goes.
func TestConnectionBounds(t *testing.T) {
	for name, cfg := range map[string]network.Config{
		"in all":         {MaxConnections: 3, MaxConnectionsPerAddress: 100},
		"of one address": {MaxConnections: 100, MaxConnectionsPerAddress: 3, TrustedProxies: []netip.Prefix{}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLimiter(cfg, discard)
			addr := limited(t, l, l.bounds(dialect.Clients))
			first, status := asking(t, addr, "")
			for range 2 {
				_, again := asking(t, addr, "")
				status = min(status, again)
			}
			if status != 200 {
				t.Fatal("refused below the bound")
			}
			if _, status := asking(t, addr, ""); status != 0 {
				t.Error("served above the bound")
			}
			_ = first.Close()
			settle(t, "one that has gone still counts", func() bool { return l.clients.stats().open == 2 })
			if _, status := asking(t, addr, ""); status != 200 {
				t.Error("refused after one has gone")
			}
			if n := l.clients.stats().refused; n != 1 {
				t.Errorf("%d refusals are counted", n)
			}
		})
	}
}

const upgradeTo = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-From: "

// TestWebSocketBounds: behind a proxy, WebSockets count for the network that it saw.
func TestWebSocketBounds(t *testing.T) {
	l := newLimiter(network.Config{MaxConnections: 100, MaxConnectionsPerAddress: 2, MaxSenderConnections: 5, MaxSenderConnectionsPerAddress: 5,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, discard)
	addr := limited(t, l, l.bounds(dialect.Clients|dialect.Senders))
	want := []int{101, 101, 429}
	var open []net.Conn
	for i, from := range []string{"[2001:db8:1:1::1]:0", "[2001:db8:1:1::2]:0", "[2001:db8:1:1:9::]:0"} { // one /64
		c, status := asking(t, addr, upgradeTo+from+"\r\n")
		if open = append(open, c); status != want[i] {
			t.Errorf("%s: status %d, want %d", from, status, want[i])
		}
	}
	if _, status := asking(t, addr, upgradeTo+"[2001:db8:1:2::1]:0\r\n"); status != 101 {
		t.Errorf("another network is answered %d", status)
	}
	_ = open[0].Close()
	settle(t, "one that has gone still counts", func() bool { _, s := asking(t, addr, upgradeTo+"[2001:db8:1:1::4]:0\r\n"); return s == 101 })
}

// TestSendersHaveAReserve: what clients take is not senders', and a sender with
// something to say takes the place of one who has nothing.
func TestSendersHaveAReserve(t *testing.T) {
	l := newLimiter(network.Config{MaxConnections: 2, MaxConnectionsPerAddress: 2, MaxSenderConnections: 2, MaxSenderConnectionsPerAddress: 2,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, discard)
	addr := limited(t, l, l.bounds(dialect.Clients|dialect.Senders))
	for i, want := range []int{101, 101, 429} {
		if _, status := asking(t, addr, upgradeTo+"192.0.2."+string(rune('1'+i))+":0\r\n"); status != want {
			t.Errorf("WebSocket %d: status %d, want %d", i, status, want)
		}
	}
	for range 2 {
		c, err := net.Dial("tcp", addr) // and says nothing
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	settle(t, "the reserve is not used", func() bool { return l.senders.stats().open >= 2 })
	for range 2 {
		if _, status := asking(t, addr, "X-Sends: yes\r\n"); status != 200 {
			t.Errorf("a sender is answered %d", status)
		}
	}
	if st := l.senders.stats(); st.evicted == 0 {
		t.Errorf("nobody was evicted: %+v", st)
	}
}

// TestEvictAcrossPorts: what strangers leave open on one port is closed for those who
// come to another, and not for themselves: the network that has the most loses.
func TestEvictAcrossPorts(t *testing.T) {
	l := newLimiter(network.Config{MaxConnections: 4, MaxConnectionsPerAddress: 100, MaxSenderConnections: 4, MaxSenderConnectionsPerAddress: 100,
		TrustedProxies: []netip.Prefix{}}, discard)
	both, clients, senders := limited(t, l, l.bounds(dialect.Clients|dialect.Senders)), limited(t, l, l.bounds(dialect.Clients)), limited(t, l, l.bounds(dialect.Senders))
	dial := func(addr, from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	quiet := dial(both, "127.0.0.7") // was here first, and has but one connection
	for range 7 {
		dial(both, "127.0.0.8")
	}
	settle(t, "not all of the strangers are in", func() bool { return l.clients.stats().open == 4 && l.senders.stats().open == 4 })
	time.Sleep(stale) // the last one too: what is new goes last
	if _, status := asking(t, clients, ""); status != 200 {
		t.Errorf("a client is answered %d", status)
	}
	if _, status := asking(t, senders, "X-Sends: yes\r\n"); status != 200 {
		t.Errorf("a sender is answered %d", status)
	}
	if _, status := asking(t, both, upgradeTo+"192.0.2.1:0\r\n"); status != 101 {
		t.Errorf("a WebSocket is answered %d", status)
	}
	_ = quiet.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := quiet.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the one with a single connection lost it: %v", err)
	}
}

// TestKnownSendersAreSpared: where strangers of many networks have all the room, those who
// come from where a sender came from before keep theirs, although they are more. What has
// just been accepted comes last among the strangers.
func TestKnownSendersAreSpared(t *testing.T) {
	l := newLimiter(network.Config{MaxConnections: 1, MaxConnectionsPerAddress: 100, MaxSenderConnections: 8, MaxSenderConnectionsPerAddress: 100,
		TrustedProxies: []netip.Prefix{}}, discard)
	addr := limited(t, l, l.bounds(dialect.Senders))
	open := func(from, say string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, say)
		return c
	}
	const request = "GET / HTTP/1.1\r\nHost: x\r\nX-Sends: yes\r\nConnection: close\r\n\r\n"
	if _, err := io.ReadAll(open("127.0.0.9", request)); err != nil {
		t.Fatal(err)
	}
	settle(t, "the sender's connection still counts", func() bool { return l.senders.stats().open == 0 })
	known := []net.Conn{open("127.0.0.9", ""), open("127.0.0.9", "")}
	for i := range 6 {
		open("127.0.1."+string(rune('1'+i)), "")
	}
	settle(t, "not all are in", func() bool { return l.senders.stats().open == 8 })
	for i := range 3 {
		if _, err := io.ReadAll(open("127.0.2."+string(rune('1'+i)), request)); err != nil {
			t.Errorf("newcomer %d: %v", i, err)
		}
	}
	for _, c := range known {
		_, _ = io.WriteString(c, request)
		if text, err := io.ReadAll(c); err != nil || len(text) == 0 {
			t.Errorf("a known sender lost a connection: %v", err)
		}
	}
}

// TestManyNewcomers: whom to close is decided for some newcomers at once, but never for so
// many that one who came before strangers without number goes with them.
func TestManyNewcomers(t *testing.T) {
	l := newLimiter(network.Config{MaxConnections: 1, MaxConnectionsPerAddress: 1000, MaxSenderConnections: 20, MaxSenderConnectionsPerAddress: 1000,
		TrustedProxies: []netip.Prefix{}}, discard)
	addr := limited(t, l, l.bounds(dialect.Senders))
	open := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	for range 19 {
		open("127.0.0.8")
	}
	good := open("127.0.0.9")
	for range 200 {
		open("127.0.0.8")
	}
	settle(t, "nobody was evicted", func() bool { return l.senders.stats().evicted >= 150 })
	_ = good.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(good, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if text, err := io.ReadAll(good); err != nil || len(text) == 0 {
		t.Errorf("who has one connection lost it to who has 200: %v", err)
	}
}

// TestLoweredBound: who comes when fewer may be open than there are takes the place of one
// that is idle, however many are above the bound.
func TestLoweredBound(t *testing.T) {
	cfg := network.Config{MaxConnections: 1, MaxConnectionsPerAddress: 1, MaxSenderConnections: 100, MaxSenderConnectionsPerAddress: 1000,
		TrustedProxies: []netip.Prefix{}}
	l := newLimiter(cfg, discard)
	addr := limited(t, l, l.bounds(dialect.Senders))
	for range 40 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	settle(t, "not all are in", func() bool { return l.senders.stats().open == 40 })
	time.Sleep(stale)
	cfg.MaxSenderConnections = 10
	l.rebound(cfg)
	settle(t, "nobody is let in", func() bool {
		c, status := asking(t, addr, "")
		_ = c.Close()
		return status == 200
	})
	if st := l.senders.stats(); st.evicted == 0 {
		t.Errorf("nobody was evicted: %+v", st)
	}
	// What is above the bound only gets less.
	settle(t, "who was evicted still counts", func() bool {
		l.senders.mu.Lock()
		defer l.senders.mu.Unlock()
		return l.senders.open < 40 && l.senders.surplus == l.senders.open-10
	})
}

func TestLimiterForgets(t *testing.T) {
	l := newLimiter(network.Config{MaxConnections: 10, MaxConnectionsPerAddress: 10}, discard)
	a := netip.MustParseAddr("192.0.2.1")
	for range 2 {
		if bound := l.clients.take(a, false, nil); bound != "" {
			t.Fatal(bound)
		}
	}
	l.released(a)
	l.released(a)
	if st := l.clients.stats(); len(l.clients.counts) != 0 || st.open != 0 {
		t.Errorf("left: %v, %+v", l.clients.counts, st)
	}
}

func TestFitFiles(t *testing.T) {
	for _, tt := range []struct {
		limit            uint64
		clients, senders int
		perAddress       int // of clients
	}{
		{1 << 20, 100_000, 2000, 10_000},
		{1<<64 - 1, 100_000, 2000, 10_000},
		{1024, 720, 240, 360},
		{300, 177, 59, 88},
		{50, 8, 8, 4},
	} {
		n := network.Config{MaxConnections: 100_000, MaxSenderConnections: 2000, MaxConnectionsPerAddress: 10_000, MaxSenderConnectionsPerAddress: 1000}
		less := fitFiles(&n, tt.limit, 0)
		if is := n.MaxConnections < 100_000; is != (len(less) > 0) {
			t.Errorf("of %d files: %v", tt.limit, less)
		}
		if n.MaxConnectionsPerAddress != tt.perAddress {
			t.Errorf("%d files: %d clients of one address, want %d", tt.limit, n.MaxConnectionsPerAddress, tt.perAddress)
		}
		if n.MaxConnections != tt.clients || n.MaxSenderConnections != tt.senders {
			t.Errorf("%d files: %d clients and %d senders, want %d and %d", tt.limit, n.MaxConnections, n.MaxSenderConnections, tt.clients, tt.senders)
		}
	}
	// What fits as it is stays, however much of it is for senders.
	for limit, senders := range map[uint64]int{164: 40, 163: 39, 1000: 40} {
		n := network.Config{MaxConnections: 60, MaxSenderConnections: 40, MaxConnectionsPerAddress: 50, MaxSenderConnectionsPerAddress: 10}
		if less := fitFiles(&n, limit, 0); n.MaxConnections != 60 || n.MaxSenderConnections != senders || (len(less) > 0) != (senders < 40) {
			t.Errorf("of %d files: %v, %+v", limit, less, n)
		}
	}
}
