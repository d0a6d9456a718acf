package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxBatch is how many changes share a commit at most.
const maxBatch = 512

// A change is what one caller wants written. It runs on a goroutine of the writer
// inside a transaction that others share, so it must find every reason to refuse
// before it writes anything. It may run twice, so it starts afresh each time.
type change struct {
	run  func(*batch) error
	size int        // bytes of input that it holds
	done chan error // of capacity 1
	// probe has it take a place beside those that are bounded: who looks whether anything
	// is written comes alone.
	probe bool

	touches touches // the devices that it is about

	// late is told of the end when nobody waits for it any more; guarded by the
	// writer's mu. It must not block.
	late func(error)
}

// refusal marks an error of a change that wrote nothing: the others go on.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// A committer carries out changes. One loop of the writer owns it.
type committer interface {
	// transact runs changes in one transaction and returns what became of each. After an
	// error none is stored.
	transact(changes []*change, run func(*batch, *change) error, old *acquainted) ([]error, error)
	// rest is called between transactions.
	rest()
	close() error
}

// A writer runs changes and commits many at once: one after the other with one
// committer, and side by side with several.
type writer struct {
	limit     int // changes that wait; set once
	limitSize int // bytes that changes hold, waiting or under way; set once

	acquainted acquainted // set once

	mu      sync.Mutex // guards what follows
	queue   []*change
	size    int // bytes that changes hold
	closing bool
	loops   int // that have not ended
	wake    *sync.Cond
	ended   chan struct{}
	closed  error // of closing the database; set before ended is closed
}

// newWriter starts a goroutine for each committer, and takes them over.
func newWriter(l Limits, old acquainted, committers ...committer) *writer {
	w := &writer{acquainted: old, limit: l.WritesWaiting, limitSize: l.BytesWaiting, loops: len(committers), ended: make(chan struct{})}
	w.wake = sync.NewCond(&w.mu)
	for _, c := range committers {
		go w.loop(c) // ends with close
	}
	return w
}

// do has a change of so many bytes written and returns once it is committed or
// refused, or when ctx ends. A change that still waits then is not carried out; of
// one that is being written nobody knows yet, and late, unless it is nil, is told
// when that shows, on a goroutine of the writer.
func (w *writer) do(ctx context.Context, size int, run func(*batch) error, late func(error)) error {
	return w.await(ctx, &change{run: run, size: size, done: make(chan error, 1)}, late)
}

// ready waits until a change that changes nothing was written.
func (w *writer) ready(ctx context.Context) error {
	return w.await(ctx, &change{run: func(*batch) error { return nil }, done: make(chan error, 1), probe: true}, nil)
}

// await is do for a change that is made.
func (w *writer) await(ctx context.Context, c *change, late func(error)) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	if err := w.put(c); err != nil {
		return err
	}
	var err error
	select {
	case err = <-c.done:
	case <-ctx.Done():
		err = w.leave(c, late, ctx.Err())
	}
	return outside(err)
}

// outside is what a caller is told of a change's error.
func outside(err error) error {
	var r refusal
	if errors.As(err, &r) {
		return r.error
	}
	return unavailable(err)
}

// start has a change written that nobody waits for. It reports false when there is
// no place for it.
func (w *writer) start(of touches, run func(*batch) error) bool {
	return w.put(&change{run: run, touches: of, done: make(chan error, 1)}) == nil
}

// put appends a change to the queue.
func (w *writer) put(c *change) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closing:
		return fmt.Errorf("%w: %w", ErrUnavailable, ErrClosed)
	case !c.probe && (len(w.queue) >= w.limit || w.size+c.size > w.limitSize && w.size > 0):
		return fmt.Errorf("%w: %w", ErrUnavailable, ErrBusy)
	}
	w.queue = append(w.queue, c)
	w.size += c.size
	w.wake.Signal()
	return nil
}

// leave ends the waiting for a change.
func (w *writer) leave(c *change, late func(error), why error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.queue, c); i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
		w.size -= c.size
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrSlow, why)
	}
	select {
	case err := <-c.done:
		return err
	default:
	}
	c.late = late
	return fmt.Errorf("%w: %w, and may still be stored: %w", ErrUnavailable, ErrSlow, why)
}

// finish tells those who wait what became of changes.
func (w *writer) finish(changes []*change, errs []error) {
	w.mu.Lock()
	for i, c := range changes {
		c.done <- errs[i]
		w.size -= c.size
	}
	w.mu.Unlock()
	// Whoever left did so before done was filled: late does not change any more.
	for i, c := range changes {
		if c.late != nil {
			c.late(outside(errs[i]))
		}
	}
}

// close lets the writer finish what waits, and then close the database. When ctx
// ends before, a write is stuck, and the writer does that when it is no more.
func (w *writer) close(ctx context.Context) error {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.wake.Broadcast()
	select {
	case <-w.ended:
		return w.closed
	case <-ctx.Done():
	}
	// One that is not stuck ends at once, also when the time is over already.
	select {
	case <-w.ended:
		return w.closed
	case <-time.After(lastMoment):
		return fmt.Errorf("%w, at the end: %w", ErrSlow, ctx.Err())
	}
}

// lastMoment is what a writer has to end when nobody has time for it.
const lastMoment = 100 * time.Millisecond

func (w *writer) loop(c committer) {
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && !w.closing {
			w.wake.Wait()
		}
		n := min(len(w.queue), maxBatch)
		changes := w.queue[:n:n] // nobody else sees this part of the array any more
		w.queue = w.queue[n:]
		if len(w.queue) == 0 {
			w.queue = nil
		}
		w.mu.Unlock()
		if n == 0 {
			break
		}
		w.commit(c, changes)
		c.rest()
	}
	err := c.close()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = errors.Join(w.closed, err)
	if w.loops--; w.loops == 0 {
		close(w.ended)
	}
}

// commit runs changes in one transaction. When the database fails one of them, they
// run once more with each apart from the others, so that it costs only itself: a
// message that the file has no room for, say.
func (w *writer) commit(c committer, changes []*change) {
	errs, err := c.transact(changes, (*batch).run, &w.acquainted)
	if errors.As(err, new(failedChange)) && len(changes) > 1 {
		errs, err = c.transact(changes, (*batch).runApart, &w.acquainted)
	}
	if err != nil {
		errs = slices.Repeat([]error{err}, len(changes))
	}
	w.finish(changes, errs)
}

// failedChange marks an error of the database in a change, not around all.
type failedChange struct{ error }

func (f failedChange) Unwrap() error { return f.error }
