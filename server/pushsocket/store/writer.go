package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
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
	w := &writer{db: db, conn: conn, log: path + "-wal", limitLog: maxLog, limit: l.WritesWaiting, limitSize: l.BytesWaiting, ended: make(chan struct{}), stmts: make(map[string]*sql.Stmt)}
	w.wake = sync.NewCond(&w.mu)
	go w.loop() // ends with close
	return w, nil
}

// do has a change of so many bytes written and returns once it is committed or
// refused, or when ctx ends. A change that still waits then is not carried out; of
// one that is being written nobody knows yet, and late, unless it is nil, is told
// when that shows, on the writer's goroutine.
func (w *writer) do(ctx context.Context, size int, run func(*batch) error, late func(error)) error {
	c := &change{run: run, size: size, done: make(chan error, 1)}
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
	case len(w.queue) >= w.limit || w.size+c.size > w.limitSize && w.size > 0:
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

// runApart runs a change so that nothing of it is left when the database fails it,
// which is a refusal then: the others go on. It fails when SQLite has rolled
// everything back.
func (b *batch) runApart(c *change) error {
	if err := b.exec("SAVEPOINT apart"); err != nil {
		return err
	}
	err := b.run(c)
	var r refusal
	if err == nil || errors.As(err, &r) {
		if failed := b.exec("RELEASE apart"); failed != nil {
			return failed
		}
		return err
	}
	if undone := b.steps(step{"ROLLBACK TO apart", nil}, step{"RELEASE apart", nil}); undone != nil {
		return err
	}
	return refusal{unavailable(err)}
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

// A batch is the transaction that changes write to.
type batch struct {
	writer *writer
	now    time.Time
}

// run turns a panic of a change into an error, so that those who wait are
// answered.
func (b *batch) run(c *change) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.run(b)
}

// stmt prepares a text once for the life of the connection.
func (b *batch) stmt(text string) (*sql.Stmt, error) {
	if s := b.writer.stmts[text]; s != nil {
		return s, nil
	}
	s, err := b.writer.conn.PrepareContext(context.Background(), text)
	if err == nil {
		b.writer.stmts[text] = s
	}
	return s, err
}

func (b *batch) exec(text string, args ...any) error {
	_, err := b.affect(text, args...)
	return err
}

// affect executes a statement and returns how many rows it changed itself.
func (b *batch) affect(text string, args ...any) (int, error) {
	s, err := b.stmt(text)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}

// A scanner is a row, or the reason why there is none.
type scanner interface{ Scan(...any) error }

type noRow struct{ err error }

func (r noRow) Scan(...any) error { return r.err }

func (b *batch) row(text string, args ...any) scanner {
	s, err := b.stmt(text)
	if err != nil {
		return noRow{err}
	}
	return s.QueryRowContext(context.Background(), args...)
}

// nextSeq returns the Seq of a new message: it holds the time, and it grows even
// when the clock does not.
func (b *batch) nextSeq() int64 {
	b.writer.last = max(b.writer.last+1, seqAt(b.now))
	return b.writer.last
}

// A step is one statement of several.
type step struct {
	text string
	args []any
}

// steps executes statements in order.
func (b *batch) steps(steps ...step) error {
	for _, s := range steps {
		if err := b.exec(s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// integers returns the only column of a query's rows.
func (b *batch) integers(text string, args ...any) ([]int64, error) {
	s, err := b.stmt(text)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		return nil, err
	}
	var list []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		list = append(list, n)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}
