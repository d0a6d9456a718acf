package history

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/hub"
)

// plain writes an event's name, and numbered its position behind that.
type plain struct{}

func (plain) Encode(p *hub.Publication) []byte { return []byte(p.Event) }

type numbered struct{}

func (numbered) Encode(p *hub.Publication) []byte {
	return append(append([]byte(p.Event), ' '), hub.NoPosition...)
}

func (numbered) Place(frame []byte, at hub.Position) { at.Put(frame[len(frame)-hub.PositionSize:]) }

// A page is a receiver, and what its client has seen.
type page struct {
	mu   sync.Mutex // guards what follows
	seen []string
	full bool
}

func (p *page) Deliver(frame []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full {
		return false
	}
	p.seen = append(p.seen, string(frame))
	return true
}

func (p *page) take() (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list, p.seen = p.seen, nil
	return list
}

// site is a hub with a log, and one subscriber of it.
func site(t *testing.T, cfg Config) (*hub.Hub, *Log) {
	t.Helper()
	if cfg.Age == 0 {
		cfg.Age = time.Minute
	}
	l := New(cfg, "")
	return hub.NewWith(nil, l), l
}

// A client is a subscriber with its trail.
type client struct {
	page
	sub   *hub.Subscriber
	trail hub.Trail
}

func connect(h *hub.Hub, id string) *client {
	c := new(client)
	c.sub, _ = h.RegisterKept("", id, 100, plain{}, &c.page, &c.trail)
	return c
}

// ask recovers rooms and returns what that gave, as the number of events and whether it
// was whole.
func (c *client) ask(t *testing.T, h *hub.Hub, a *hub.Ask) hub.Recovery {
	t.Helper()
	a.Encoder = numbered{}
	got, err := h.Recover(c.sub, &c.trail, a)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func publish(h *hub.Hub, room string, events ...string) {
	for _, e := range events {
		h.Publish(&hub.Publication{Room: room, Event: e})
	}
}

// at is an event as a client that has asked for positions sees it.
func at(head hub.Position, event string, n uint64) string {
	return event + " " + hub.Position{Epoch: head.Epoch, Number: n}.String()
}

// Who comes back gets nothing of a room from before it joined that, and nothing at all where it
// would have joined what is not there yet.
func TestReturnBehindTheJoin(t *testing.T) {
	h, _ := site(t, Config{})
	c := connect(h, "c")
	start := c.ask(t, h, &hub.Ask{Rooms: []string{"r"}}).Head
	publish(h, "r", "1")
	publish(h, "late", "2")
	if err := h.JoinKept(c.sub, &c.trail, "late"); err != nil {
		t.Fatal(err)
	}
	joined, _ := h.Joined(c.sub, &c.trail)
	if !maps.Equal(joined, map[string]uint64{"r": 0, "late": 2}) {
		t.Fatalf("joined at %v", joined)
	}
	publish(h, "late", "3")
	h.Unregister(c.sub)
	again := func(joined map[string]uint64) *client {
		c := new(client)
		c.sub = h.Return("", "c", 100, &c.page, &c.trail, &hub.Ask{
			Rooms: []string{"r", "late"}, After: start, Joined: joined, JoinedIn: start.Epoch, Encoder: numbered{}})
		return c
	}
	back := again(joined)
	if got := back.take(); !slices.Equal(got, []string{at(start, "1", 1), at(start, "3", 3)}) {
		t.Errorf("saw %q", got)
	}
	if got, _ := h.Joined(back.sub, &back.trail); !maps.Equal(got, joined) {
		t.Errorf("joined at %v, and at %v when it came back", joined, got)
	}
	if never := again(map[string]uint64{"late": 4}); never.sub != nil || never.take() != nil {
		t.Error("who joined what is not there yet came back")
	}
}

// An engine that lost all that it knew begins another log, and who is there stays: what it joined at and has had
// is of the one before, and hides nothing of the new one, and brings nothing of that twice.
func TestAnotherLog(t *testing.T) {
	h, _ := site(t, Config{})
	bring := func(epoch, from, to uint64) {
		for n := from; n <= to; n++ {
			h.DeliverAt(&hub.Publication{Room: "r", Event: fmt.Sprint(n)}, hub.Position{Epoch: epoch, Number: n})
		}
	}
	events := func(from, to uint64) (list []string) {
		for n := from; n <= to; n++ {
			list = append(list, at(hub.Position{Epoch: 2}, fmt.Sprint(n), n))
		}
		return list
	}
	bring(1, 1000, 1000)
	c, stays := connect(h, "c"), connect(h, "stays")
	for _, c := range []*client{c, stays} {
		c.ask(t, h, &hub.Ask{Rooms: []string{"r"}, Encoder: numbered{}})
	}
	bring(2, 1, 998)
	c.take()
	stays.take()
	if got := stays.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: hub.Position{Epoch: 2, Number: 990}}); !got.Whole || got.Missed != 0 {
		t.Errorf("who has had everything is told %+v", got)
	}
	joined, epoch := h.Joined(c.sub, &c.trail)
	if epoch != 2 || joined["r"] != 0 {
		t.Errorf("joined at %v of %d", joined, epoch)
	}
	h.Unregister(c.sub)
	bring(2, 999, 1003)
	for _, in := range []struct {
		joined map[string]uint64
		epoch  uint64
	}{{joined, epoch}, {map[string]uint64{"r": 1000}, 1}, {map[string]uint64{"r": 5000}, 1}} {
		back := new(client)
		back.sub = h.Return("", "c", 100, &back.page, &back.trail, &hub.Ask{Rooms: []string{"r"},
			After: hub.Position{Epoch: 2, Number: 998}, Joined: in.joined, JoinedIn: in.epoch, Encoder: numbered{}})
		if got := back.take(); back.sub == nil || !slices.Equal(got, events(999, 1003)) {
			t.Errorf("joined at %v of %d: came back: %v, with %q", in.joined, in.epoch, back.sub != nil, got)
		}
		h.Unregister(back.sub)
	}
}

func TestRecover(t *testing.T) {
	h, l := site(t, Config{})
	c := connect(h, "c")
	start := c.ask(t, h, &hub.Ask{Rooms: []string{"r"}})
	if start.Missed != 0 || !start.Whole || start.Head.Number != 0 {
		t.Errorf("who starts now is told %+v", start)
	}
	publish(h, "r", "1", "2")
	publish(h, "other", "3")
	head := start.Head
	if got := c.take(); !slices.Equal(got, []string{at(head, "1", 1), at(head, "2", 2)}) {
		t.Errorf("saw %q", got)
	}
	h.Unregister(c.sub)
	publish(h, "r", "4")
	h.Publish(&hub.Publication{Everyone: true, Event: "5"})
	publish(h, "other", "6")
	publish(h, "r", "7")

	head.Number = 2
	c = connect(h, "d")
	got := c.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: head})
	publish(h, "r", "8")
	want := []string{at(head, "4", 4), at(head, "5", 5), at(head, "7", 7), at(head, "8", 8)}
	if seen := c.take(); !slices.Equal(seen, want) || !got.Whole || got.Missed != 3 || got.Head.Number != 7 {
		t.Errorf("saw %q and was told %+v", seen, got)
	}
	// The same again, and an older one, give only what this connection has not had.
	if got = c.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: head}); got.Missed != 0 || !got.Whole {
		t.Errorf("twice the same gives %+v", got)
	}
	head.Number = 1
	if got = c.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: head}); got.Missed != 1 || !got.Whole {
		t.Errorf("an older position gives %+v", got)
	}
	// The other room at the same position: its own alone, for everyone had been told.
	c.take()
	if got = c.ask(t, h, &hub.Ask{Rooms: []string{"other"}, After: head}); got.Missed != 2 {
		t.Errorf("another room gives %+v, %q", got, c.take())
	}
	l.check(t)
}

// A join without a position, before the one with it, takes nothing away: neither resets
// the other.
func TestPlainJoinComesFirst(t *testing.T) {
	h, _ := site(t, Config{})
	publish(h, "r", "1", "2")
	c := connect(h, "c")
	if err := h.JoinKept(c.sub, &c.trail, "r"); err != nil {
		t.Fatal(err)
	}
	publish(h, "r", "3")
	head := c.ask(t, h, &hub.Ask{Rooms: []string{"r"}}).Head
	head.Number = 1
	got := c.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: head})
	if seen := c.take(); !slices.Equal(seen, []string{"3", at(head, "2", 2)}) || !got.Whole || got.Missed != 1 {
		t.Errorf("saw %q, %+v", seen, got)
	}
	// And a plain one after it: nothing again, nothing lost.
	if err := h.JoinKept(c.sub, &c.trail, "r"); err != nil {
		t.Fatal(err)
	}
	head.Number = 2
	got = c.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: head})
	publish(h, "r", "4")
	if seen := c.take(); got.Missed != 0 || !slices.Equal(seen, []string{at(head, "4", 4)}) {
		t.Errorf("saw %q, %+v", seen, got)
	}
}

func TestNotRecoverable(t *testing.T) {
	h, _ := site(t, Config{Events: 2})
	publish(h, "r", "1", "2", "3", "4")
	other := New(Config{Age: time.Minute}, "").apps[""].epoch
	mine := connect(h, "m").ask(t, h, &hub.Ask{}).Head
	tests := []struct {
		name  string
		ask   hub.Ask
		whole bool
		n     int
	}{
		{"covered", hub.Ask{After: hub.Position{Epoch: mine.Epoch, Number: 2}}, true, 2},
		{"too old", hub.Ask{After: hub.Position{Epoch: mine.Epoch, Number: 1}}, false, 0},
		{"of another log", hub.Ask{After: hub.Position{Epoch: other, Number: 3}}, false, 0},
		{"of the future", hub.Ask{After: hub.Position{Epoch: mine.Epoch, Number: 5}}, false, 0},
		{"the greatest there is", hub.Ask{After: hub.Position{Epoch: ^uint64(0), Number: ^uint64(0)}}, false, 0},
		{"more than fits", hub.Ask{After: hub.Position{Epoch: mine.Epoch, Number: 2}, Fits: func(int, int) bool { return false }}, false, 0},
		{"all", hub.Ask{Last: -1}, false, 2},
		{"one", hub.Ask{Last: 1}, true, 1},
		{"three", hub.Ask{Last: 3}, false, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(h, "c")
			tt.ask.Rooms = []string{"r"}
			got := c.ask(t, h, &tt.ask)
			if seen := c.take(); got.Whole != tt.whole || got.Missed != tt.n || len(seen) != tt.n || got.Head.Number != 4 {
				t.Errorf("told %+v, saw %q", got, seen)
			}
			h.Unregister(c.sub)
		})
	}
}

// What a client was left out of it is left out of when it comes back under its id.
func TestExceptInRecovery(t *testing.T) {
	h, _ := site(t, Config{})
	zero := connect(h, "x").ask(t, h, &hub.Ask{}).Head
	h.Publish(&hub.Publication{Room: "r", Event: "1", Except: "c"})
	publish(h, "r", "2")
	for id, want := range map[string]int{"c": 1, "d": 2} {
		// Position 0 is before all there are, but not none: its epoch says so.
		if got := connect(h, id).ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: zero}); got.Missed != want || !got.Whole {
			t.Errorf("%s is told %+v", id, got)
		}
	}
}

// A thousand who come back share the frames.
func TestFramesAreShared(t *testing.T) {
	h, _ := site(t, Config{})
	k := &counting{}
	zero := connect(h, "x").ask(t, h, &hub.Ask{}).Head
	publish(h, "r", "1", "2", "3")
	boxes := make([]*page, 50)
	for i := range boxes {
		c := new(client)
		c.sub, _ = h.RegisterKept("", strconv.Itoa(i), 1, k, keeper{&c.page}, &c.trail)
		if _, err := h.Recover(c.sub, &c.trail, &hub.Ask{Rooms: []string{"r"}, After: zero}); err != nil {
			t.Fatal(err)
		}
		boxes[i] = &c.page
	}
	for _, b := range boxes {
		if got := b.take(); len(got) != 3 {
			t.Errorf("got %q", got)
		}
	}
	if n := k.calls.Load(); n != 3 {
		t.Errorf("three events were encoded %d times", n)
	}
	kept.Lock()
	defer kept.Unlock()
	kept.frames = nil
}

// A replayer is a page that is told what its client asked for.
type replayer struct {
	page
	replayed page
}

func (r *replayer) Replay(frame []byte) bool { return r.replayed.Deliver(frame) }

// What a client missed comes by Replay, so that nobody waits for it, and what is published then
// by Deliver.
func TestMissedIsReplayed(t *testing.T) {
	h, _ := site(t, Config{})
	start := connect(h, "c").ask(t, h, &hub.Ask{Rooms: []string{"r"}})
	publish(h, "r", "1", "2")
	var r replayer
	c := new(client)
	c.sub, _ = h.RegisterKept("", "d", 100, plain{}, &r, &c.trail)
	if got := c.ask(t, h, &hub.Ask{Rooms: []string{"r"}, After: start.Head}); got.Missed != 2 {
		t.Errorf("it is told %+v", got)
	}
	publish(h, "r", "3")
	if got, want := r.replayed.take(), []string{at(start.Head, "1", 1), at(start.Head, "2", 2)}; !slices.Equal(got, want) {
		t.Errorf("replayed are %q, want %q", got, want)
	}
	if got, want := r.take(), []string{at(start.Head, "3", 3)}; !slices.Equal(got, want) {
		t.Errorf("delivered are %q, want %q", got, want)
	}
}

// keeper keeps the frames as an outbox does until they are written.
type keeper struct{ *page }

var kept struct {
	sync.Mutex
	frames [][]byte
}

func (k keeper) Deliver(frame []byte) bool {
	kept.Lock()
	kept.frames = append(kept.frames, frame)
	kept.Unlock()
	return k.page.Deliver(frame)
}

type counting struct{ calls atomic.Int64 }

func (c *counting) Encode(p *hub.Publication) []byte {
	c.calls.Add(1)
	return numbered{}.Encode(p)
}

func FuzzPosition(f *testing.F) {
	f.Add("0000000001-0000000002")
	f.Add("vvvvvvvvvv-vvvvvvvvvv")
	f.Add("0000000000-0000000000")
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := hub.ParsePosition(text); ok && p.String() != text {
			t.Errorf("%q is read as %v, which is written %q", text, p, p.String())
		}
	})
}

// Who asks for more than it can take, or wants into more rooms than it may, is answered
// without anything being copied, put in order or encoded: a stranger may ask on and on.
func TestMuchThatIsRefusedIsNotLookedAt(t *testing.T) {
	const events, asks = 20_000, 20
	h, _ := site(t, Config{Events: events, Bytes: 1 << 30})
	zero := connect(h, "x").ask(t, h, &hub.Ask{}).Head
	for range events {
		publish(h, "a", "e")
		publish(h, "b", "e")
	}
	many := []string{"a", "b"}
	for i := range 25_000 {
		many = append(many, strconv.Itoa(i))
	}
	never := func(int, int) bool { return false }
	for name, tt := range map[string]struct {
		ask  hub.Ask
		want error
	}{
		"all":            {hub.Ask{Rooms: many[:2], Last: -1, Fits: never}, nil},
		"an old place":   {hub.Ask{Rooms: many[:2], After: zero, Fits: never}, nil},
		"too many rooms": {hub.Ask{Rooms: many, Last: -1}, hub.ErrTooManyRooms},
	} {
		t.Run(name, func(t *testing.T) {
			k, c := &counting{}, new(client)
			c.sub, _ = h.RegisterKept("", "c", 100, k, &c.page, &c.trail)
			defer h.Unregister(c.sub)
			before := allocated()
			for range asks {
				if got, err := h.Recover(c.sub, &c.trail, &tt.ask); err != tt.want || got.Whole || got.Missed != 0 {
					t.Fatalf("told %+v, %v", got, err)
				}
			}
			// A list of all there are would be of 320 KB.
			if each := (allocated() - before) / asks; each > 32<<10 {
				t.Errorf("a question takes %d bytes", each)
			}
			if n := k.calls.Load(); n != 0 {
				t.Errorf("%d were encoded", n)
			}
			if got := len(c.sub.Rooms()); tt.want == nil && got != 2 || tt.want != nil && got != 0 {
				t.Errorf("is in %d rooms", got)
			}
		})
	}
	// What does not fit once it is encoded is encoded in part, and once.
	k, c := &counting{}, new(client)
	c.sub, _ = h.RegisterKept("", "c", 100, k, &c.page, &c.trail)
	few := func(_, bytes int) bool { return bytes < 10_000 }
	if got, err := h.Recover(c.sub, &c.trail, &hub.Ask{Rooms: many[:2], Last: -1, Fits: few}); err != nil || got.Whole || got.Missed != 0 {
		t.Errorf("told %+v, %v", got, err)
	}
	if n := k.calls.Load(); n == 0 || n > 1000 {
		t.Errorf("%d were encoded", n)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
