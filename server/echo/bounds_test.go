package echo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/intake"
	"poosh/server/logtest"
	"poosh/server/presence"
	"poosh/server/presence/presencetest"
)

// goes has a client from an address be in a channel, and then cut off.
func (p *place) goes(address string) *page {
	p.t.Helper()
	w := p.from(address).page("40")
	w.join("orders", "", 0)
	w.Close()
	until(p.t, "it is gone", func() bool { return p.find(w.sid) == nil && p.hub.Len(App) == 0 })
	return w
}

// isBack reports whether a client comes back as who it was.
func (p *place) isBack(w *page) bool {
	p.t.Helper()
	return p.page(fmt.Sprintf(`40{"pid":%q}`, w.pid)).sid == w.sid
}

// TestOneNetworkForgetsItsOwn has a network have all that is free for its clients that are away; where
// nothing is, it forgets its own first if it has more than a fourth.
func TestOneNetworkForgetsItsOwn(t *testing.T) {
	for _, row := range []struct{ crowd, back int }{{6, 6}, {20, 6}} {
		t.Run(fmt.Sprint(row.crowd, " of one network"), func(t *testing.T) {
			// The cost of a client is that of package returning: room for eight.
			p := keptPlace(t, func(c *Config) { c.AwayBytes = 8 * (700 + stateRoomCost + int64(len("orders"))) })
			one, two := p.goes("127.0.0.3"), p.goes("127.0.0.4")
			var crowd []*page
			for range row.crowd {
				crowd = append(crowd, p.goes("127.0.0.2"))
			}
			if !p.isBack(one) || !p.isBack(two) {
				t.Error("a crowd of another network has somebody be forgotten")
			}
			for n, w := range crowd {
				if got, want := p.isBack(w), n >= len(crowd)-row.back; got != want {
					t.Errorf("%d of the crowd comes back: %v, want %v", n, got, want)
				}
			}
		})
	}
}

// TestChange has other bounds count, and everything else stay as it was.
func TestChange(t *testing.T) {
	p := keptPlace(t, nil)
	if w := p.page("40"); w.pid == "" {
		t.Fatal("a client is not given what it comes back by")
	}
	next := Config{}.withDefaults()
	next.MaxChannels = 1
	p.change(next)
	w := p.page("40")
	if w.pid == "" {
		t.Error("a client that came after a change is not given what it comes back by")
	}
	w.join("orders", "", 0)
	w.subscribe("news", "")
	w.wants(`42["subscription_error","news",429]`)
}

// TestTooManyUpdates has the application not be told of one channel more than may wait, and the operator
// be told of that.
func TestTooManyUpdates(t *testing.T) {
	redis := redistest.Start(t)
	wire := redistest.NewWire(t, redis.Addr)
	at, err := intake.ParseAddress("redis://" + wire.Addr)
	if err != nil {
		t.Fatal(err)
	}
	wire.Hold()
	p := newPlace(t, nil)
	said := new(logtest.Buffer)
	p.log = slog.New(slog.NewTextHandler(said, nil))
	u := newUpdater(p.Dialect, at)
	u.mu.Lock()
	u.most = 2
	u.mu.Unlock()
	u.note("presence-a")
	waiting := func(want int) {
		t.Helper()
		until(t, fmt.Sprintf("%d wait", want), func() bool {
			u.mu.Lock()
			defer u.mu.Unlock()
			return len(u.changed) == want
		})
	}
	waiting(0) // it is being told
	for _, channel := range []string{"presence-b", "presence-c", "presence-b", "presence-c"} {
		u.note(channel)
	}
	waiting(2)
	if n := u.dropped.Load(); n != 0 {
		t.Errorf("%d are dropped, and there is room", n)
	}
	for range 3 {
		u.note("presence-d")
	}
	if n := u.dropped.Load(); n != 3 {
		t.Errorf("%d are counted, want 3", n)
	}
	if text := said.String(); strings.Count(text, "too many channels wait") != 1 || !strings.Contains(text, "presence-d") {
		t.Errorf("the log says %s", text)
	}
	wire.Release()
	u.stop(context.Background())
}

// TestTooManyLinger has a member whose connection is cut leave at once where too many are waited for, and
// be counted.
func TestTooManyLinger(t *testing.T) {
	app := newApplication(t)
	p := newPlace(t, func(c *Config) { app.config(c); c.Grace = time.Hour })
	p.Dialect.mu.Lock()
	p.maxLingering = 1
	p.Dialect.mu.Unlock()
	witness, one, two := p.page("40"), p.page("40"), p.page("40")
	for n, w := range []*page{witness, one, two} {
		w.join("presence-r", fmt.Sprint(n), n)
	}
	witness.wants(`42["presence:subscribed","presence-r",[{"user_id":0,"user_info":{"name":"user 0"},"socketId":"{sid}"}]]`)
	for n, w := range []*page{one, two} {
		witness.wants(fmt.Sprintf(`42["presence:joining","presence-r",{"user_id":%d,"user_info":{"name":"user %d"},"socketId":%q}]`, n+1, n+1, w.sid))
	}
	one.Close()
	until(t, "one is waited for", func() bool { return p.countLingering() == 1 })
	if n := p.hasty.Load(); n != 0 {
		t.Errorf("%d were not waited for", n)
	}
	two.Close()
	witness.wants(`42["presence:leaving","presence-r",{"user_id":2,"user_info":{"name":"user 2"}}]`)
	if n := p.hasty.Load(); n != 1 || p.countLingering() != 1 {
		t.Errorf("%d were not waited for, and %d are", n, p.countLingering())
	}
}

// A heldBus answers when a test lets it, or not in time.
type heldBus struct {
	presence.Bus
	let chan struct{}

	mu        sync.Mutex // guards what follows
	now, most int        // questions at once
}

func (b *heldBus) Ask(ctx context.Context, kind byte, body []byte) (answers map[string][]byte, silent []string) {
	b.count(1)
	defer b.count(-1)
	select {
	case <-b.let:
	case <-ctx.Done():
	}
	return b.Bus.Ask(ctx, kind, body)
}

func (b *heldBus) count(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now += n
	b.most = max(b.most, b.now)
}

func (b *heldBus) asked() (now, most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now, b.most
}

// TestListsAtOnce has no more questions about all channels be asked at once than may be, and who waits
// for its turn too long be told so.
func TestListsAtOnce(t *testing.T) {
	engine := presencetest.New()
	t.Cleanup(engine.Close)
	bus := &heldBus{let: make(chan struct{})}
	p := nodePlace(t, engine.Node("a", nil), func(c *Config) { bus.Bus, c.Bus = c.Bus, bus })
	w := p.page("40")
	w.join("orders", "", 0)
	list := func(ctx context.Context) (n int, err error) {
		for _, err := range (door{p.Dialect}).Channels(ctx, "") {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	var asking sync.WaitGroup
	for range 3 * maxLists {
		asking.Go(func() { // ends with let
			if n, err := list(t.Context()); n != 1 || err != nil {
				t.Errorf("%d channels, %v", n, err)
			}
		})
	}
	until(t, "as many ask as may", func() bool { now, _ := bus.asked(); return now == maxLists })
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := list(over); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(bus.let)
	asking.Wait()
	if _, most := bus.asked(); most != maxLists {
		t.Errorf("%d ask at once, want %d", most, maxLists)
	}

	alone := newPlace(t, nil)
	for range maxLists {
		alone.lists <- struct{}{}
	}
	var got error
	for _, err := range (door{alone.Dialect}).Channels(over, "") {
		got = err
	}
	if !errors.Is(got, context.Canceled) {
		t.Errorf("in one process: %v", got)
	}
}
