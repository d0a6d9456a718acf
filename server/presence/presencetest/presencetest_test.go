package presencetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"poosh/server/hub"
	"poosh/server/presence"
)

// pair is two nodes of an engine that ends with the test.
func pair(t *testing.T) (e *Engine, a, b *Node) {
	e = New()
	t.Cleanup(e.Close)
	return e, e.Node("a", nil), e.Node("b", nil)
}

func (n *Node) process() Process { return Process{n.Hub, n, n} }

func TestDesk(t *testing.T) {
	RunDesk(t, func(t *testing.T) (Process, Process) {
		_, a, b := pair(t)
		return a.process(), b.process()
	})
}

// TestAway: nobody waits for an engine that is away, and nothing is there twice afterwards.
func TestAway(t *testing.T) {
	e, n, m := pair(t)
	a, b := newSide(t, "a", n.process()), newSide(t, "b", m.process())
	a.must("r", "u", "a1")
	e.Away(true)
	if _, err := a.enter("r", "v", "a2", nil); !errors.Is(err, presence.ErrAway) {
		t.Errorf("enter: %v", err)
	}
	n.Hub.Send(&hub.Publication{App: App, Room: "r"}, func(h hub.Handed) {
		if !errors.Is(h.Err, hub.ErrAway) || h.Nodes != 0 {
			t.Errorf("send: %+v", h)
		}
	})
	if got := n.Hub.Explain(&hub.Publication{App: App, Room: "r"}); !errors.Is(got.Err, hub.ErrAway) {
		t.Errorf("explain: %+v", got)
	}
	if _, _, err := m.Count(t.Context(), App, "r"); !errors.Is(err, presence.ErrAway) {
		t.Errorf("count: %v", err)
	}
	e.Away(false)
	b.must("r", "u", "b1")
	soon(t, "the count", "2 1 <nil>", func() any { return a.count("r") })
}

// TestKill: who was on a node that dies is gone, once, and nobody else.
func TestKill(t *testing.T) {
	e, n, m := pair(t)
	a, b := newSide(t, "a", n.process()), newSide(t, "b", m.process())
	a.must("r", "u", "a1")
	a.must("r", "v", "a2")
	b.must("r", "u", "b1")
	lost := make(chan presence.Lost, 1)
	n.Claim(&presence.Claim{App: App, ID: "id", Lost: func(why presence.Lost) { lost <- why }}, func(error) {})
	e.Quiet()
	e.Kill(n)
	soon(t, "what b is told", []string{"went r v"}, func() any { return b.told("went") })
	soon(t, "the count", "1 1 <nil>", func() any { return b.count("r") })
	var had map[string]int64
	m.Bar(App, []string{"id"}, 0, time.Second, func(ids map[string]int64, _ error) { had = ids })
	e.Quiet()
	if len(had) > 0 || len(lost) > 0 {
		t.Errorf("%v of the dead node, %d lost", had, len(lost))
	}
}

// TestExplain: the account of a publication is that of all nodes.
func TestExplain(t *testing.T) {
	_, n, m := pair(t)
	a, b := newSide(t, "a", n.process()), newSide(t, "b", m.process())
	a.must("r", "", "a1")
	b.must("r", "", "b1")
	b.must("r", "", "b2")
	got := n.Hub.Explain(&hub.Publication{App: App, Room: "r", Event: "e", Except: "b1"})
	if got.Took != 2 || got.Nodes != 2 || got.Matched() != 3 || got.Err != nil || got.Causes != nil || fmt.Sprint(got.Parts) != "[{app [{ 3 2 0 map[excluded:1]}] 0}]" {
		t.Errorf("%+v", got)
	}
	if a.ear("a1").heard() != "welcome e" || b.ear("b1").heard() != "welcome" || b.ear("b2").heard() != "welcome e" {
		t.Error("it did not reach those that it says it did")
	}
	got = n.Hub.Explain(&hub.Publication{App: App, Room: "none", Event: "e"})
	if fmt.Sprint(got.Causes) != "[no_such_room]" || got.Took != 0 {
		t.Errorf("%+v", got)
	}
}

func TestHolder(t *testing.T) {
	RunHolder(t, func(t *testing.T) (HolderProcess, HolderProcess) {
		_, a, b := pair(t)
		return HolderProcess{a.Hub, a}, HolderProcess{b.Hub, b}
	})
}

// TestBus: all are told, and all are asked.
func TestBus(t *testing.T) {
	e, a, b := pair(t)
	got := make(chan string, 10)
	for _, n := range []*Node{a, b} {
		n.Handle('k', func(from string, body []byte) []byte {
			got <- fmt.Sprint(n.Name, " from ", from, ": ", string(body))
			return []byte(n.Name)
		})
	}
	a.Tell('k', []byte("x"))
	e.Quiet()
	if len(got) != 2 {
		t.Errorf("%d were told", len(got))
	}
	answers, silent := b.Ask(t.Context(), 'k', nil)
	if fmt.Sprintf("%s", answers) != "map[a:a b:b]" || len(silent) != 0 {
		t.Errorf("%s, silent %q", answers, silent)
	}
	e.Away(true)
	if answers, silent := b.Ask(t.Context(), 'k', nil); len(answers) != 0 || len(silent) != 2 {
		t.Errorf("%s, silent %q", answers, silent)
	}
}
