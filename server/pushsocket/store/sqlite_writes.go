package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

// sqliteWrites is the only connection that writes to a file. The writer's goroutine owns it.
type sqliteWrites struct {
	db       *sql.DB
	conn     *sql.Conn
	log      string // path of the write-ahead log; set once
	limitLog int64  // bytes of it; set once

	stmts   map[string]*sql.Stmt
	last    int64     // Seq of the newest message
	trimmed time.Time // when it tried last to make the log shorter
}

// openSQLiteWrites opens a database for writing and brings it to the newest schema.
func openSQLiteWrites(path string, l Limits) (*sqliteWrites, error) {
	db, err := sql.Open("sqlite", dsn(path,
		"busy_timeout("+busyTimeout+")", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		"journal_size_limit(67108864)", fmt.Sprintf("max_page_count(%d)", max(1, l.BytesOnDisk/pageSize))))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := migrate(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &sqliteWrites{db: db, conn: conn, log: path + "-wal", limitLog: maxLog, stmts: make(map[string]*sql.Stmt)}, nil
}

// transact implements [committer].
func (w *sqliteWrites) transact(changes []*change, run func(*batch, *change) error, old *acquainted) (errs []error, err error) {
	b := &batch{tx: &sqliteTx{w, time.Now()}, now: time.Now(), acquainted: old}
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
	if errs, err = b.runAll(changes, run); err != nil {
		return nil, err
	}
	return errs, b.exec("COMMIT")
}

// close implements [committer].
func (w *sqliteWrites) close() error {
	for _, stmt := range w.stmts {
		_ = stmt.Close() // goes with the connection
	}
	return errors.Join(w.conn.Close(), w.db.Close())
}

// Readers that overlap without end keep SQLite from starting its log afresh. Above
// maxLog bytes the writer makes room: new readers need no log then, and it waits
// trimPatience for those that do, at most every trimEvery.
const (
	maxLog       = 256 << 20
	trimPatience = "200" // milliseconds
	trimEvery    = 5 * time.Second
)

// rest implements [committer]. It keeps the write-ahead log from growing without a bound.
func (w *sqliteWrites) rest() {
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

// A sqliteTx is a transaction on a file, where nobody else writes meanwhile.
type sqliteTx struct {
	*sqliteWrites
	now time.Time
}

// stmt prepares a text once for the life of the connection.
func (t *sqliteTx) stmt(text string) (*sql.Stmt, error) {
	if s := t.stmts[text]; s != nil {
		return s, nil
	}
	s, err := t.conn.PrepareContext(context.Background(), text)
	if err == nil {
		t.stmts[text] = s
	}
	return s, err
}

// affect implements [tx].
func (t *sqliteTx) affect(text string, args ...any) (int, error) {
	s, err := t.stmt(text)
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

// many implements [tx].
func (t *sqliteTx) many(text string, each [][]any) error {
	for _, args := range each {
		if _, err := t.affect(text, args...); err != nil {
			return err
		}
	}
	return nil
}

// row implements [tx].
func (t *sqliteTx) row(text string, args ...any) scanner {
	s, err := t.stmt(text)
	if err != nil {
		return noRow{err}
	}
	return s.QueryRowContext(context.Background(), args...)
}

// rows implements [tx].
func (t *sqliteTx) rows(text string, args []any, next func(scanner) (bool, error)) error {
	s, err := t.stmt(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		return err
	}
	return eachRow(rows, next)
}

// confirm implements [tx].
func (t *sqliteTx) confirm(d DeviceID, seqs, tags []int64, gone func(DeviceID)) error {
	for i, seq := range seqs {
		var sender DeviceID
		switch err := t.row(`DELETE FROM messages WHERE seq = $1 AND tag = $2 AND device = $3 RETURNING sender`,
			seq, tags[i], int64(d)).Scan(&sender); {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		default:
			gone(sender)
		}
	}
	return nil
}

// holds implements [tx].
func (t *sqliteTx) holds(DeviceID) bool { return true }

// nextSeq implements [tx]. A Seq is the only one of the file.
func (t *sqliteTx) nextSeq(DeviceID) int64 {
	t.last = max(t.last+1, seqAt(t.now))
	return t.last
}

// inUse implements [tx].
func (t *sqliteTx) inUse() (int64, error) {
	var pages, free int64
	if err := t.row(`PRAGMA page_count`).Scan(&pages); err != nil {
		return 0, err
	}
	if err := t.row(`PRAGMA freelist_count`).Scan(&free); err != nil {
		return 0, err
	}
	return (pages - free) * pageSize, nil
}

// full implements [tx]: SQLite keeps to max_page_count by itself.
func (t *sqliteTx) full(*Limits) bool { return false }
