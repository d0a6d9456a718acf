package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/presence/presencetest"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
	"poosh/server/pusher/webhook"
)

// A moodyDesk is a process's desk that a test has refuse, or keep its answers.
type moodyDesk struct {
	*presencetest.Node

	mu     sync.Mutex // guards what follows
	away   bool
	hold   bool
	asked  int
	answer []func() // that are held
}

func (d *moodyDesk) Enter(e presence.Entry, answer func(presence.Seated, error)) {
	d.mu.Lock()
	d.asked++
	away, hold := d.away, d.hold
	d.mu.Unlock()
	switch {
	case away:
		answer(presence.Seated{}, presence.ErrAway)
	case hold:
		d.Node.Enter(e, func(s presence.Seated, err error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.answer = append(d.answer, func() { answer(s, err) })
		})
	default:
		d.Node.Enter(e, answer)
	}
}

// be has the desk refuse everybody, or hold the answers.
func (d *moodyDesk) be(away, hold bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away, d.hold = away, hold
}

// release gives the answers that were held.
func (d *moodyDesk) release() {
	d.mu.Lock()
	answers := d.answer
	d.answer = nil
	d.mu.Unlock()
	for _, answer := range answers {
		answer()
	}
}

// newMoodyApp makes an app on one node of a cluster.
func newMoodyApp(t *testing.T, conf Config) (*App, *moodyDesk, *presencetest.Engine) {
	t.Helper()
	engine := presencetest.New()
	t.Cleanup(engine.Close)
	n := engine.Node("a", nil)
	desk := &moodyDesk{Node: n}
	conf.ID, conf.Key, conf.Secret = "3", "key", "not-so-secret"
	apps, err := NewList([]Config{conf}, &Shared{
		Hub: n.Hub, CacheBytes: 1 << 20, Across: Across{Desk: desk, Census: n, Bus: n}, WebhookQueue: 100,
		Count: func(tally.Thing, int) {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // that of the test is over
		defer cancel()
		if err := apps.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := apps.Check(); err != nil {
			t.Errorf("left behind: %v", err)
		}
	})
	return apps.ID("3"), desk, engine
}

// TestGoesAsItSignsIn has a client go between its sign-in and the news of it. It is gone for good,
// and who watches the same user goes on to hear of it.
func TestGoesAsItSignsIn(t *testing.T) {
	a, _, engine := newMoodyApp(t, Config{Watchlist: true})
	watcher := connect(t, a)
	watcher.signIn("x", "w")
	engine.Quiet()
	for _, watchlist := range [][]string{{"w"}, {"nobody else"}} {
		s := open(t, a)
		s.SignIn(&protocol.User{Member: protocol.Member{ID: "u"}, Watchlist: watchlist}, func(bool, error) {
			s.Close()
			s.GoOnline(func() {})
		})
		<-s.ended
	}
	engine.Quiet()
	watcher.forget()
	w := connect(t, a)
	w.signIn("w")
	engine.Quiet()
	watcher.awaits(`"name":"online","user_ids":["w"]`)
}

// awaits waits until the client was sent something.
func (s *socket) awaits(part string) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		got := slices.Clone(s.got)
		s.mu.Unlock()
		if slices.ContainsFunc(got, func(frame string) bool { return strings.Contains(strings.ReplaceAll(frame, `\`, ""), part) }) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("sent %q, and not %s", got, part)
		}
	}
}

// TestNothingWaitsForNobody has clients come, ask for what cannot be had now, and go. Of them
// nothing is left to be tried.
func TestNothingWaitsForNobody(t *testing.T) {
	a, desk, _ := newMoodyApp(t, Config{Watchlist: true})
	desk.be(true, false)
	stays := connect(t, a)
	stays.Count(func(bool) {})
	for i := range 500 {
		s := open(t, a)
		s.Count(func(bool) {})
		if err := s.tryEnter("room", protocol.Member{}); !errors.Is(err, ErrAway) {
			t.Fatal(err)
		}
		s.leave("room")
		if err := s.tryEnter("presence-room", protocol.Member{ID: "u", Info: protocol.EmptyObject}); !errors.Is(err, ErrAway) {
			t.Fatal(err)
		}
		s.signIn(fmt.Sprint("user", i), fmt.Sprint("friend", i))
		s.close()
	}
	x := a.across
	awaitThat(t, func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.queue.Len() == 1 && len(x.queued) == 1 && len(x.waiting) == 0
	})
}

// TestLeavesAsItIsSeated has a client leave a channel while it is being seated there, later than it
// asked. Once that is answered it is not in it.
func TestLeavesAsItIsSeated(t *testing.T) {
	for _, channel := range []string{"room", "presence-room"} {
		a, desk, engine := newMoodyApp(t, Config{})
		s := &leaver{socket: &socket{t: t, answers: make(chan error, 10), ended: make(chan struct{})}, from: channel}
		s.Choose(a)
		s.Open(s, NewSocketID(), 7)
		desk.be(true, false)
		who := protocol.Member{}
		if protocol.KindOf(channel).Presence {
			who = protocol.Member{ID: "u", Info: protocol.EmptyObject}
		}
		if err := s.tryEnter(channel, who); !errors.Is(err, ErrAway) {
			t.Fatal(err)
		}
		desk.be(false, false)
		if err := <-s.answers; err != nil { // that it is left
			t.Error(err)
		}
		engine.Quiet()
		n, users, err := desk.Node.Count(t.Context(), a.hubName, channel)
		if here, _ := a.Count(channel); s.In(channel) || here+n+users != 0 || err != nil {
			t.Errorf("%s was left: in it %t, %d here, %d and %d users anywhere, %v", channel, s.In(channel), here, n, users, err)
		}
		s.close()
	}
}

// A leaver leaves a channel while it is told that it is in it.
type leaver struct {
	*socket
	from string
	left bool
}

func (l *leaver) Deliver(frame []byte) bool {
	if !l.left {
		l.left = true
		go l.Leave(l.from) // ends with its answer; the hub is not to be asked from here
		for asked := false; !asked; runtime.Gosched() {
			l.Connection.mu.Lock()
			asked = l.underway > 1
			l.Connection.mu.Unlock()
		}
	}
	return l.socket.Deliver(frame)
}

// TestAsksAgainBehindALateAnswer has a client take back what it was to have later, while that is
// asked for, and ask once more. The answer to the first question is not for the second.
func TestAsksAgainBehindALateAnswer(t *testing.T) {
	a, desk, _ := newMoodyApp(t, Config{})
	s := connect(t, a)
	desk.be(true, false)
	if err := s.tryEnter("room", protocol.Member{}); !errors.Is(err, ErrAway) {
		t.Fatal(err)
	}
	desk.be(false, true)
	awaitThat(t, func() bool {
		desk.mu.Lock()
		defer desk.mu.Unlock()
		return len(desk.answer) == 1
	})
	s.leave("room")
	desk.be(true, false)
	if err := s.tryEnter("room", protocol.Member{}); !errors.Is(err, ErrAway) {
		t.Fatal(err)
	}
	desk.release()
	desk.be(false, false)
	awaitThat(t, func() bool { return s.In("room") })
}

// awaitThat waits until something is so.
func awaitThat(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to be so")
		}
	}
}

// TestMissIsNewsAgain has an event come to a cache channel by a node that does not know that the
// channel was empty. When it is so again, that is told.
func TestMissIsNewsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(1<<20, time.Minute, true, func(tally.Thing, int) {})
		for range 3 {
			if !c.missed("seen") || c.missed("seen") {
				t.Error("an emptiness is told never, or twice")
			}
			time.Sleep(time.Minute) // an event may have come and gone
		}
	})
	hooks := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hooks.Close)
	a, _, engine := newMoodyApp(t, Config{Webhooks: []webhook.Config{{URL: hooks.URL}}})
	s := connect(t, a)
	s.enter("cache-x", "")
	engine.Quiet()
	if !a.cache.knowsMiss("cache-x") {
		t.Fatal("it is not known to be empty")
	}
	s.leave("cache-x")
	other := engine.Node("b", nil) // which has just begun
	p := &hub.Publication{App: a.hubName, Room: "cache-x", Event: "e", Data: []byte(`"1"`), Cached: 60}
	done := make(chan hub.Handed, 1)
	other.Hub.Send(p, func(h hub.Handed) { done <- h })
	if got := <-done; got.Err != nil {
		t.Fatal(got.Err)
	}
	s.enter("cache-x", "")
	engine.Quiet()
	if a.cache.knowsMiss("cache-x") {
		t.Error("it is held for empty, and its event was handed to a client")
	}
}
