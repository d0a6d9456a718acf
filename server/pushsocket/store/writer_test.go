package store

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// holdWriter keeps the writer busy until what it returns is closed.
func holdWriter(s *keeper, all *sync.WaitGroup) chan struct{} {
	hold, started := make(chan struct{}), make(chan struct{})
	all.Go(func() {
		_ = s.writer.do(context.Background(), 0, func(*batch) error { close(started); <-hold; return nil }, nil)
	})
	<-started
	return hold
}

// waitQueued waits until n changes wait behind the one that is being written.
func waitQueued(s *keeper, n int) {
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

// together has changes written in one batch, and returns their errors.
func together(s *keeper, runs ...func(*batch) error) []error {
	var all sync.WaitGroup
	hold := holdWriter(s, &all)
	errs := make([]error, len(runs))
	for i, run := range runs {
		all.Go(func() { errs[i] = s.writer.do(context.Background(), 0, run, nil) })
		waitQueued(s, i+1)
	}
	close(hold)
	all.Wait()
	return errs
}

// A change that the database fails costs only itself, and leaves nothing behind.
func TestFailedChange(t *testing.T) {
	s := open(t, Limits{})
	d := register(t, s, "k", "1", 0)
	store := func(body string) func(*batch) error {
		return func(b *batch) error {
			_, err := b.queue(nil, outgoing(body, address("k", "1")), d.ID, s.limits.Load())
			return err
		}
	}
	errs := together(s,
		store(`"before"`),
		func(b *batch) error {
			if err := store(`"half"`)(b); err != nil {
				return err
			}
			return b.exec("INSERT INTO messages (seq, tag, device, header, body) VALUES (1, 1, 999, x'', x'')") // no such device
		},
		func(*batch) error { return refusal{ErrFull} },
		func(*batch) error { panic("asked to") },
		store(`"after"`),
	)
	for i, want := range []error{nil, ErrUnavailable, ErrFull, ErrUnavailable, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("%d: %v, want %v", i, errs[i], want)
		}
	}
	if bodies, _ := pending(t, s, d); !slices.Equal(bodies, []string{`"before"`, `"after"`}) {
		t.Error(bodies)
	}
	queue(t, s, d, address("k", "1"), `"x"`) // and it goes on
}

// A message that the file has no room for takes none with it that fit.
func TestLargeMessageInBatch(t *testing.T) {
	s := open(t, Limits{BytesOnDisk: 1 << 20})
	d := register(t, s, "k", "1", 0)
	send := func(body string) func(*batch) error {
		return func(b *batch) error {
			_, err := b.queue(nil, outgoing(body, address("k", "1")), d.ID, s.limits.Load())
			return err
		}
	}
	errs := together(s, send(`"a"`), send(`"`+strings.Repeat("x", 2<<20)+`"`), send(`"b"`))
	if errs[0] != nil || !errors.Is(errs[1], ErrUnavailable) || errs[2] != nil {
		t.Error(errs)
	}
	if bodies, _ := pending(t, s, d); !slices.Equal(bodies, []string{`"a"`, `"b"`}) {
		t.Errorf("%.60q", bodies)
	}
}

func TestBusy(t *testing.T) {
	s := open(t, Limits{WritesWaiting: 1})
	d := register(t, s, "k", "1", 0)
	var all sync.WaitGroup
	hold := holdWriter(s, &all)
	all.Go(func() { _ = s.writer.do(context.Background(), 0, func(*batch) error { return nil }, nil) })
	waitQueued(s, 1)
	if _, _, err := s.Queue(t.Context(), d.ID, nil, nil); !errors.Is(err, ErrBusy) || !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	close(hold)
	all.Wait()
}

// What the changes that wait hold is bounded, also while the disk is slow.
func TestBusyBytes(t *testing.T) {
	s := open(t, Limits{BytesWaiting: 100_000})
	d := register(t, s, "k", "1", 0)
	var all sync.WaitGroup
	hold := holdWriter(s, &all)
	body := `"` + strings.Repeat("x", 60_000) + `"`
	all.Go(func() { queue(t, s, d, address("k", "1"), body) })
	waitQueued(s, 1)
	large := []Outgoing{outgoing(body, address("k", "1"))}
	if _, _, err := s.Queue(t.Context(), d.ID, large, nil); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	all.Go(func() { queue(t, s, d, address("k", "1"), `"small"`) })
	waitQueued(s, 2)
	close(hold)
	all.Wait()
	queue(t, s, d, address("k", "1"), body) // given back
	if bodies, _ := pending(t, s, d); len(bodies) != 3 {
		t.Errorf("%d messages", len(bodies))
	}
}

// A write that is stuck costs those who wait their patience and no more. What had
// not begun is not carried out, and of what had somebody is told in the end.
func TestStuckWrite(t *testing.T) {
	s := open(t, Limits{})
	d := register(t, s, "k", "1", 0)
	stuck, started := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = s.writer.do(context.Background(), 0, func(*batch) error { close(started); <-stuck; return nil }, nil)
	})
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	called := make(chan []Outcome, 1)
	_, _, err := s.Queue(ctx, d.ID, []Outgoing{outgoing(`"withdrawn"`, address("k", "1"))}, func(o []Outcome) { called <- o })
	if !errors.Is(err, ErrSlow) || !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "may still be stored") {
		t.Errorf("%v", err)
	}
	close(stuck)
	all.Wait()
	if bodies, _ := pending(t, s, d); bodies != nil {
		t.Error(bodies)
	}

	// One that is being written when its caller goes. A reader of the same
	// transaction's lock is a commit that takes long.
	stuck, started = make(chan struct{}), make(chan struct{})
	begun := make(chan error, 1)
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	all.Go(func() {
		begun <- s.writer.do(ctx, 0, func(*batch) error { close(started); <-stuck; return nil }, func(err error) {
			if err != nil {
				t.Error(err)
			}
			called <- nil
		})
	})
	<-started
	cancel()
	if err := <-begun; !errors.Is(err, ErrSlow) || !strings.Contains(err.Error(), "may still be stored") {
		t.Errorf("%v", err)
	}
	if len(called) != 0 {
		t.Error("told before it was stored")
	}
	close(stuck)
	if o := <-called; o != nil {
		t.Errorf("%v: what was withdrawn was stored", o)
	}
	all.Wait()
}

// Close ends when its context does, whatever is stuck.
func TestCloseIsBounded(t *testing.T) {
	s := open(t, Limits{})
	var all sync.WaitGroup
	hold := holdWriter(s, &all)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := s.Close(ctx); !errors.Is(err, ErrSlow) || time.Since(began) > 10*time.Second {
		t.Error(err, time.Since(began))
	}
	close(hold)
	all.Wait()
	// What is stuck no more closes the database after all.
	if err := s.writer.close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Readers that overlap all the time do not let the log grow for ever.
func TestLogIsTrimmed(t *testing.T) {
	s := open(t, Limits{MessagesPerDevice: 1 << 20, BytesPerDevice: 1 << 30})
	d := register(t, s, "k", "1", 0)
	const limit = 8 << 20
	set := make(chan struct{})
	if !s.writer.start(touches{}, func(*batch) error { s.engine.(*sqlite).writes.limitLog = limit; close(set); return nil }) {
		t.Fatal("no place")
	}
	<-set
	read := func() (end func()) {
		conn, err := s.engine.(*sqlite).reads.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"BEGIN DEFERRED", "SELECT count(*) FROM messages"} {
			if _, err := conn.ExecContext(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		return func() {
			if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
				t.Error(err)
			}
			_ = conn.Close()
		}
	}
	body := `"` + strings.Repeat("x", 100_000) + `"`
	end := read()
	for i := range 500 { // 50 MB, while there always is a reader
		queue(t, s, d, address("k", "1"), body)
		if i%10 == 9 {
			next := read()
			end()
			end = next
		}
		_, ids := pending(t, s, d)
		if _, err := s.Confirm(t.Context(), d.ID, ids); err != nil {
			t.Fatal(err)
		}
	}
	end()
	s.writer.start(touches{}, func(*batch) error { s.engine.(*sqlite).writes.trimmed = time.Time{}; return nil })
	queue(t, s, d, address("k", "1"), body)
	queue(t, s, d, address("k", "1"), body)
	info, err := os.Stat(s.engine.(*sqlite).path + "-wal")
	if err != nil || info.Size() > limit {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	t.Log(info.Size())
}
