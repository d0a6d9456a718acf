package cluster

import (
	"context"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

// Questions to other nodes are counted, whether all answered, and not what a node that is alone
// asks.
func TestAsked(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	const kind = 200
	deaf := make(chan struct{})
	a := join(t, cfg)
	a.Handle(kind, func(string, []byte) []byte { return []byte("here") })
	if answers, silent := a.Ask(t.Context(), kind, nil); len(answers) != 1 || len(silent) != 0 {
		t.Fatal(answers, silent)
	}
	if got := a.Asked(); got.Whole+got.Partly+got.Answers+got.Heard+got.Took.Count != 0 {
		t.Errorf("of a node that is alone: %+v", got)
	}
	b := join(t, cfg)
	b.Handle(kind, func(_ string, body []byte) []byte {
		if string(body) == "wait" {
			<-deaf
		}
		return []byte("there")
	})
	redistest.Until(t, "both to know of each other", func() bool { return len(a.Nodes()) == 2 && len(b.Nodes()) == 2 })
	if answers, silent := a.Ask(t.Context(), kind, nil); len(answers) != 2 || len(silent) != 0 {
		t.Fatal(answers, silent)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, silent := a.Ask(ctx, kind, []byte("wait")); len(silent) != 1 {
		t.Error(silent)
	}
	got := a.Asked()
	if got.Whole != 1 || got.Partly != 1 || got.Answers != 1 || got.Heard != 0 {
		t.Errorf("who asked counts %+v", got)
	}
	h := got.Took
	if h.Count != 2 || h.Sum < 0.1 || h.Below[len(h.Below)-1] > 2 || h.Below[3] > 1 {
		t.Errorf("it took %+v", h)
	}
	fine := int64(0)
	for _, n := range h.Fine {
		fine += n
	}
	if fine != 2 {
		t.Errorf("fine buckets: %v", h.Fine)
	}
	close(deaf)
	redistest.Until(t, "the other one to count both", func() bool { return b.Asked().Heard == 2 })
	if got := b.Asked(); got.Whole+got.Partly+got.Answers != 0 {
		t.Errorf("who was asked counts %+v", got)
	}
}
