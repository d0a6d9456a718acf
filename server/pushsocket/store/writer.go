package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// maxBatch is how many changes share a commit at most.
const maxBatch = 512

// A change is what one caller wants written. It runs on the writer's goroutine
// inside a transaction that others share, so it must find every reason to refuse
// before it writes anything.
type change struct {
	run  func(*batch) error
	done chan error // of capacity 1
}

// refusal marks an error of a change that wrote nothing: the others go on.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// A writer runs changes one after the other and commits many at once.
type writer struct {
	db   *sql.DB
	conn *sql.Conn

	mu      sync.Mutex // guards what follows
	queue   []*change
	limit   int
	closing bool
	wake    *sync.Cond
	ended   chan struct{}

	// Owned by the writer's goroutine.
	stmts map[string]*sql.Stmt
	last  int64 // Seq of the newest message
}

// newWriter starts the writer's goroutine. It takes over the only connection of
// db.
func newWriter(db *sql.DB, limit int) (*writer, error) {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	w := &writer{db: db, conn: conn, limit: limit, ended: make(chan struct{}), stmts: make(map[string]*sql.Stmt)}
	w.wake = sync.NewCond(&w.mu)
	go w.loop() // ends with close
	return w, nil
}

// do has a change written and returns once it is committed or refused. The context
// bounds the waiting for a place alone: a change that has one is carried out.
func (w *writer) do(ctx context.Context, run func(*batch) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &change{run, make(chan error, 1)}
	w.mu.Lock()
	switch {
	case w.closing:
		w.mu.Unlock()
		return fmt.Errorf("%w: %w", ErrUnavailable, ErrClosed)
	case len(w.queue) >= w.limit:
		w.mu.Unlock()
		return fmt.Errorf("%w: %w", ErrUnavailable, ErrBusy)
	}
	w.queue = append(w.queue, c)
	w.mu.Unlock()
	w.wake.Signal()
	err := <-c.done
	var r refusal
	if errors.As(err, &r) {
		return r.error
	}
	return unavailable(err)
}

// close lets the writer finish what waits.
func (w *writer) close() error {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.wake.Signal()
	<-w.ended
	return errors.Join(w.conn.Close(), w.db.Close())
}

func (w *writer) loop() {
	defer close(w.ended)
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && !w.closing {
			w.wake.Wait()
		}
		n := min(len(w.queue), maxBatch)
		changes := w.queue[:n:n]
		w.queue = w.queue[n:]
		if len(w.queue) == 0 {
			w.queue = nil
		}
		w.mu.Unlock()
		if n == 0 {
			break
		}
		w.commit(changes)
	}
	for _, stmt := range w.stmts {
		_ = stmt.Close() // goes with the connection
	}
}

// commit runs changes in one transaction. If the database fails any of them, none
// is stored.
func (w *writer) commit(changes []*change) {
	errs, err := w.transact(changes)
	for i, c := range changes {
		if err != nil {
			c.done <- err
		} else {
			c.done <- errs[i]
		}
	}
}

func (w *writer) transact(changes []*change) (errs []error, err error) {
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
		err := b.run(c)
		var r refusal
		if err != nil && !errors.As(err, &r) {
			return nil, err
		}
		errs[i] = err
	}
	return errs, b.exec("COMMIT")
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
