package store

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// A tx is a transaction of one database. Texts are of SQL that both databases read, with
// $1 and so on for arguments. One goroutine uses it.
type tx interface {
	// affect executes a statement and returns how many rows it changed itself.
	affect(text string, args ...any) (int, error)
	// many executes a statement with one list of arguments after the other.
	many(text string, each [][]any) error
	row(text string, args ...any) scanner
	// rows gives the rows of a query one by one while next says so.
	rows(text string, args []any, next func(scanner) (bool, error)) error

	// confirm removes messages of a device by their Seqs and tags, and gives the sender of
	// each that was there.
	confirm(d DeviceID, seqs, tags []int64, gone func(sender DeviceID)) error

	// holds reports whether nobody else can change what is of a device, which is so for
	// those that were there when the transaction began and that its changes had named.
	holds(DeviceID) bool
	// nextSeq returns the Seq of a new message for a device that is held: it holds the
	// time, and it grows even when the clock does not, in the order of commits.
	nextSeq(DeviceID) int64
	// inUse is how many bytes of the database are used.
	inUse() (int64, error)
	// full reports whether it takes no message any more and does not say so by itself.
	full(*Limits) bool
}

// A scanner is a row, or the reason why there is none.
type scanner interface{ Scan(...any) error }

type noRow struct{ err error }

func (r noRow) Scan(...any) error { return r.err }

// A batch is the transaction that changes write to.
type batch struct {
	tx
	now        time.Time
	acquainted *acquainted
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
// which is a refusal then: the others go on. It fails when the database has rolled
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

// runAll runs changes and returns what became of each, or the error that ended that.
func (b *batch) runAll(changes []*change, run func(*batch, *change) error) ([]error, error) {
	errs := make([]error, len(changes))
	for i, c := range changes {
		err := run(b, c)
		var r refusal
		if err != nil && !errors.As(err, &r) {
			return nil, failedChange{err}
		}
		errs[i] = err
	}
	return errs, nil
}

func (b *batch) exec(text string, args ...any) error {
	_, err := b.affect(text, args...)
	return err
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
func (b *batch) integers(text string, args ...any) (list []int64, err error) {
	err = b.rows(text, args, func(row scanner) (bool, error) {
		var n int64
		err := row.Scan(&n)
		list = append(list, n)
		return true, err
	})
	return list, err
}

// A name is that of a device: text for SQLite, and bytes for PostgreSQL, whose text is
// not everything that a device may be called.
type name string

// BytesValue implements [pgtype.BytesValuer].
func (n name) BytesValue() ([]byte, error) { return []byte(n), nil }
