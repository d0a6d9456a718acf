// Package pushertest serves a Pusher dialect in tests, on the HTTP stack that ships, and
// has clients, senders and receivers of webhooks that speak its protocol. Only tests
// import it.
package pushertest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"poosh/server/http1/http1test"
	"poosh/server/hub"
	"poosh/server/hub/history"
	"poosh/server/loop"
	"poosh/server/presence/presencetest"
	"poosh/server/pusher"
	"poosh/server/pusher/app"
	"poosh/server/websocket"
)

// Patience is how long what must happen is waited for.
const Patience = 30 * time.Second

// The app of most tests.
const (
	ID     = "3"
	Key    = "278d425bdf160c739803"
	Secret = "7ad3773142a6692b25b8"
)

// App returns that app, which lets clients send events.
func App() pusher.App {
	return pusher.App{ID: ID, Key: Key, Secret: Secret, ClientEvents: true}
}

// A Site is a dialect on the HTTP stack that ships.
type Site struct {
	T       testing.TB // who is told of what is wrong; may be changed between calls
	Dialect *pusher.Dialect
	Hub     *hub.Hub
	Loop    *websocket.Server
	Server  *http1test.Server
	Senders *Site // where [Site.Raw] sends to; nil for here
}

// New serves a dialect, of [App] if cfg names none. It ends with the test, when nothing
// may be left of its connections.
func New(t testing.TB, cfg pusher.Config) *Site {
	t.Helper()
	return NewLogged(t, cfg, slog.New(slog.DiscardHandler))
}

// NewLogged is New with a log.
func NewLogged(t testing.TB, cfg pusher.Config, log *slog.Logger) *Site {
	t.Helper()
	return NewOn(t, cfg, log, loop.Config{})
}

// NewOn is NewLogged with a loop of such a configuration.
func NewOn(t testing.TB, cfg pusher.Config, log *slog.Logger, on loop.Config) *Site {
	t.Helper()
	if cfg.Apps == nil {
		cfg.Apps = []pusher.App{App()}
	}
	if !joined {
		return serve(t, cfg, hub.NewWith(nil, logOf(cfg.Apps)), log, on)
	}
	c := &Cluster{Engine: presencetest.New()}
	t.Cleanup(c.Engine.Close)
	senders, _ := c.site(t, "senders", cfg, log, on)
	s, _ := c.site(t, "clients", cfg, log, on)
	s.Senders = senders
	return s
}

// serve serves a dialect whose apps cfg names.
func serve(t testing.TB, cfg pusher.Config, h *hub.Hub, log *slog.Logger, on loop.Config) *Site {
	t.Helper()
	s := &Site{T: t, Hub: h, Loop: http1test.SocketsOn(t, on)}
	var err error
	if s.Dialect, err = pusher.New(cfg, s.Hub, s.Loop, log); err != nil {
		t.Fatal(err)
	}
	s.Server = http1test.Serve(t, s.Loop, s.Dialect, pusher.Where)
	t.Cleanup(func() {
		s.Server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := s.Dialect.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if st := s.Dialect.Stats(); st.Connections != 0 || st.Channels != 0 {
			t.Errorf("left behind: %+v", st)
		}
		if err := s.Dialect.Apps().Check(); err != nil {
			t.Errorf("left behind: %v", err)
		}
	})
	return s
}

// logOf keeps events of those apps that want it.
func logOf(apps []pusher.App) *history.Log {
	kept := history.New(history.Config{})
	for _, a := range apps {
		if a.History > 0 {
			kept.Add(pusher.HubApp(a.ID), history.Config{Age: time.Duration(a.History), Bytes: a.HistoryBytes, Events: a.HistoryEvents})
		}
	}
	return kept
}

// App returns the app of [ID] at work.
func (s *Site) App() *app.App { return s.Dialect.Apps().ID(ID) }

// Eventually waits for something that happens by itself.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
