package hub

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// broker joins hubs that stand for nodes: what one publishes is delivered by all.
type broker struct {
	t    *testing.T
	hubs []*Hub // set once

	mu       sync.Mutex // guards what follows
	occupied map[string]bool
	calls    []string
	number   uint64 // of the last publication
}

func (b *broker) Publish(p *Publication, done func(Handed)) {
	b.mu.Lock()
	b.number++
	at := Position{Epoch: 7, Number: b.number}
	b.mu.Unlock()
	took := 0
	for _, h := range b.hubs {
		took += h.DeliverAt(p, at)
	}
	if done != nil {
		done(Handed{Took: took, Nodes: len(b.hubs)})
	}
}

// publish sends p, and returns how many connections took it.
func publish(h *Hub, p *Publication) (took int) {
	h.Send(p, func(got Handed) { took = got.Took })
	return took
}

func (b *broker) Occupied(app, room string, everyone bool) { b.note("+", app, room, everyone) }
func (b *broker) Vacated(app, room string, everyone bool)  { b.note("-", app, room, everyone) }

func (b *broker) note(sign, app, room string, everyone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := fmt.Sprint(app, "/", room, " ", everyone)
	b.calls = append(b.calls, sign+key)
	if b.occupied[key] == (sign == "+") {
		b.t.Errorf("%s%s when that was so already", sign, key)
	}
	b.occupied[key] = true
	if sign == "-" {
		delete(b.occupied, key)
	}
}

// log is an order of all publications.
type log struct {
	mu     sync.Mutex // held while one is delivered; guards events
	events []string
}

func (*log) Keeps(string) bool { return true }

func (l *log) Append(p *Publication, deliver func(Position)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, p.App+"/"+p.Room+":"+p.Event)
	deliver(Position{1, uint64(len(l.events))})
}

func (l *log) AppendAt(p *Publication, at Position, deliver func(Position)) {
	l.Append(p, func(Position) { deliver(at) })
}

func (*log) Reach(string, Position) {}

func (*log) Read(string, []Span, Wanted) Excerpt { return Excerpt{} }

func (*log) Hold(string, func(Position, Reader)) {}
func (*log) Forget(string)                       {}
func (*log) Filled(string) (none, _ Position)    { return none, none }

// Two nodes: both deliver what either publishes, and each says what it is there for.
func TestBroker(t *testing.T) {
	b := &broker{t: t, occupied: make(map[string]bool)}
	b.hubs = []*Hub{NewWith(b, nil), NewWith(b, nil)}
	var boxes [2]inbox
	one, other := b.hubs[0], b.hubs[1]
	s := one.Register("app", "s", 2, &kind{}, &boxes[0])
	_ = one.Join(s, "r")
	b.occupied = make(map[string]bool) // each node has seats of its own
	u := other.Register("app", "u", 2, &kind{}, &boxes[1])
	r := other.Open("app", "r")
	if _, err := r.Join(u, Member{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	r.Close()
	second := other.Register("app", "v", 2, &kind{}, &inbox{})
	_ = other.Join(second, "r")
	if err := other.Replace(second, other.Register("app", "w", 2, &kind{}, &inbox{}), "r"); err != nil {
		t.Fatal(err)
	}
	took := publish(one, &Publication{App: "app", Room: "r", Event: "1"}) + publish(other, &Publication{App: "app", Room: "r", Event: "2", Except: "s"})
	took += publish(other, &Publication{App: "app", Everyone: true, Event: "3"})
	if boxes[0].got() != "1 3" || boxes[1].got() != "1 2 3" || took != 3+2+4 {
		t.Errorf("%q and %q, %d took it", boxes[0].got(), boxes[1].got(), took)
	}
	want := []string{"+app/app true", "+app/r false", "+app/app true", "+app/r false"}
	if !slices.Equal(b.calls, want) {
		t.Errorf("the broker was told %q, want %q", b.calls, want)
	}
	b.calls = nil
	r = other.Open("app", "r")
	other.Leave(second, "r")
	r.Leave(u, "a")
	r.Close()
	if got := strings.Join(b.calls, " "); got != "" {
		t.Errorf("the broker was told %q while somebody is there", got)
	}
	if st := one.Stats(); st.Published != 1 || st.Delivered != 2 {
		t.Errorf("stats %+v", st)
	}
}

// TestBridgeAndSeams has an event cross a bridge: it is entered and carried once in
// each app, although nobody is there.
func TestBridgeAndSeams(t *testing.T) {
	l := new(log)
	b := &broker{t: t, occupied: make(map[string]bool)}
	h := NewWith(b, l)
	b.hubs = []*Hub{h}
	h.Bridge("x", "y", func(p *Publication) bool { return true })
	h.Publish(&Publication{App: "x", Room: "r", Event: "1"})
	h.Publish(&Publication{App: "y", Room: "r", Event: "2"})
	if want := []string{"x/r:1", "y/r:1", "y/r:2"}; !slices.Equal(l.events, want) {
		t.Errorf("entered %q, want %q", l.events, want)
	}
}

// TestLogOrder publishes to several rooms at once: a subscriber of all gets the events
// in the order of the log, and one who is seated while the log is held misses none and
// gets none twice.
func TestLogOrder(t *testing.T) {
	l := new(log)
	h, k := NewWith(nil, l), &kind{}
	const rooms = 8
	var all inbox
	s := h.Register("", "all", rooms, k, &all)
	for i := range rooms {
		if err := h.Join(s, strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for i := range rooms {
		wg.Go(func() {
			for n := range 100 {
				if h.Publish(&Publication{Room: strconv.Itoa(i), Event: fmt.Sprint(i, ".", n)}) == 0 {
					t.Error("nobody took it")
				}
			}
		})
	}
	late := make([]inbox, 20)
	for i := range late {
		l.mu.Lock()
		missed := make([][]byte, 0, len(l.events))
		for _, e := range l.events {
			if after, ok := strings.CutPrefix(e, "/3:"); ok {
				missed = append(missed, []byte(after))
			}
		}
		if err := h.Join(h.Register("", "", 1, k, &late[i]), "3", missed...); err != nil {
			t.Error(err)
		}
		l.mu.Unlock()
	}
	wg.Wait()
	var want, of3 []string
	for _, e := range l.events {
		room, event, _ := strings.Cut(e[1:], ":")
		want = append(want, event)
		if room == "3" {
			of3 = append(of3, event)
		}
	}
	if all.got() != strings.Join(want, " ") {
		t.Error("a subscriber saw another order than the log's")
	}
	for i := range late {
		if late[i].got() != strings.Join(of3, " ") {
			t.Errorf("who came later saw %q", late[i].got())
		}
	}
}
