package pusher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/admission"
	"poosh/server/presence"
	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
	"poosh/server/sends"
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

// TestClusterExplainOutOfTime has nobody wait for the accounts of an event any more: it is published all the same,
// and what is told of it does not pass for an account of all.
func TestClusterExplainOutOfTime(t *testing.T) {
	c := pushertest.NewCluster(t, pusher.Config{})
	p := c.A.Dial()
	p.Join("news")
	const body = `{"name":"e","channels":["news","other"],"data":"1"}`
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	target := pushertest.Sign("POST", "/apps/"+pushertest.ID+"/events", map[string][]string{"explain": {"1"}}, body)
	c.A.Dialect.ServeHTTP(w, httptest.NewRequest("POST", target, strings.NewReader(body)).WithContext(ctx))
	var a sends.Account
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 200 || !a.Uncounted || len(a.Rooms) != 2 || *a.Rooms[1].Room != "other" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	p.Expect(`{"event":"e","channel":"news","data":"1"}`)
}

// TestClusterExplainIsWatched has an operator watch an event to several channels, of which the sender knows how many
// took it in all: that is of no channel.
func TestClusterExplainIsWatched(t *testing.T) {
	feed := sends.New()
	c := pushertest.NewCluster(t, pusher.Config{Sends: feed})
	one, both := c.A.Dial(), c.B.Dial()
	one.Join("news")
	both.Join("news")
	both.Join("other")
	watcher, err := feed.Watch(sends.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	for channels, want := range map[string]string{`["news"]`: "news 2 false, ", `["news","other"]`: "news 0 true, other 0 true, "} {
		if status, text := c.A.Call("POST", "/events", map[string][]string{"explain": {"1"}}, `{"name":"e","channels":`+channels+`,"data":"1"}`); status != 200 {
			t.Errorf("%d %s", status, text)
		}
		got := ""
		list, _ := watcher.Take()
		for _, s := range list {
			got += fmt.Sprintf("%s %d %v, ", s.Room, s.Handed, s.Uncounted)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", channels, got, want)
		}
	}
}
