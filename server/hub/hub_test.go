package hub

import (
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

// kind is an encoder that counts how often it was asked.
type kind struct {
	prefix string
	mu     sync.Mutex
	calls  int
}

func (k *kind) Encode(p *Publication) []byte {
	k.mu.Lock()
	k.calls++
	k.mu.Unlock()
	return []byte(k.prefix + p.Event + string(p.Data))
}

// inbox is a receiver that keeps what it was given, up to a bound.
type inbox struct {
	mu     sync.Mutex
	frames []string
	full   bool
}

func (b *inbox) Deliver(frame []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return false
	}
	b.frames = append(b.frames, string(frame))
	return true
}

func (b *inbox) got() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.frames, " ")
}

func TestPublishReaches(t *testing.T) {
	tests := []struct {
		name string
		pub  Publication
		want string // what a, b and c receive
	}{
		{"a room", Publication{Room: "r", Event: "1"}, "1|1|"},
		{"everyone", Publication{Everyone: true, Event: "1"}, "1|1|1"},
		{"a room nobody is in", Publication{Room: "empty", Event: "1"}, "||"},
		// An id is no address: b is in the room named by a's id, and nobody in that of c's.
		{"an id somebody joined", Publication{Room: "a", Event: "1"}, "|1|"},
		{"an id nobody joined", Publication{Room: "c", Event: "1"}, "||"},
		{"a room but for one", Publication{Room: "r", Event: "1", Except: "a"}, "|1|"},
		{"everyone but for one", Publication{Everyone: true, Event: "1", Except: "c"}, "1|1|"},
		{"another app", Publication{App: "other", Room: "r", Event: "1"}, "||"},
		// Everyone is a flag, not a room: a room with an empty name is ordinary.
		{"the room with no name", Publication{Room: "", Event: "1"}, "||1"},
		{"a name from JavaScript's prototype", Publication{Room: "__proto__", Event: "1"}, "1||"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, k := New(), &kind{}
			var boxes [3]inbox
			var subs [3]*Subscriber
			for i, id := range []string{"a", "b", "c"} {
				subs[i] = h.Register("", id, 10, k, &boxes[i])
			}
			join := func(i int, room string) {
				t.Helper()
				if err := h.Join(subs[i], room); err != nil {
					t.Fatal(err)
				}
			}
			join(0, "r")
			join(0, "r")
			join(1, "r")
			join(1, "a")
			join(2, "")
			join(0, "__proto__")
			took := h.Publish(&tt.pub)
			got := boxes[0].got() + "|" + boxes[1].got() + "|" + boxes[2].got()
			if got != tt.want {
				t.Errorf("received %q, want %q", got, tt.want)
			}
			if want := strings.Count(tt.want, "1"); took != want {
				t.Errorf("Publish reports %d, want %d", took, want)
			}
			if err := h.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// An empty id is an id like any other, although an empty Except stands for none.
func TestEmptyID(t *testing.T) {
	h := New()
	var b inbox
	if err := h.Join(h.Register("", "", 1, &kind{}, &b), ""); err != nil {
		t.Fatal(err)
	}
	if took := h.Publish(&Publication{Room: "", Event: "e"}); took != 1 || b.got() != "e" {
		t.Errorf("took %d, %q", took, b.got())
	}
}

// bell is a receiver that counts, and wants no frame.
type bell struct{ rings, frames int }

func (b *bell) Deliver(frame []byte) bool {
	b.rings++
	if frame != nil {
		b.frames++
	}
	return true
}

func TestWithoutEncoderIsRung(t *testing.T) {
	h := New()
	var b bell
	var box inbox
	for id, s := range map[string]*Subscriber{
		"bell": h.Register("", "bell", 1, nil, &b), "box": h.Register("", "box", 1, &kind{}, &box), "none": h.Register("", "none", 1, none{}, &inbox{}),
	} {
		if err := h.Join(s, "r"); err != nil {
			t.Fatal(id, err)
		}
	}
	for _, p := range []Publication{{Room: "r", Event: "1"}, {Everyone: true, Event: "2"}, {Room: "r", Event: "3", Except: "bell"}, {Room: "s", Event: "4"}} {
		h.Publish(&p)
	}
	if b.rings != 2 || b.frames != 0 || box.got() != "1 2 3" {
		t.Errorf("%d rings, %d frames, %q beside it", b.rings, b.frames, box.got())
	}
	if got := h.Stats(); got != (Stats{Published: 4, Delivered: 5}) {
		t.Errorf("stats %+v", got)
	}
}

func TestEncodesOncePerKind(t *testing.T) {
	h := New()
	kinds := []*kind{{prefix: "x"}, {prefix: "y"}, {prefix: "z"}, {prefix: "u"}, {prefix: "v"}, {prefix: "w"}}
	boxes := make([]inbox, 60)
	for i := range boxes {
		s := h.Register("", strconv.Itoa(i), 1, kinds[i%len(kinds)], &boxes[i])
		if err := h.Join(s, "r"); err != nil {
			t.Fatal(err)
		}
	}
	if took := h.Publish(&Publication{Room: "r", Event: "e"}); took != len(boxes) {
		t.Fatalf("took %d of %d", took, len(boxes))
	}
	for i, k := range kinds {
		if k.calls != 1 {
			t.Errorf("encoder %d was asked %d times", i, k.calls)
		}
	}
	for i := range boxes {
		if want := kinds[i%len(kinds)].prefix + "e"; boxes[i].got() != want {
			t.Errorf("subscriber %d got %q, want %q", i, boxes[i].got(), want)
		}
	}
}

// none is an encoder for connections that must not get anything.
type none struct{}

func (none) Encode(*Publication) []byte { return nil }

func TestNilFrameReachesNobody(t *testing.T) {
	h := New()
	var in, out inbox
	for id, s := range map[string]*Subscriber{
		"in": h.Register("", "in", 1, &kind{}, &in), "out": h.Register("", "out", 1, none{}, &out),
	} {
		if err := h.Join(s, "r"); err != nil {
			t.Fatal(id, err)
		}
	}
	took := h.Publish(&Publication{Room: "r", Event: "e"}) + h.Publish(&Publication{Room: "nobody", Event: "e"})
	if took != 1 || in.got() != "e" || out.got() != "" {
		t.Errorf("took %d, %q and %q", took, in.got(), out.got())
	}
	if got := h.Stats(); got != (Stats{Published: 2, Delivered: 1}) {
		t.Errorf("stats %+v", got)
	}
}

func TestRefusedIsCountedAndNotReported(t *testing.T) {
	h, k := New(), &kind{}
	var well, stuck inbox
	stuck.full = true
	for id, b := range map[string]*inbox{"well": &well, "stuck": &stuck} {
		if err := h.Join(h.Register("", id, 1, k, b), "r"); err != nil {
			t.Fatal(err)
		}
	}
	if took := h.Publish(&Publication{Room: "r", Event: "e"}); took != 1 {
		t.Errorf("took %d, want 1", took)
	}
	if got := h.Stats(); got != (Stats{Published: 1, Delivered: 1, Refused: 1}) {
		t.Errorf("stats %+v", got)
	}
}

// empty fails unless the hub keeps nothing.
func empty(t *testing.T, h *Hub) {
	t.Helper()
	if err := h.check(); err != nil {
		t.Error(err)
	}
	for i := range h.shards {
		for _, in := range h.shards[i].all() {
			t.Errorf("app %q: room %q is kept for nobody", in.app, in.name)
		}
	}
}

func TestRoomsAreBounded(t *testing.T) {
	h, k := New(), &kind{}
	var b inbox
	s := h.Register("", "a", 40, k, &b)
	for i := range 40 {
		if err := h.Join(s, strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Join(s, "one more"); err != ErrTooManyRooms {
		t.Errorf("join 41 gives %v", err)
	}
	if err := h.Join(s, "7"); err != nil {
		t.Errorf("joining again at the bound gives %v", err)
	}
	if !h.Leave(s, "7") || h.Leave(s, "7") {
		t.Error("Leave must report whether the subscriber was there")
	}
	if err := h.Join(s, "one more"); err != nil {
		t.Errorf("join after leave gives %v", err)
	}
	names := s.Rooms()
	sort.Strings(names)
	if len(names) != 40 || names[39] != "one more" {
		t.Errorf("rooms %v", names)
	}
	h.Unregister(s)
	h.Unregister(s)
	if err := h.Join(s, "late"); err != ErrClosed {
		t.Errorf("join after unregister gives %v", err)
	}
	empty(t, h)
}

// meanwhile does something on another goroutine, again and again, until the test has
// failed, is over, or calls what it returns, which waits for the last time.
func meanwhile(t *testing.T, do func(n int)) (stop func()) {
	t.Helper()
	var over atomic.Bool
	var running sync.WaitGroup
	running.Go(func() {
		for n := 0; !over.Load() && !t.Failed(); n++ {
			do(n)
		}
	})
	stop = func() {
		over.Store(true)
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// TestOrder publishes from one goroutine while others come and go: each
// subscriber sees the events in the order they were accepted.
func TestOrder(t *testing.T) {
	h, k := New(), &kind{}
	boxes := make([]inbox, 50)
	stop := meanwhile(t, func(i int) {
		s := h.Register("", "x"+strconv.Itoa(i), 1, &kind{}, &inbox{})
		if err := h.Join(s, "r"); err != nil {
			t.Error(err)
		}
		h.Unregister(s)
	})
	for i := range boxes {
		if err := h.Join(h.Register("", strconv.Itoa(i), 1, k, &boxes[i]), "r"); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for i := range 500 {
		e := strconv.Itoa(i)
		want = append(want, e)
		h.Publish(&Publication{Room: "r", Everyone: i%5 == 0, Event: e})
	}
	stop()
	for i := range boxes {
		if boxes[i].got() != strings.Join(want, " ") {
			t.Fatalf("subscriber %d saw another order", i)
		}
	}
}

func TestOneMoreSubscriberAllocatesNothing(t *testing.T) {
	h, k := New(), &fixed{}
	boxes := make([]drain, 1000)
	for i := range boxes {
		if err := h.Join(h.Register("", strconv.Itoa(i), 1, k, &boxes[i]), "r"); err != nil {
			t.Fatal(err)
		}
	}
	p := &Publication{Room: "r", Event: "e"}
	if got := testing.AllocsPerRun(50, func() { h.Publish(p) }); got != 0 {
		t.Errorf("publishing to 1000 subscribers allocates %v times", got)
	}
}

type fixed struct{ frame [8]byte }

func (f *fixed) Encode(*Publication) []byte { return f.frame[:] }

type drain struct{ n int }

func (d *drain) Deliver([]byte) bool { d.n++; return true }

func TestWelcomeComesFirst(t *testing.T) {
	h, k := New(), &kind{}
	stop := meanwhile(t, func(int) { h.Publish(&Publication{Room: "r", Event: "e"}) })
	for i := range 200 {
		var b inbox
		s := h.Register("", strconv.Itoa(i), 1, k, &b)
		if err := h.Join(s, "r", []byte("hello"), []byte("last")); err != nil {
			t.Fatal(err)
		}
		if err := h.Join(s, "r", []byte("again")); err != nil {
			t.Fatal(err)
		}
		h.Unregister(s)
		if got := b.got(); !strings.HasPrefix(got, "hello last") || strings.Contains(got, "again") {
			t.Fatalf("received %.60q", got)
		}
	}
	stop()
}

// There may be as many of these as there are clients.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(room{}); n > 96 {
		t.Errorf("a room takes %d bytes", n)
	}
	if n := unsafe.Sizeof(Subscriber{}); n > 128 {
		t.Errorf("a subscriber takes %d bytes", n)
	}
	if n := unsafe.Sizeof(seat{}); n > 32 {
		t.Errorf("a seat takes %d bytes", n)
	}
	if n := unsafe.Sizeof(Roster{}); n > 80 {
		t.Errorf("a roster takes %d bytes", n)
	}
}
