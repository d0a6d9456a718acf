package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// explaining has a node say what becomes of publications: that so many were there, and one less took it.
func explaining(there int) func(*Options) {
	return func(o *Options) {
		deliver := o.Deliver
		o.Explain = func(p *hub.Publication, at hub.Position) *hub.Explanation {
			deliver(p, at)
			tally := hub.Tally{Kind: "k", Matched: there, Handed: there - 1, LeftOut: map[hub.Cause]int{hub.TooSlow: 1}}
			if there == 0 {
				return &hub.Explanation{Nodes: 1, Parts: []hub.Part{{App: p.App}}, Causes: []hub.Cause{hub.NobodyThere}}
			}
			return &hub.Explanation{Took: there - 1, Nodes: 1, Parts: []hub.Part{{App: p.App, Tallies: []hub.Tally{tally}}},
				Left: []hub.Departure{{ID: fmt.Sprint("left ", there), Why: "why", At: time.Now().Add(-time.Minute)}}}
		}
		o.Absent = func(p *hub.Publication) *hub.Explanation {
			if there == 3 && p.App == app && len(p.Data) == 0 {
				return &hub.Explanation{Nodes: 1, Causes: []hub.Cause{hub.Closed}, Left: []hub.Departure{{ID: "of " + p.Room, At: time.Now().Add(-time.Minute)}}}
			}
			if there == 0 {
				return &hub.Explanation{Nodes: 1, Causes: []hub.Cause{hub.NobodyThere}}
			}
			return &hub.Explanation{Nodes: 1, Causes: []hub.Cause{hub.NoSuchRoom}}
		}
	}
}

// An account is of all nodes that are handed a publication, which comes to each in its order with others.
func TestExplain(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a, b, c := join(t, cfg, explaining(2)), join(t, cfg, explaining(3)), join(t, cfg, explaining(5))
	a.enter("r")
	b.enter("r")
	pub := &hub.Publication{App: app, Room: "r", Event: "e", Data: []byte("2")}
	a.mustSend("r", "1")
	e := a.Explain(pub)
	b.mustSend("r", "3")
	names := []hub.NodeTally{{Node: a.Name(), Matched: 2, Took: 1}, {Node: b.Name(), Matched: 3, Took: 2}}
	slices.SortFunc(names, func(a, b hub.NodeTally) int { return strings.Compare(a.Node, b.Node) })
	if e.Took != 3 || e.Matched() != 5 || e.Nodes != 2 || e.Err != nil || e.Uncounted || e.Causes != nil || !slices.Equal(e.Each, names) {
		t.Errorf("%+v", e)
	}
	if len(e.Parts) != 1 || len(e.Parts[0].Tallies) != 1 || e.Parts[0].Tallies[0].LeftOut[hub.TooSlow] != 2 {
		t.Errorf("%+v", e.Parts)
	}
	if len(e.Left) != 2 || e.Left[0].Why != "why" || time.Since(e.Left[0].At) < time.Minute || time.Since(e.Left[0].At) > 2*time.Minute {
		t.Errorf("%+v", e.Left)
	}
	a.hasExactly("r", []string{"1", "2", "3"})
	b.hasExactly("r", []string{"1", "2", "3"})
	if n := a.Asked(); n.Whole != 1 || n.Partly != 0 {
		t.Errorf("%+v", n)
	}
	// To everyone all of them are handed it.
	if e := c.Explain(&hub.Publication{App: app, Everyone: true, Data: []byte("x")}); e.Nodes != 3 || e.Took != 7 || len(e.Each) != 3 {
		t.Errorf("%+v", e)
	}
	// Where nobody is, all are asked why.
	none := &hub.Publication{App: app, Room: "none", Data: []byte("x")}
	if e = c.Explain(none); e.Causes != nil {
		t.Errorf("%+v", e)
	}
	c.WhyNobody(none, e)
	if e.Nodes != 0 || e.Matched() != 0 || e.Uncounted || !slices.Equal(e.Causes, []hub.Cause{hub.Closed}) || len(e.Left) != 1 || e.Left[0].ID != "of none" {
		t.Errorf("%+v", e)
	}
	redis.Kill()
	a.away(true)
	if e := a.Explain(pub); !errors.Is(e.Err, hub.ErrAway) {
		t.Errorf("%+v", e)
	}
}

// A node of a version that explains nothing delivers what others explain, and the account says that it is not of all.
func TestExplainBesideAnOlderVersion(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a := join(t, cfg, explaining(2))
	b, old := join(t, cfg, explaining(3)), join(t, cfg)
	for _, p := range []*process{a, b, old} {
		p.enter("r")
	}
	e := b.Explain(&hub.Publication{App: app, Room: "r", Data: []byte("1")})
	if e.Nodes != 3 || !e.Uncounted || e.Err != nil || len(e.Each) != 2 || e.Took != 3 {
		t.Errorf("%+v", e)
	}
	for _, p := range []*process{a, b, old} {
		p.hasExactly("r", []string{"1"})
	}
	if n := b.Asked(); n.Partly != 1 {
		t.Errorf("%+v", n)
	}
}

// That nobody at all is connected is said where all nodes say so.
func TestWhyNobodyBesideAnOlderVersion(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a := join(t, cfg, explaining(0))
	join(t, cfg, explaining(0))
	ask := func(want ...hub.Cause) {
		t.Helper()
		e := new(hub.Explanation)
		a.WhyNobody(&hub.Publication{App: app, Room: "none"}, e)
		if !slices.Equal(e.Causes, want) {
			t.Errorf("%v, want %v", e.Causes, want)
		}
	}
	ask(hub.NobodyThere)
	join(t, cfg)
	ask()
	join(t, cfg, explaining(2))
	ask(hub.NoSuchRoom)
}

// While the engine is away, a node that serves its own clients alone says how many of those took it.
func TestExplainAlone(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.WhenDown, cfg.Timeout = Local, time.Second
	a := join(t, cfg, explaining(2))
	a.enter("r")
	redis.Kill()
	until(t, "the node serves its own", func() bool {
		e := a.Explain(&hub.Publication{App: app, Room: "r", Data: []byte("1")})
		return e.Err == nil && e.Nodes == 1 && e.Took == 1 && e.Matched() == 1 && !e.Uncounted
	})
}

// What nodes say of a publication is read by nodes of other versions: its names are not to change.
func TestToldText(t *testing.T) {
	e := &hub.Explanation{Took: 1, Causes: []hub.Cause{hub.NobodyThere}, Parts: []hub.Part{{App: "a", Elsewhere: 2,
		Tallies: []hub.Tally{{Kind: "k", Matched: 3, Handed: 1, Waiting: 1, LeftOut: map[hub.Cause]int{hub.TooSlow: 2}}}}}}
	const text = `{"took":1,"parts":[{"App":"a","Tallies":[{"Kind":"k","Matched":3,"Handed":1,"Waiting":1,"LeftOut":{"too_slow":2}}],"Elsewhere":2}],"causes":["nobody_there"]}`
	if got := string(tellOf(e)); got != text {
		t.Errorf("%s, want %s", got, text)
	}
	left := `{"took":0,"left":[{"id":"i","why":"w","ago":60000000000}]}`
	got, ok := explanationOf("n", []byte(left))
	if !ok || len(got.Left) != 1 || got.Left[0].ID != "i" || got.Left[0].Why != "w" || time.Since(got.Left[0].At).Round(time.Minute) != time.Minute {
		t.Errorf("%+v", got)
	}
}
