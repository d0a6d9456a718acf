package server

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"poosh/server/http1"
)

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestForwarded(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	tests := []struct {
		name, peer string
		lines      []string
		want       string
	}{
		{"no proxy", "192.0.2.1:5", nil, "192.0.2.1:5"},
		{"a stranger's word", "192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1:5"},
		{"a proxy's word", "127.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7:0"},
		{"two proxies", "127.0.0.1:5", []string{"198.51.100.7, 10.0.0.3"}, "198.51.100.7:0"},
		{"two lines", "127.0.0.1:5", []string{"198.51.100.7", "10.0.0.3"}, "198.51.100.7:0"},
		// What the client wrote itself stands before what the proxy added.
		{"a forged beginning", "127.0.0.1:5", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7:0"},
		{"rubbish behind", "127.0.0.1:5", []string{"1.1.1.1, x, 10.0.0.3"}, "10.0.0.3:0"},
		{"rubbish alone", "127.0.0.1:5", []string{"unknown"}, "127.0.0.1:5"},
		{"only proxies", "127.0.0.1:5", []string{"10.0.0.4, 10.0.0.3"}, "10.0.0.4:0"},
		{"IPv6", "127.0.0.1:5", []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:5", []string{"::ffff:198.51.100.7"}, "198.51.100.7:0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLimiter(NetworkConfig{TrustedProxies: loopback}, discard)
			var got string
			h := l.forwarded(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.lines
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestConnectionBounds opens sockets up to each bound and one more: that one is
// closed at once, and there is room again when another goes.
func TestConnectionBounds(t *testing.T) {
	for name, cfg := range map[string]NetworkConfig{
		"in all":         {MaxConnections: 3, MaxConnectionsPerAddress: 100},
		"of one address": {MaxConnections: 100, MaxConnectionsPerAddress: 3, TrustedProxies: []netip.Prefix{}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLimiter(cfg, discard)
			srv := http1.New(http1.Config{
				Handler: http.NotFoundHandler(), Opened: l.opened, Closed: l.closed,
				Rest: &http.Server{Handler: http.NotFoundHandler(), ConnState: l.connState},
			})
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go srv.Serve(ln) // ends with Close
			defer srv.Close()
			dial := func() net.Conn {
				t.Helper()
				c, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
				return c
			}
			served := func(c net.Conn) bool {
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				n, _ := c.Read(make([]byte, 12))
				return n > 0
			}
			first := dial()
			for _, c := range []net.Conn{first, dial(), dial()} {
				if !served(c) {
					t.Fatal("refused below the bound")
				}
			}
			if served(dial()) {
				t.Error("served above the bound")
			}
			_ = first.Close()
			for end := time.Now().Add(10 * time.Second); l.connections() > 2; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d connections count", l.connections())
				}
			}
			if !served(dial()) {
				t.Error("refused after one has gone")
			}
		})
	}
}

func TestLimiterForgets(t *testing.T) {
	l := newLimiter(NetworkConfig{MaxConnections: 10, MaxConnectionsPerAddress: 10}, discard)
	a := netip.MustParseAddr("192.0.2.1")
	l.mu.Lock()
	l.open, l.counts[a] = 2, 2
	l.mu.Unlock()
	l.release(a)
	l.release(a)
	if len(l.counts) != 0 || l.connections() != 0 {
		t.Errorf("left: %v, %d", l.counts, l.connections())
	}
}
