// Package http1test serves handlers in tests on the HTTP stack that ships: an
// [http1.Server] whose connections live on a [loop.Loop]. It is what httptest is for
// net/http. Only tests import it.
package http1test

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"poosh/server/http1"
	"poosh/server/loop"
	"poosh/server/network"
	"poosh/server/websocket"
)

// Sizes of a port, as the product has them. Its times are the defaults of the settings.
const (
	maxHead   = 12 << 10
	maxBody   = 256 << 10
	maxAnswer = 8 << 20
)

// NewSockets starts a loop with WebSockets on it. It ends with the test, after everything
// that is registered later by t.Cleanup.
func NewSockets(t testing.TB) *websocket.Server {
	t.Helper()
	return SocketsOn(t, loop.Config{})
}

// SocketsOn is NewSockets with a loop of such a configuration. It logs nothing.
func SocketsOn(t testing.TB, cfg loop.Config) *websocket.Server {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	l, err := loop.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return websocket.NewServer(l, websocket.Config{})
}

// A Server serves one handler on a free port of the loopback interface. Make one with
// [Serve]; its methods may be called from any goroutine.
type Server struct {
	URL  string // "http://127.0.0.1:" and the port
	Addr string // the same without "http://"

	t      testing.TB
	server *http1.Server
	client *http.Client
	ended  chan struct{} // closed when Serve has returned
}

// Serve starts a server, whose connections live on the loop of sockets, of a handler
// whose requests are served where the function says. It ends with [Server.Close], at the
// latest with the test.
func Serve(t testing.TB, sockets *websocket.Server, h http.Handler, where func(*http.Request) http1.Where) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log, times := slog.New(slog.DiscardHandler), network.Defaults()
	server := http1.New(http1.Config{
		Handler: h,
		Where:   where,
		Loop:    sockets.Loop,
		Rest: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: times.HeaderTimeout,
			IdleTimeout:       times.IdleTimeout,
			MaxHeaderBytes:    maxHead,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
		FirstTimeout: times.HeaderTimeout,
		IdleTimeout:  times.IdleTimeout,
		HeadTimeout:  times.HeaderTimeout,
		BodyTimeout:  times.BodyTimeout,
		MaxBody:      maxBody,
		MaxAnswer:    maxAnswer,
		Log:          log,
	})
	s := &Server{
		URL: "http://" + ln.Addr().String(), Addr: ln.Addr().String(), t: t, server: server,
		client: &http.Client{Transport: &http.Transport{}}, ended: make(chan struct{}),
	}
	go func() { // ends with Close
		defer close(s.ended)
		if err := server.Serve(ln); err != http.ErrServerClosed {
			t.Errorf("serving: %v", err)
		}
	}()
	t.Cleanup(s.Close)
	return s
}

// Take is [http1.Server.Take] of the server.
func (s *Server) Take(raw *loop.Conn, remote netip.AddrPort, early []byte) bool {
	return s.server.Take(raw, remote, early)
}

// Client returns a client whose connections end with the server.
func (s *Server) Client() *http.Client { return s.client }

// Close closes the port and every connection that is not a WebSocket, at once. It may
// be called again.
func (s *Server) Close() {
	s.client.CloseIdleConnections()
	if err := s.server.Close(); err != nil {
		s.t.Errorf("closing: %v", err)
	}
	<-s.ended
}
