package hub

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"poosh/server/latency"
)

// answers is a broker that answers with what it was given, one after the other, and delivers
// nothing.
type answers struct {
	give []Handed
	got  []Publication
}

func (a *answers) Publish(p *Publication, done func(Handed)) {
	a.got = append(a.got, *p)
	if done != nil {
		done(a.give[0])
		a.give = a.give[1:]
	}
}
func (*answers) Occupied(string, string, bool) {}
func (*answers) Vacated(string, string, bool)  {}

// TestSendSums: who sends over bridges is told of all of it, once, and that nothing was published
// only if that is so.
func TestSendSums(t *testing.T) {
	away, other := errors.New("away"), errors.New("other")
	for _, tt := range []struct {
		give []Handed
		want Handed
	}{
		{[]Handed{{3, 2, nil}, {4, 5, nil}, {1, 1, nil}}, Handed{8, 5, nil}},
		{[]Handed{{3, 2, nil}, {-1, 5, nil}, {1, 1, nil}}, Handed{-1, 5, nil}},
		{[]Handed{{0, 0, away}, {0, 0, other}, {0, 0, other}}, Handed{0, 0, away}},
		{[]Handed{{0, 0, away}, {0, 0, ErrUncertain}, {0, 0, away}}, Handed{0, 0, ErrUncertain}},
		{[]Handed{{0, 0, away}, {1, 1, nil}, {0, 0, away}}, Handed{1, 1, ErrUncertain}},
		{[]Handed{{1, 1, nil}, {1, 1, nil}, {0, 0, away}}, Handed{2, 1, ErrUncertain}},
	} {
		a := &answers{give: tt.give}
		h := NewWith(a, nil)
		yes := func(*Publication) bool { return true }
		h.Bridge("x", "y", yes)
		h.Bridge("x", "z", yes)
		h.Bridge("y", "x", yes)
		h.Bridge("x", "none", func(*Publication) bool { return false })
		var told []Handed
		h.Send(&Publication{App: "x", Room: "r", Cached: 7}, func(got Handed) { told = append(told, got) })
		if len(told) != 1 || told[0] != tt.want {
			t.Errorf("%v: told %v, want %v", tt.give, told, tt.want)
		}
		if len(a.got) != 3 || a.got[1].App != "y" || a.got[2].App != "z" || a.got[0].Cached != 7 || a.got[1].Cached != 0 {
			t.Errorf("published %+v", a.got)
		}
	}
}

// TestSendAlone: in one process alone the answer is there at once; with a broker nobody needs one.
func TestSendAlone(t *testing.T) {
	h := New()
	if err := h.Join(h.Register("", "a", 1, &kind{}, &inbox{}), "r"); err != nil {
		t.Fatal(err)
	}
	var told []Handed
	h.Send(&Publication{Room: "r"}, func(got Handed) { told = append(told, got) })
	h.Send(&Publication{Room: "r"}, nil)
	if len(told) != 1 || told[0] != (Handed{Took: 1, Nodes: 1}) || h.Across() || h.Stats().Published != 2 {
		t.Errorf("told %v, %+v", told, h.Stats())
	}
	a := &answers{}
	h = NewWith(a, nil)
	h.Bridge("", "y", func(*Publication) bool { return true })
	if took := h.Publish(&Publication{Room: "r"}); took != 0 || len(a.got) != 2 || !h.Across() || h.Stats().Published != 1 {
		t.Errorf("%d took it, published %+v, %+v", took, a.got, h.Stats())
	}
}

// TestTogether: whatever becomes known first, who sent several is told once, by the last, that none was
// published only if that is so.
func TestTogether(t *testing.T) {
	for _, c := range []struct {
		became []error
		want   error
	}{
		{nil, nil},
		{[]error{nil}, nil},
		{[]error{nil, nil}, nil},
		{[]error{ErrAway, ErrFull}, ErrAway},
		{[]error{nil, ErrAway}, ErrUncertain},
		{[]error{ErrAway, nil}, ErrUncertain},
		{[]error{ErrFull, ErrUncertain}, ErrUncertain},
		{[]error{ErrUncertain, ErrAway}, ErrUncertain},
		{[]error{ErrAway, nil, ErrAway}, ErrUncertain},
	} {
		var told []error
		one := Together(len(c.became), func(h Handed) { told = append(told, h.Err) })
		for i, err := range c.became {
			if len(told) > 0 {
				t.Errorf("%v: told when %d were there", c.became, i)
			}
			one(Handed{Err: err})
		}
		if len(told) != 1 || told[0] != c.want {
			t.Errorf("%v: told %v, want %v", c.became, told, c.want)
		}
	}
}

// placing is an encoder of which each frame says where its publication stands.
type placing struct{ _ int } // of some size: encoders are told apart by their addresses

func (*placing) Encode(p *Publication) []byte { return []byte(NoPosition + p.Event) }
func (*placing) Place(frame []byte, at Position) {
	at.Put(frame)
}

// TestDeliverAt: what a broker brings to an app that is kept is entered where all processes have
// it, and says so; what has no place is delivered alone. No bridge is crossed.
func TestDeliverAt(t *testing.T) {
	l := new(log)
	h := NewWith(&answers{}, l)
	h.Bridge("x", "y", func(*Publication) bool { return true })
	var here, there inbox
	for app, box := range map[string]*inbox{"x": &here, "y": &there} {
		if err := h.Join(h.Register(app, app, 1, &placing{}, box), "r"); err != nil {
			t.Fatal(err)
		}
	}
	at := Position{Epoch: 9, Number: 7}
	took := h.DeliverAt(&Publication{App: "x", Room: "r", Event: "1"}, at)
	took += h.DeliverAt(&Publication{App: "x", Room: "r", Event: "2"}, Position{})
	took += h.DeliverAt(&Publication{App: "x", Room: "r", Event: "3", Passing: true}, Position{Epoch: 9, Number: 8})
	if want := at.String() + "1 " + NoPosition + "2 " + NoPosition + "3"; here.got() != want || there.got() != "" || took != 3 {
		t.Errorf("got %q and %q, %d took it\nwant %q", here.got(), there.got(), took, want)
	}
	if !slices.Equal(l.events, []string{"x/r:1"}) {
		t.Errorf("entered %q", l.events)
	}
	if st := h.Stats(); st.Published != 0 || st.Delivered != 3 {
		t.Errorf("%+v", st)
	}
}

// TestDeliverAtIsMeasured: of what a broker brings a sample is measured, of what it takes none.
func TestDeliverAtIsMeasured(t *testing.T) {
	h, m := NewWith(&answers{}, nil), latency.New()
	h.Measure(m)
	c := &carrier{}
	if err := h.Join(h.Register("", "a", 1, &kind{}, c), "r"); err != nil {
		t.Fatal(err)
	}
	h.Publish(&Publication{Room: "r"})
	if n, _ := m.UnderWay(); n != 0 {
		t.Error("what was sent is measured")
	}
	h.DeliverAt(&Publication{Room: "r"}, Position{})
	if n, _ := m.UnderWay(); n != 1 || len(c.marks) != 1 {
		t.Errorf("%d under way, %d carried", n, len(c.marks))
	}
	c.pass()
	if n, _ := m.UnderWay(); n != 0 || m.Histogram().Count != 1 {
		t.Errorf("%d under way, %d measured", n, m.Histogram().Count)
	}
}

// TestMirror: the members are those of all processes once somebody tells of them; first and last
// stay those of this one.
func TestMirror(t *testing.T) {
	h := NewWith(&answers{}, nil)
	ids := func(list []Member) string {
		var all []string
		for _, m := range list {
			all = append(all, m.ID+string(m.Info))
		}
		slices.Sort(all)
		return fmt.Sprint(all)
	}
	if came, went := h.MembersAre("", "r", []Member{{ID: "nobody is here"}}); came != nil || went != nil || h.MemberIn("", "r", Member{ID: "a"}) || h.CountRooms("") != 0 {
		t.Error("a room that is not in use here has members")
	}
	r := h.Open("", "r")
	if !h.MemberIn("", "r", Member{ID: "a", Info: []byte("1")}) || h.MemberIn("", "r", Member{ID: "a", Info: []byte("2")}) {
		t.Error("it is news, once")
	}
	came, went := h.MembersAre("", "r", []Member{{ID: "b"}, {ID: "c"}, {ID: "c"}})
	if ids(came) != "[b c]" || ids(went) != "[a1]" {
		t.Errorf("%s came, %s went", ids(came), ids(went))
	}
	s := h.Register("", "s", 1, &kind{}, &inbox{})
	first, err := r.Join(s, Member{ID: "b"})
	if !first || err != nil || !r.Here("b") || r.Here("c") || !r.Has("c") || r.Has("a") || r.Len() != 2 {
		t.Errorf("%v, %v; %d", first, err, r.Len())
	}
	var seen []Member
	for m := range r.Members {
		seen = append(seen, m)
		h.MemberIn("", "r", Member{ID: "d" + strconv.Itoa(len(seen))}) // which must not wait for us
	}
	if ids(seen) != "[b c]" || ids(h.Members("", "r")) != "[b c d1 d2]" {
		t.Errorf("saw %s of %s", ids(seen), ids(h.Members("", "r")))
	}
	if !h.MemberOut("", "r", "d1") || h.MemberOut("", "r", "d1") {
		t.Error("that one went is news, once")
	}
	if c, u := h.Count("", "r"); c != 1 || u != 1 {
		t.Errorf("here are %d connections of %d users", c, u)
	}
	r.Close()
	if err := h.check(); err != nil {
		t.Error(err)
	}
	r = h.Open("", "r")
	if was, last := r.Leave(s, "b"); !was || !last || !r.Has("b") {
		t.Errorf("%v, %v: of other processes nothing follows from that", was, last)
	}
	r.Close()
	if h.Members("", "r") != nil || h.CountRooms("") != 0 {
		t.Error("the room is still there")
	}
}

// TestMirrorChurn has members come and go while the room is opened, entered and left.
func TestMirrorChurn(t *testing.T) {
	h := NewWith(&answers{}, nil)
	var wait sync.WaitGroup
	for w := range 4 {
		wait.Go(func() {
			id := strconv.Itoa(w)
			for range 200 {
				h.MemberIn("", "r", Member{ID: id})
				r := h.Open("", "r")
				s := h.Register("", id, 1, &kind{}, &inbox{})
				if _, err := r.Join(s, Member{ID: id}); err != nil {
					t.Error(err)
				}
				_, _ = r.Has(id), r.Len()
				for range r.Members {
				}
				r.Close()
				h.MembersAre("", "r", []Member{{ID: "x"}, {ID: id}})
				h.MemberOut("", "r", "x")
				if err := h.Check(); err != nil {
					t.Error(err)
				}
				r = h.Open("", "r")
				r.Leave(s, id)
				r.Close()
				h.Unregister(s)
			}
		})
	}
	wait.Wait()
	if err := h.check(); err != nil {
		t.Error(err)
	}
}

// TestExplanationAdd puts accounts of two processes together.
func TestExplanationAdd(t *testing.T) {
	part := func(app, kind string, matched, handed int) Part {
		return Part{App: app, Tallies: []Tally{{Kind: kind, Matched: matched, Handed: handed, LeftOut: map[Cause]int{TooSlow: matched - handed}}}}
	}
	var e Explanation
	e.Add(&Explanation{Nodes: 1, Took: 2, Parts: []Part{part("x", "ws", 3, 2)}})
	e.Add(&Explanation{Nodes: 1, Parts: []Part{{App: "x"}}, Causes: []Cause{NobodyThere}})
	e.Add(&Explanation{Nodes: 1, Took: 2, Parts: []Part{part("x", "ws", 1, 1), part("y", "poll", 1, 1)}})
	if got := fmt.Sprint(e); got != "{4 [{x [{ws 4 3 0 map[too_slow:1]}] 0} {y [{poll 1 1 0 map[too_slow:0]}] 0}] 3 <nil> false [] [] []}" {
		t.Error(got)
	}
	for _, tt := range []struct {
		one, other []Cause
		want       string
	}{
		{[]Cause{NobodyThere}, []Cause{NobodyThere}, "[nobody_there]"},
		{[]Cause{NobodyThere}, []Cause{NoSuchRoom}, "[no_such_room]"},
		{[]Cause{Closed}, []Cause{NoSuchRoom}, "[closed]"},
		{[]Cause{OtherApp}, []Cause{Closed, OtherApp}, "[closed other_app]"},
	} {
		e := Explanation{Nodes: 1, Causes: tt.one}
		if e.Add(&Explanation{Nodes: 1, Causes: tt.other}); fmt.Sprint(e.Causes) != tt.want {
			t.Errorf("%v and %v: %v", tt.one, tt.other, e.Causes)
		}
	}
}
