package cluster

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/cluster/resp"
	"poosh/server/hub"
	"poosh/server/loop"
)

// wireTo is a connection of its own to a server.
func wireTo(t *testing.T, redis *redistest.Server) *wire {
	t.Helper()
	cfg := config(t, at(redis.Addr))
	ctx, cancel := context.WithTimeout(t.Context(), cfg.Timeout)
	defer cancel()
	nc, err := cfg.Redis.dial(ctx, redis.Addr, "poosh-test")
	if err != nil {
		t.Fatal(err)
	}
	l, err := loop.New(loop.Config{})
	if err != nil {
		nc.Close()
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	w := attach(l, nc, silence{}, new(atomic.Int64))
	t.Cleanup(func() { w.close(errStopped) })
	return w
}

// TestRefusalIsOfOneThing: a connection that is closed since the engine refused something has not refused what else was
// said over it: that may have been done.
func TestRefusalIsOfOneThing(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := wireTo(t, redis)
	redis.Do("CLIENT", "PAUSE", "60000", "WRITE")
	came := make(chan error, 1)
	w.say(resp.AppendCommand(nil, "INCR", "n"), &command{want: 1, done: func(_ []reply, err error) { came <- err }}, true)
	w.close(&resp.ServerError{Text: "OOM command not allowed when used memory > 'maxmemory'."})
	if err := <-came; err == nil || refused(err) {
		t.Errorf("what had no answer is taken for refused: %v", err)
	}
	if err := w.do(t.Context(), "PING").Error(); err == nil || refused(err) {
		t.Errorf("what is said later is taken for refused: %v", err)
	}
	if refused(w.err) {
		t.Errorf("others that use the connection take it for refused: %v", w.err)
	}
}

// TestCloseWaitsForTurns: one that a reader of the loop has begun is over when Close returns.
func TestCloseWaitsForTurns(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	cfg.Timeout = time.Second
	a := join(t, cfg)
	a.enter("r")
	a.mustSend("r", "1")
	w := a.writers[0]
	until(t, "no turn is under way", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		was := w.busy
		w.busy = true
		return !was
	})
	answered := make(chan hub.Handed, 1)
	a.Publish(&hub.Publication{App: app, Room: "r", Event: "e", Data: []byte("2")}, func(h hub.Handed) { answered <- h })
	list := nextOf(w.parts, 0) // as a reader does that is held up then
	closed := make(chan struct{})
	go func() {
		_ = a.Close(context.Background())
		close(closed)
	}()
	<-a.over.Done()
	select {
	case <-closed:
		t.Error("it has not waited")
	case <-time.After(100 * time.Millisecond):
	}
	w.begin(list)
	<-closed
	select {
	case h := <-answered:
		if h.Err == nil {
			t.Errorf("it became %+v", h)
		}
	default:
		t.Error("what was in the turn is not answered")
	}
}
