package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// holdWriter keeps the writer busy until what it returns is closed.
func holdWriter(s *SQLite, all *sync.WaitGroup) chan struct{} {
	hold, started := make(chan struct{}), make(chan struct{})
	all.Go(func() {
		_ = s.writer.do(context.Background(), func(*batch) error { close(started); <-hold; return nil })
	})
	<-started
	return hold
}

// waitQueued waits until n changes wait behind the one that is being written.
func waitQueued(s *SQLite, n int) {
	for {
		s.writer.mu.Lock()
		waiting := len(s.writer.queue)
		s.writer.mu.Unlock()
		if waiting == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// A change that the database fails takes all of its batch with it.
func TestBatchIsAtomic(t *testing.T) {
	s := open(t, Limits{})
	d := register(t, s, "k", "1", 0)
	var all sync.WaitGroup
	hold := holdWriter(s, &all)
	runs := []func(*batch) error{
		func(b *batch) error {
			_, err := b.queue(Copy{To: address("k", "1"), Header: []byte(`""`), Body: []byte(`""`)}, s.limits.Load())
			return err
		},
		func(b *batch) error {
			return b.exec("INSERT INTO messages (seq, tag, device, header, body) VALUES (1, 1, 999, x'', x'')") // no such device
		},
		func(*batch) error { panic("asked to") },
	}
	errs := make([]error, len(runs))
	for i, run := range runs {
		all.Go(func() { errs[i] = s.writer.do(context.Background(), run) })
		waitQueued(s, i+1)
	}
	close(hold)
	all.Wait()
	for i, err := range errs {
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if bodies, _ := pending(t, s, d); bodies != nil {
		t.Error(bodies)
	}
	queue(t, s, d, address("k", "1"), `"x"`) // and it goes on
}

func TestBusy(t *testing.T) {
	s := open(t, Limits{WritesWaiting: 1})
	d := register(t, s, "k", "1", 0)
	var all sync.WaitGroup
	hold := holdWriter(s, &all)
	all.Go(func() { _ = s.writer.do(context.Background(), func(*batch) error { return nil }) })
	waitQueued(s, 1)
	if _, _, err := s.Queue(t.Context(), d.ID, nil); !errors.Is(err, ErrBusy) || !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	close(hold)
	all.Wait()
}
