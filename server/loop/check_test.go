package loop

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCheckWhileBusy: the sums agree at every moment, whatever goes on.
func TestCheckWhileBusy(t *testing.T) {
	both(t, Config{Outbox: 128 << 10, CloseTimeout: 100 * time.Millisecond}, func(t *testing.T, s *site) {
		var busy sync.WaitGroup
		for w := range 2 {
			busy.Go(func() {
				for i := range 60 {
					nc, c := s.dial(t)
					if (i+w)%3 > 0 {
						go func() { _, _ = io.Copy(io.Discard, nc) }() // ends with nc
					}
					for range 50 {
						c.Push(make([]byte, 5000))
						c.PushLatest(make([]byte, i))
					}
					switch i % 4 {
					case 0:
						c.Abort(ErrShutdown)
					case 1:
						c.Finish()
					case 2:
						c.End(AwaitPeer, nil, ErrClosed)
					case 3:
						_ = nc.Close()
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { // ends with those who are busy
			busy.Wait()
			close(done)
		}()
		for {
			if err := s.loop.Check(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
}

// TestCheckFinds: what is counted wrongly is named.
func TestCheckFinds(t *testing.T) {
	both(t, Config{}, func(t *testing.T, s *site) {
		release := s.hold()
		defer release()
		_, c := s.dial(t)
		c.Push([]byte("abc"))
		if err := s.loop.Check(); err != nil {
			t.Fatal(err)
		}
		change := func(by int32) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.size += by
		}
		for want, wrong := range map[string][2]func(){
			"bytes are queued":          {func() { c.shard.queuedBytes.Add(1) }, func() { c.shard.queuedBytes.Add(-1) }},
			"bytes are blocked":         {func() { c.shard.blockedBytes.Add(1) }, func() { c.shard.blockedBytes.Add(-1) }},
			"connections are congested": {func() { c.shard.congested.Add(1) }, func() { c.shard.congested.Add(-1) }},
			"a connection counts 68":    {func() { change(1) }, func() { change(-1) }},
		} {
			wrong[0]()
			if err := s.loop.Check(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("found %v, want %q", err, want)
			}
			wrong[1]()
		}
	})
}
