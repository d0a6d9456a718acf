package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"
)

// pageSize is that of the database file, in bytes; SQLite's own default.
const pageSize = 4096

// busyTimeout is how long a statement waits for another process, such as one that
// copies the database, in milliseconds.
const busyTimeout = "5000"

// SQLite is a Store in one file and the two beside it that SQLite keeps while it
// is open (-wal and -shm). One goroutine writes: it takes all changes that wait
// into one transaction and answers them after its commit, so a commit's fsync is
// shared by all who wait for it. It ends with Close.
//
// Of two processes on one file each would push only what it stored itself to its
// clients before they authorize again; nothing would be lost.
type SQLite struct {
	path   string
	file   os.FileInfo // set once; of the database file
	reads  *sql.DB
	writer *writer
	limits atomic.Pointer[Limits]
	query  queries

	usedMu sync.Mutex        // guards using; taken before the writer's mu
	using  map[DeviceID]bool // their use is about to be written
}

// queries are the prepared statements of the readers.
type queries struct {
	find, knows, pending *sql.Stmt
}

// Open opens the database at path, makes it if it is not there, and brings its
// schema to this version's. The error wraps [ErrOpen], names the file and, when
// that may be why, says whose its directory is.
func Open(path string, limits Limits) (*SQLite, error) {
	s := &SQLite{path: path, using: make(map[DeviceID]bool)}
	l := limits.WithDefaults()
	s.limits.Store(&l)
	if err := s.open(l); err != nil {
		return nil, fmt.Errorf("%w: %s: %w%s", ErrOpen, path, err, unwritable(path))
	}
	return s, nil
}

func (s *SQLite) open(l Limits) error {
	// SQLite would make it readable to everyone; -wal and -shm follow it.
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return err
	}
	s.file, err = f.Stat()
	_ = f.Close()
	if err != nil {
		return err
	}
	writes, err := sql.Open("sqlite", dsn(s.path,
		"busy_timeout("+busyTimeout+")", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		"journal_size_limit(67108864)", fmt.Sprintf("max_page_count(%d)", max(1, l.BytesOnDisk/pageSize))))
	if err != nil {
		return err
	}
	writes.SetMaxOpenConns(1)
	if err := migrate(writes); err != nil {
		return errors.Join(err, writes.Close())
	}
	if s.writer, err = newWriter(writes, s.path, l); err != nil {
		return errors.Join(err, writes.Close())
	}
	if err := s.openReads(l); err != nil {
		return errors.Join(err, s.writer.close(context.Background()))
	}
	return nil
}

func (s *SQLite) openReads(l Limits) error {
	var err error
	if s.reads, err = sql.Open("sqlite", dsn(s.path, "busy_timeout("+busyTimeout+")", "query_only(1)")); err != nil {
		return err
	}
	s.reads.SetMaxOpenConns(l.ConcurrentReadings)
	s.reads.SetMaxIdleConns(l.ConcurrentReadings)
	for _, q := range []struct {
		stmt **sql.Stmt
		text string
	}{{&s.query.find, sqlFind}, {&s.query.knows, sqlKnows}, {&s.query.pending, sqlPending}} {
		if *q.stmt, err = s.reads.Prepare(q.text); err != nil {
			return errors.Join(err, s.reads.Close())
		}
	}
	return nil
}

// dsn names a file and the pragmas of each connection to it.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	// A URI, so that a question mark in the path is none of the query.
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

// errGone says that what is written now nobody will find at the next start.
var errGone = errors.New("the database file is not where it was opened any more")

// Ready implements [Store]. It goes the way of a change, and writes nothing.
func (s *SQLite) Ready(ctx context.Context) error {
	switch now, err := os.Stat(s.path); {
	case err != nil:
		return unavailable(err)
	case !os.SameFile(now, s.file):
		return unavailable(errGone)
	}
	return s.writer.ready(ctx)
}

// Close implements [Store].
func (s *SQLite) Close(ctx context.Context) error {
	err := s.writer.close(ctx)
	return errors.Join(err, s.reads.Close())
}

// Limits implements [Store].
func (s *SQLite) Limits() Limits { return *s.limits.Load() }

// SetLimits implements [Store].
func (s *SQLite) SetLimits(l Limits) {
	l = l.WithDefaults()
	old := s.limits.Load()
	l.BytesOnDisk, l.KeysPercent = old.BytesOnDisk, old.KeysPercent
	l.WritesWaiting, l.BytesWaiting, l.ConcurrentReadings = old.WritesWaiting, old.BytesWaiting, old.ConcurrentReadings
	s.limits.Store(&l)
}

// unavailable wraps an error of the database.
func unavailable(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// Usage implements [Store]. It reads the whole list of devices.
func (s *SQLite) Usage(ctx context.Context) (Usage, error) {
	var u Usage
	var oldest sql.NullInt64
	row := s.reads.QueryRowContext(ctx, `SELECT
		(SELECT identities FROM totals),
		(SELECT count(*) FROM identities WHERE revoked IS NOT NULL),
		(SELECT count(*) FROM identities WHERE used IS NULL),
		(SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size),
		count(*), coalesce(sum(prekeys), 0), coalesce(sum(key_bytes + coalesce(length(last_resort), 0)), 0), coalesce(sum(contacts), 0), coalesce(sum(messages), 0), coalesce(sum(bytes), 0), coalesce(max(messages), 0),
		(SELECT min(seq) FROM messages)
		FROM devices WHERE removed IS NULL`)
	if err := row.Scan(&u.Identities, &u.Revoked, &u.Unused, &u.InUse, &u.Devices, &u.Prekeys, &u.KeyBytes, &u.Contacts, &u.Messages, &u.Bytes, &u.FullestOf, &oldest); err != nil {
		return u, unavailable(err)
	}
	if oldest.Valid {
		u.Oldest = seqTime(oldest.Int64).UTC()
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			u.OnDisk += info.Size()
		}
	}
	return u, nil
}

// Seqs hold the time at which a message was stored, so that age needs no column.
const seqBits = 20

func seqAt(t time.Time) int64     { return t.UnixMilli() << seqBits }
func seqTime(seq int64) time.Time { return time.UnixMilli(seq >> seqBits) }
