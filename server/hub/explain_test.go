package hub

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// client is a receiver that says of itself what a test wants.
type client struct {
	inbox
	kind  string
	waits bool
	why   string
	slow  bool
}

func (c *client) Describe() (string, bool) { return c.kind, c.waits }
func (c *client) Ending() (string, bool)   { return c.why, c.slow }

// picky encodes nothing of the name "no".
type picky struct{}

func (picky) Encode(p *Publication) []byte {
	if p.Event == "no" {
		return nil
	}
	return []byte(p.Event)
}

// told is an explanation in one line: what took it, who was in which app, and why not.
func told(e *Explanation) string {
	s := fmt.Sprint(e.Took)
	for _, p := range e.Parts {
		s += fmt.Sprintf(" %s(", p.App)
		for i, t := range p.Tallies {
			if i > 0 {
				s += ", "
			}
			s += strings.TrimSpace(fmt.Sprintf("%s %d/%d", t.Kind, t.Handed, t.Matched))
			if t.Waiting > 0 {
				s += fmt.Sprintf(" %d wait", t.Waiting)
			}
			for _, why := range []Cause{Excluded, TooSlow, Closed, RefusedName} {
				if n := t.LeftOut[why]; n > 0 {
					s += fmt.Sprintf(" %s %d", why, n)
				}
			}
		}
		s += ")"
	}
	for _, why := range e.Causes {
		s += " " + string(why)
	}
	for _, d := range e.Left {
		s += fmt.Sprintf(" -%s:%s", d.ID, d.Why)
	}
	return s
}

// stage is a hub with an app x, whose room r has a client of each fate, an app y that
// there is a bridge to, and an app z.
func stage(t *testing.T) *Hub {
	h, k := New(), &kind{}
	for _, c := range []struct {
		app, id, rooms string
		enc            Encoder
		recv           Receiver
	}{
		{"x", "a", "r", k, &client{kind: "fast"}},
		{"x", "b", "r", k, &client{kind: "fast"}},
		{"x", "poll", "r polls", picky{}, &client{kind: "polling", waits: true}},
		{"x", "slow", "r", k, &client{inbox: inbox{full: true}, kind: "fast", why: "slow consumer", slow: true}},
		{"x", "going", "r", k, &client{inbox: inbox{full: true}, kind: "fast", why: "transport close"}},
		{"x", "mute", "mute", k, &inbox{full: true}},
		{"x", "lone", "lone", k, &inbox{}},
		{"y", "y", "r private", k, &client{kind: "there"}},
		{"z", "z", "z", k, &inbox{}},
	} {
		sub := h.Register(c.app, c.id, 10, c.enc, c.recv)
		for room := range strings.FieldsSeq(c.rooms) {
			if err := h.Join(sub, room); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.Bridge("x", "y", func(p *Publication) bool { return p.Room != "private" })
	return h
}

func TestExplain(t *testing.T) {
	for _, row := range []struct {
		name string
		pub  Publication
		want string
	}{
		{"a room of all sorts", Publication{App: "x", Room: "r", Event: "e"}, "4 x(polling 1/1 1 wait, fast 2/4 too_slow 1 closed 1) y(there 1/1)"},
		{"excluded", Publication{App: "x", Room: "r", Event: "e", Except: "a"}, "3 x(polling 1/1 1 wait, fast 1/4 excluded 1 too_slow 1 closed 1) y(there 1/1)"},
		{"excluded alone", Publication{App: "x", Room: "lone", Event: "e", Except: "lone"}, "0 x(0/1 excluded 1)"},
		{"excluded over the bridge", Publication{App: "x", Room: "r", Event: "e", Except: "y"}, "3 x(polling 1/1 1 wait, fast 2/4 too_slow 1 closed 1) y(there 0/1 excluded 1)"},
		{"a refused name", Publication{App: "x", Room: "polls", Event: "no"}, "0 x(polling 0/1 refused_name 1)"},
		{"a name that no bridge takes", Publication{App: "x", Room: "private", Event: "e"}, "0 x() y(there 0/1 refused_name 1)"},
		{"who says nothing of itself", Publication{App: "x", Room: "mute", Event: "e"}, "0 x(0/1 closed 1)"},
		{"no such room", Publication{App: "x", Room: "none", Event: "e"}, "0 x() no_such_room"},
		{"another app", Publication{App: "x", Room: "z", Event: "e"}, "0 x() other_app"},
		{"nobody there", Publication{App: "w", Room: "none", Event: "e"}, "0 w() nobody_there"},
		{"nobody there at all", Publication{App: "w", Everyone: true, Event: "e"}, "0 w() nobody_there"},
		{"everyone", Publication{App: "z", Everyone: true, Event: "e"}, "1 z(1/1)"},
		{"an app without a bridge", Publication{App: "y", Room: "r", Event: "e"}, "1 y(there 1/1)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := stage(t)
			if got := told(h.Explain(&row.pub)); got != row.want {
				t.Errorf("%s\nwant %s", got, row.want)
			}
			explained := h.Stats()
			h = stage(t)
			h.Publish(&row.pub)
			if published := h.Stats(); published != explained {
				t.Errorf("counts %+v, of an ordinary publication %+v", explained, published)
			}
		})
	}
}

// What Explain hands out is what Publish would, in its place in the order.
func TestExplainDelivers(t *testing.T) {
	h, k := New(), &kind{}
	var box inbox
	if err := h.Join(h.Register("", "a", 1, k, &box), "r"); err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{"1", "2", "3"} {
		if p := (&Publication{Room: "r", Event: event}); event == "2" {
			h.Explain(p)
		} else {
			h.Publish(p)
		}
	}
	if box.got() != "1 2 3" {
		t.Errorf("received %q", box.got())
	}
}

// A broker says how many there were, and no more; a log has what is explained in it.
func TestExplainSeams(t *testing.T) {
	b := &broker{t: t, occupied: make(map[string]bool)}
	b.hubs = []*Hub{NewWith(b, nil)}
	if err := b.hubs[0].Join(b.hubs[0].Register("", "a", 1, &kind{}, &inbox{}), "r"); err != nil {
		t.Fatal(err)
	}
	e := b.hubs[0].Explain(&Publication{Room: "r", Event: "1"})
	if e.Took != 1 || e.Matched() != 1 || e.Parts[0].Elsewhere != 1 || e.Causes != nil {
		t.Errorf("%+v", e)
	}
	l := new(log)
	h := NewWith(nil, l)
	if err := h.Join(h.Register("", "a", 1, &kind{}, &inbox{}), "r"); err != nil {
		t.Fatal(err)
	}
	if got := told(h.Explain(&Publication{Room: "r", Event: "1"})); got != "1 (1/1)" || !slices.Equal(l.events, []string{"/r:1"}) {
		t.Errorf("%s, entered %q", got, l.events)
	}
}

// Who left a room is known for a while, with why: the client went, or unsubscribed.
func TestExplainDepartures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, k := New(), &kind{}
		h.Remember()
		gone := h.Register("x", "gone", 10, k, &client{why: "ping timeout"})
		other := h.Register("x", strings.Repeat("o", 100), 10, k, &client{})
		for _, s := range []*Subscriber{gone, other} {
			for _, room := range []string{"r", "s"} {
				if err := h.Join(s, room); err != nil {
					t.Fatal(err)
				}
			}
		}
		long := strings.Repeat("o", 64)
		explain := func(room, want string) {
			t.Helper()
			if got := told(h.Explain(&Publication{App: "x", Room: room, Event: "e"})); got != want {
				t.Errorf("room %s: %s\nwant %s", room, got, want)
			}
		}
		h.Leave(other, "r")
		explain("r", "1 x(1/1) -"+long+":left the room")
		h.Unregister(gone)
		explain("r", "0 x() closed -gone:ping timeout -"+long+":left the room")
		explain("s", "1 x(1/1) -gone:ping timeout")
		explain("t", "0 x() no_such_room")
		closing := h.Register("x", "closing", 1, k, &client{why: "closed"})
		if err := h.Join(closing, "u"); err != nil {
			t.Fatal(err)
		}
		h.Leave(closing, "u") // because its connection is ending
		explain("u", "0 x() closed -closing:closed")
		h.Unregister(closing)
		h.Unregister(other)
		if got := told(h.Explain(&Publication{App: "x", Everyone: true})); got != "0 x() closed -"+long+": -closing:closed -gone:ping timeout" {
			t.Error(got)
		}
		time.Sleep(lately + time.Second)
		explain("r", "0 x() nobody_there")
	})
}

// The memory is bounded, however many leave, and keeps the newest.
func TestDeparturesAreBounded(t *testing.T) {
	h, k := New(), &kind{}
	h.Remember()
	for i := range 3 * maxDepartures {
		s := h.Register("x", fmt.Sprint(i), 1, k, &inbox{})
		if err := h.Join(s, "r"); err != nil {
			t.Fatal(err)
		}
		h.Unregister(s)
	}
	e := h.Explain(&Publication{App: "x", Room: "r"})
	if len(e.Left) != maxLeft || e.Left[0].ID != fmt.Sprint(3*maxDepartures-1) || e.Left[maxLeft-1].ID != fmt.Sprint(3*maxDepartures-maxLeft) {
		t.Errorf("%d left: %+v", len(e.Left), e.Left)
	}
	memory := h.departed.Load()
	for i := range memory {
		if n := len(memory[i].ring); n > maxDepartures {
			t.Errorf("%d departures are kept for one shard", n)
		}
	}
}

// TestExplainChurn explains while everything else goes on.
func TestExplainChurn(t *testing.T) {
	h, k := New(), &kind{}
	h.Remember()
	h.Bridge("x", "y", func(*Publication) bool { return true })
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 200 {
				s := h.Register([]string{"x", "y"}[i%2], fmt.Sprint(i, n), 2, k, &client{})
				_ = h.Join(s, "r")
				e := h.Explain(&Publication{App: "x", Room: "r", Event: "e"})
				if i%2 == 0 && e.Took == 0 {
					t.Error("who is in the room was not reached")
				}
				if n%2 == 0 {
					h.Leave(s, "r")
				}
				h.Unregister(s)
			}
		})
	}
	wg.Wait()
	if err := h.check(); err != nil {
		t.Error(err)
	}
}

func BenchmarkExplain(b *testing.B) {
	h, k := New(), &fixed{}
	boxes := make([]drain, 100)
	for i := range boxes {
		_ = h.Join(h.Register("", fmt.Sprint(i), 1, k, &boxes[i]), "r")
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Explain(&Publication{Room: "r", Event: "e"})
	}
}
