package pusher_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"poosh/server/admission"
	"poosh/server/presence"
	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
)

// TestClusterExplainHoldsNoPlace has a node not say what became of an event whose sender wants to
// know. That one waits, and keeps no place from other senders.
func TestClusterExplainHoldsNoPlace(t *testing.T) {
	gate := admission.New(neverLate{}, time.Second)
	c := pushertest.NewCluster(t, pusher.Config{Gate: gate})
	p := c.A.Dial()
	p.Join("news")
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	defer let()
	c.NodeB.Enter(presence.Entry{App: "other", Room: "r", Socket: "s", Counted: true}, func(presence.Seated, error) { <-release })
	answer := make(chan int, 1)
	go func() {
		status, _ := c.A.Call("POST", "/events", map[string][]string{"explain": {"1"}}, `{"name":"e","channel":"news","data":"1"}`)
		answer <- status
	}()
	p.Expect(`{"event":"e","channel":"news","data":"1"}`)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := gate.Close(ctx); err != nil {
		t.Error("a place is held while nodes are waited for: ", err)
	}
	select {
	case status := <-answer:
		t.Errorf("answered with %d before all nodes were", status)
	default:
	}
	let()
	if status := <-answer; status != 200 {
		t.Errorf("status %d", status)
	}
}

// neverLate is a server that keeps up.
type neverLate struct{}

// Late implements [admission.Backlog].
func (neverLate) Late() bool { return false }

// CaughtUp implements [admission.Backlog].
func (neverLate) CaughtUp() <-chan struct{} { return nil }
