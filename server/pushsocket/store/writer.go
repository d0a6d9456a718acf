package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// maxBatch is how many changes share a commit at most.
const maxBatch = 512

// A change is what one caller wants written. It runs on the writer's goroutine
// inside a transaction that others share, so it must find every reason to refuse
// before it writes anything. It may run twice, so it starts afresh each time.
type change struct {
	run  func(*batch) error
	size int        // bytes of input that it holds
	done chan error // of capacity 1
	// probe has it take a place beside those that are bounded: who looks whether anything
	// is written comes alone.
	probe bool

	// late is told of the end when nobody waits for it any more; guarded by the
	// writer's mu. It must not block.
	late func(error)
}

// refusal marks an error of a change that wrote nothing: the others go on.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// A writer runs changes one after the other and commits many at once.
type writer struct {
	db   *sql.DB
	conn *sql.Conn

	log       string // path of the write-ahead log; set once
	limitLog  int64  // bytes of it; set once
	limit     int    // changes that wait; set once
	limitSize int    // bytes that changes hold, waiting or under way; set once

	acquainted acquainted // set once

	mu      sync.Mutex // guards what follows
	queue   []*change
	size    int // bytes that changes hold
	closing bool
	wake    *sync.Cond
	ended   chan struct{}
	closed  error // of closing the database; set before ended is closed

	// Owned by the writer's goroutine.
	stmts   map[string]*sql.Stmt
	last    int64     // Seq of the newest message
	trimmed time.Time // when it tried last to make the log shorter
}

// newWriter starts the writer's goroutine. It takes over the only connection of
// db.
func newWriter(db *sql.DB, path string, l Limits) (*writer, error) {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	old, err := readAcquainted(context.Background(), conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	w := &writer{acquainted: old, db: db, conn: conn, log: path + "-wal", limitLog: maxLog, limit: l.WritesWaiting, limitSize: l.BytesWaiting, ended: make(chan struct{}), stmts: make(map[string]*sql.Stmt)}
	w.wake = sync.NewCond(&w.mu)
	go w.loop() // ends with close
	return w, nil
}

// do has a change of so many bytes written and returns once it is committed or
// refused, or when ctx ends. A change that still waits then is not carried out; of
// one that is being written nobody knows yet, and late, unless it is nil, is told
// when that shows, on the writer's goroutine.
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
func (w *writer) start(run func(*batch) error) bool {
	return w.put(&change{run: run, done: make(chan error, 1)}) == nil
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
	w.wake.Signal()
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

func (w *writer) loop() {
	defer close(w.ended)
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
		w.commit(changes)
		w.trim()
	}
	for _, stmt := range w.stmts {
		_ = stmt.Close() // goes with the connection
	}
	w.closed = errors.Join(w.conn.Close(), w.db.Close())
}

// commit runs changes in one transaction. When the database fails one of them, they
// run once more with each apart from the others, so that it costs only itself: a
// message that the file has no room for, say.
func (w *writer) commit(changes []*change) {
	errs, err := w.transact(changes, (*batch).run)
	if errors.As(err, new(failedChange)) && len(changes) > 1 {
		errs, err = w.transact(changes, (*batch).runApart)
	}
	if err != nil {
		errs = slices.Repeat([]error{err}, len(changes))
	}
	w.finish(changes, errs)
}

// failedChange marks an error of the database in a change, not around all.
type failedChange struct{ error }

func (f failedChange) Unwrap() error { return f.error }

// transact runs changes in one transaction and returns what became of each. After
// an error none is stored.
func (w *writer) transact(changes []*change, run func(*batch, *change) error) (errs []error, err error) {
	b := &batch{writer: w, now: time.Now()}
	last := w.last
	defer func() {
		if err != nil {
			w.last = last
			_ = b.exec("ROLLBACK") // fails when SQLite has rolled back by itself
		}
	}()
	if err := b.exec("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	var newest sql.NullInt64
	if err := b.row("SELECT max(seq) FROM messages").Scan(&newest); err != nil {
		return nil, err
	}
	w.last = max(w.last, newest.Int64)
	errs = make([]error, len(changes))
	for i, c := range changes {
		err := run(b, c)
		var r refusal
		if err != nil && !errors.As(err, &r) {
			return nil, failedChange{err}
		}
		errs[i] = err
	}
	return errs, b.exec("COMMIT")
}

// Readers that overlap without end keep SQLite from starting its log afresh. Above
// maxLog bytes the writer makes room: new readers need no log then, and it waits
// trimPatience for those that do, at most every trimEvery.
const (
	maxLog       = 256 << 20
	trimPatience = "200" // milliseconds
	trimEvery    = 5 * time.Second
)

// trim keeps the write-ahead log from growing without a bound.
func (w *writer) trim() {
	info, err := os.Stat(w.log)
	if err != nil || info.Size() <= w.limitLog || time.Since(w.trimmed) < trimEvery {
		return
	}
	w.trimmed = time.Now()
	ctx := context.Background()
	// What fails here is tried again: nothing depends on it.
	_, _ = w.conn.ExecContext(ctx, "PRAGMA busy_timeout = "+trimPatience)
	_, _ = w.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	_, _ = w.conn.ExecContext(ctx, "PRAGMA busy_timeout = "+busyTimeout)
}
