package loop

import "testing"

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
