package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

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
