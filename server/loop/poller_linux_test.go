package loop

import (
	"testing"
)

// TestFormerDescriptor: what the kernel said of a connection is not taken for news of
// the one that has its descriptor now.
func TestFormerDescriptor(t *testing.T) {
	s := newSite(t, Config{})
	_, c := s.dial(t)
	c.mu.Lock()
	ev := interest(c)
	c.mu.Unlock()
	if c.shard.poll.of(ev) != c {
		t.Fatal("not found")
	}
	c.shard.poll.insert(c) // as if it were the next one
	if c.shard.poll.of(ev) != nil {
		t.Error("taken for another one")
	}
}

// TestSettlingEndsTheConnection: where the poller fails as a peer is to be heard again, the
// connection ends in the middle of a write, and counts once.
func TestSettlingEndsTheConnection(t *testing.T) {
	s := newSite(t, Config{})
	_, c := s.dial(t)
	c.mu.Lock()
	c.flags |= writing // the test is who writes
	c.mu.Unlock()
	answer, event := make([]byte, 1000), make([]byte, 2000)
	c.Push(answer)
	c.Owe(maxOwed + 1)
	c.Push(event)
	c.mu.Lock()
	c.queue = nil
	c.mu.Unlock()
	c.shard.poll.unwatch(int(c.fd))
	c.wrote(written{bytes: len(answer), cost: Cost(answer), rest: [][]byte{event}, full: true})
	if reason := receive(t, s.recorder.closed, "the end"); reason != ErrReset {
		t.Errorf("reason %v", reason)
	}
	if err := s.loop.Check(); err != nil {
		t.Error(err)
	}
	if st := s.loop.Stats(); st.Queued != 0 || st.Blocked != 0 {
		t.Errorf("%d bytes are queued, %d blocked", st.Queued, st.Blocked)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 {
		t.Errorf("%d buffers are kept", len(c.queue))
	}
}
