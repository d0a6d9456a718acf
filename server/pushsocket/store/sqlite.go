package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver named "sqlite"
)

// pageSize is that of the database file, in bytes; SQLite's own default.
const pageSize = 4096

// busyTimeout is how long a statement waits for another process, such as one that
// copies the database, in milliseconds.
const busyTimeout = "5000"

// sqlite is the engine on one file and the two beside it that SQLite keeps while it is
// open (-wal and -shm). One goroutine writes: it takes all changes that wait into one
// transaction and answers them after its commit, so a commit's fsync is shared by all who
// wait for it. It ends with Close.
//
// Of two processes on one file each would push only what it stored itself to its
// clients before they authorize again; nothing would be lost.
type sqlite struct {
	path  string
	file  os.FileInfo // set once; of the database file
	reads *sql.DB
	stmts map[string]*sql.Stmt // set once; of the questions that are asked often

	writes *sqliteWrites // set once; its goroutine owns what is in it
}

// openSQLite opens the database at path, makes it if it is not there, and brings its
// schema to this version's. The error wraps [ErrOpen], names the file and, when that may
// be why, says whose its directory is.
func openSQLite(path string, limits Limits) (*keeper, error) {
	e := &sqlite{path: path}
	s, err := e.open(limits.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w%s", ErrOpen, path, err, unwritable(path))
	}
	return s, nil
}

func (e *sqlite) open(l Limits) (*keeper, error) {
	// SQLite would make it readable to everyone; -wal and -shm follow it.
	f, err := os.OpenFile(e.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, err
	}
	e.file, err = f.Stat()
	_ = f.Close()
	if err != nil {
		return nil, err
	}
	w, err := openSQLiteWrites(e.path, l)
	if err != nil {
		return nil, err
	}
	if err := e.openReads(l.ConcurrentReadings); err != nil {
		return nil, errors.Join(err, w.close())
	}
	old, err := readAcquainted(context.Background(), e)
	if err != nil {
		return nil, errors.Join(err, w.close(), e.close())
	}
	e.writes = w
	return keep(e, l, old, w), nil
}

// openReads opens the database for so many readers at once.
func (e *sqlite) openReads(most int) (err error) {
	if e.reads, err = sql.Open("sqlite", dsn(e.path, "busy_timeout("+busyTimeout+")", "query_only(1)")); err != nil {
		return err
	}
	e.reads.SetMaxOpenConns(most)
	e.reads.SetMaxIdleConns(most)
	e.stmts = make(map[string]*sql.Stmt)
	for _, text := range []string{sqlPending, sqlFind, sqlKnows} {
		if e.stmts[text], err = e.reads.Prepare(text); err != nil {
			return errors.Join(err, e.reads.Close())
		}
	}
	return nil
}

// row implements [reader].
func (e *sqlite) row(ctx context.Context, text string, args ...any) scanner {
	if stmt := e.stmts[text]; stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return e.reads.QueryRowContext(ctx, text, args...)
}

// sqlPending goes by the index on device, whose entries end with the row's own key:
// seq.
const sqlPending = `SELECT seq, tag, header,
	CASE WHEN shared IS NULL THEN body ELSE (SELECT text FROM bodies WHERE id = shared) END
	FROM messages WHERE device = $1 AND seq > $2 ORDER BY seq LIMIT $3`

// pending implements [engine]. No row is read that is not asked for.
func (e *sqlite) pending(ctx context.Context, d DeviceID, after int64, _ int, next func(scanner) (bool, error)) error {
	rows, err := e.stmts[sqlPending].QueryContext(ctx, int64(d), after, maxPending)
	if err != nil {
		return err
	}
	return eachRow(rows, next)
}

// eachRow gives rows one by one while next says so, and closes them.
func eachRow(rows *sql.Rows, next func(scanner) (bool, error)) (err error) {
	for more := true; more && err == nil && rows.Next(); {
		more, err = next(rows)
	}
	return errors.Join(err, rows.Err(), rows.Close())
}

// dsn names a file and the pragmas of each connection to it.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}
	// A URI, so that a question mark in the path is none of the query.
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

// errGone says that what is written now nobody will find at the next start.
var errGone = errors.New("the database file is not where it was opened any more")

// ready implements [engine].
func (e *sqlite) ready() error {
	switch now, err := os.Stat(e.path); {
	case err != nil:
		return err
	case !os.SameFile(now, e.file):
		return errGone
	}
	return nil
}

// measure implements [engine].
func (e *sqlite) measure(ctx context.Context) (inUse, onDisk int64, err error) {
	err = e.row(ctx, `SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size`).Scan(&inUse)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(e.path + suffix); err == nil {
			onDisk += info.Size()
		}
	}
	return inUse, onDisk, err
}

// tidy implements [engine]: triggers leave nothing behind.
func (e *sqlite) tidy(context.Context) error { return nil }

// close implements [engine].
func (e *sqlite) close() error { return e.reads.Close() }
