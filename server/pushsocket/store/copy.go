package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Copied is how many rows of each kind [Copy] has copied.
type Copied struct {
	Identities int64 `json:"identities"`
	Devices    int64 `json:"devices"` // those that were removed too
	Prekeys    int64 `json:"prekeys"`
	Messages   int64 `json:"messages"`
	Bodies     int64 `json:"bodies"` // that several messages share
	Contacts   int64 `json:"contacts"`
}

// ErrNotEmpty says that there is something already where a store was to be copied to.
var ErrNotEmpty = errors.New("the database has identities already, and nothing is copied into one that is in use: name an empty one")

// A table is one that is copied with all of its columns but those that count, which its
// triggers fill.
type table struct {
	name, columns, from string // from is what the columns are in SQLite, where that is otherwise
	sequence            bool   // its ids go on behind those that were ever given
}

// copied are the tables, those that others refer to first.
var copied = []table{
	{"identities", "id, key, created, revoked, used", "", true},
	{"devices", "id, identity, name, created, removed, last_resort", "id, identity, CAST(name AS BLOB), created, removed, last_resort", true},
	{"prekeys", "id, device, body", "", true},
	{"bodies", "id, text", "", true},
	{"messages", "device, seq, tag, sender, standing, header, body, shared, shared_size", "", false},
	{"contacts", "device, contact, since, written, used", "", false},
}

// CopyTo copies a store from the SQLite file at a path into an empty database of
// PostgreSQL, whole or, on an error, not at all. Ids of devices and messages stay what
// they are. The file is only read: no server may be using it, or what that stores
// meanwhile is not copied. Before it commits, it compares what is there with what was. The
// error is one line, and has no password in it.
func CopyTo(ctx context.Context, path, where string) (Copied, error) {
	var done Copied
	if !IsPostgres(where) {
		return done, errAddress
	}
	from, err := openToRead(ctx, path)
	if err != nil {
		return done, fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = from.Close() }()     // was only read
	s, err := openPostgres(where, Limits{}) // makes the schema
	if err != nil {
		return done, err
	}
	if err := s.Close(ctx); err != nil {
		return done, err
	}
	cfg, err := postgresConfig(where)
	if err != nil {
		return done, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return done, onOneLine(err)
	}
	defer func() { _ = conn.Close(ctx) }() // what counts is committed
	err = pgx.BeginFunc(ctx, conn, func(to pgx.Tx) (err error) {
		done, err = copyAll(ctx, from, to)
		return err
	})
	if err != nil {
		return Copied{}, onOneLine(fmt.Errorf("nothing is copied: %w", err))
	}
	return done, nil
}

// openToRead opens a file that is one of ours, of the newest schema, in one transaction.
func openToRead(ctx context.Context, path string) (*readOnly, error) {
	if _, err := os.Stat(path); err != nil { // SQLite would say less
		return nil, errors.Unwrap(err)
	}
	db, err := sql.Open("sqlite", dsn(path, "busy_timeout("+busyTimeout+")", "query_only(1)"))
	if err != nil {
		return nil, err
	}
	r := &readOnly{db: db}
	if r.tx, err = db.Conn(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	var application, version int
	_, err = r.tx.ExecContext(ctx, "BEGIN DEFERRED")
	if err == nil {
		err = r.tx.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application)
	}
	if err == nil {
		err = r.tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	}
	switch {
	case err != nil:
	case application != applicationID:
		err = errors.New("is no database of the Push Socket Protocol")
	case version > len(migrations):
		err = fmt.Errorf("has schema version %d, made by a newer poosh: this one knows %d", version, len(migrations))
	case version < len(migrations):
		err = fmt.Errorf("has schema version %d, made by an older poosh: start this one with it once, which makes it %d", version, len(migrations))
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// A readOnly is a file as it was at one moment.
type readOnly struct {
	db *sql.DB
	tx *sql.Conn // within a transaction
}

// Close ends the reading.
func (r *readOnly) Close() error { return errors.Join(r.tx.Close(), r.db.Close()) }

// copyAll copies every table and compares.
func copyAll(ctx context.Context, from *readOnly, to pgx.Tx) (done Copied, err error) {
	// Nobody registers meanwhile; identities is what everything else hangs on.
	if _, err := to.Exec(ctx, `LOCK TABLE identities, devices IN EXCLUSIVE MODE`); err != nil {
		return done, err
	}
	if _, err := to.Exec(ctx, `SELECT `+byIndex); err != nil { // for the triggers
		return done, err
	}
	var there int64
	if err := to.QueryRow(ctx, `SELECT count(*) FROM identities`).Scan(&there); err != nil {
		return done, err
	}
	if there > 0 {
		return done, ErrNotEmpty
	}
	for i, into := range []*int64{&done.Identities, &done.Devices, &done.Prekeys, &done.Bodies, &done.Messages, &done.Contacts} {
		if *into, err = copied[i].copy(ctx, from, to); err != nil {
			return done, fmt.Errorf("%s: %w", copied[i].name, err)
		}
	}
	var last, at int64
	if err := from.tx.QueryRowContext(ctx, `SELECT acquainted, acquainted_at FROM totals`).Scan(&last, &at); err != nil {
		return done, err
	}
	if _, err := to.Exec(ctx, `UPDATE totals SET acquainted = $1, acquainted_at = $2`, last, at); err != nil {
		return done, err
	}
	return done, compare(ctx, from, to)
}

// copy copies one table and returns how many rows it has.
func (t table) copy(ctx context.Context, from *readOnly, to pgx.Tx) (n int64, err error) {
	columns := t.from
	if columns == "" {
		columns = t.columns
	}
	rows, err := from.tx.QueryContext(ctx, `SELECT `+columns+` FROM `+t.name)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	names := strings.Split(t.columns, ", ")
	n, err = to.CopyFrom(ctx, pgx.Identifier{t.name}, names, &source{rows: rows, width: len(names)})
	if err != nil || !t.sequence {
		return n, err
	}
	// An id that was given once is not given again, also when nobody has it any more.
	var newest, given int64
	if err := from.tx.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM `+t.name).Scan(&newest); err != nil {
		return n, err
	}
	if err := from.tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = $1`, t.name).Scan(&given); err != nil {
		return n, err
	}
	if newest = max(newest, given); newest > 0 {
		_, err = to.Exec(ctx, `SELECT setval(pg_get_serial_sequence($1, 'id'), $2)`, t.name, newest)
	}
	return n, err
}

// A source gives the rows of a table to PostgreSQL. It implements [pgx.CopyFromSource].
type source struct {
	rows  *sql.Rows
	width int // columns
}

// Next implements [pgx.CopyFromSource].
func (s *source) Next() bool { return s.rows.Next() }

// Err implements [pgx.CopyFromSource].
func (s *source) Err() error { return s.rows.Err() }

// Values implements [pgx.CopyFromSource].
func (s *source) Values() ([]any, error) {
	values := make([]any, s.width)
	into := make([]any, s.width)
	for i := range values {
		into[i] = &values[i]
	}
	err := s.rows.Scan(into...)
	for i := range values {
		// What an empty blob is for the driver of SQLite is NULL for that of PostgreSQL.
		if blob, ok := values[i].([]byte); ok && blob == nil {
			values[i] = []byte{}
		}
	}
	return values, err
}

// sqlCompared is what must be the same in both: what was counted in one as things came and
// went, and in the other while they were copied.
const sqlCompared = `SELECT (SELECT identities FROM totals), count(*), CAST(coalesce(sum(prekeys), 0) AS BIGINT), CAST(coalesce(sum(key_bytes), 0) AS BIGINT),
	CAST(coalesce(sum(messages), 0) AS BIGINT), CAST(coalesce(sum(bytes), 0) AS BIGINT), CAST(coalesce(sum(heard_messages), 0) AS BIGINT), CAST(coalesce(sum(heard_bytes), 0) AS BIGINT),
	CAST(coalesce(sum(strange_messages), 0) AS BIGINT), CAST(coalesce(sum(strange_bytes), 0) AS BIGINT), CAST(coalesce(sum(contacts), 0) AS BIGINT),
	(SELECT count(*) FROM senders), (SELECT count(*) FROM bodies), (SELECT coalesce(max(seq), 0) FROM messages) FROM devices`

// compare compares what was with what is there.
func compare(ctx context.Context, from *readOnly, to pgx.Tx) error {
	var was, is [14]int64
	into := func(n *[14]int64) (list []any) {
		for i := range n {
			list = append(list, &n[i])
		}
		return list
	}
	if err := from.tx.QueryRowContext(ctx, sqlCompared).Scan(into(&was)...); err != nil {
		return err
	}
	if err := to.QueryRow(ctx, sqlCompared).Scan(into(&is)...); err != nil {
		return err
	}
	if was != is {
		return fmt.Errorf("what was copied is not what was there: %v, and it was %v", is, was)
	}
	return nil
}
