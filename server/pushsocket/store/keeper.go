package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"poosh/auth"
)

// A keeper is a [Store] on a database: one set of rules, in SQL that SQLite and
// PostgreSQL both read, over an engine for what differs between the two.
type keeper struct {
	engine engine
	writer *writer
	limits atomic.Pointer[Limits]

	usedMu sync.Mutex        // guards using; taken before the writer's mu
	using  map[DeviceID]bool // their use is about to be written
}

// A reader answers questions of any goroutine, outside of transactions.
type reader interface {
	row(ctx context.Context, text string, args ...any) scanner
}

// An engine is what differs between databases but for their transactions, which a
// committer has.
type engine interface {
	reader
	// pending gives messages of a device after a Seq, oldest first, while next says so:
	// maxPending at the most, and not many more than maxBytes when the database knows.
	pending(ctx context.Context, d DeviceID, after int64, maxBytes int, next func(scanner) (bool, error)) error
	// ready says why changes cannot be written, if it can be told without writing.
	ready() error
	// measure returns how many bytes are used, and how many the database takes.
	measure(ctx context.Context) (inUse, onDisk int64, err error)
	// tidy removes what nobody else would, a little at a time.
	tidy(ctx context.Context) error
	// close ends readers. The writer is closed already, or stuck.
	close() error
}

// keep makes a store of an engine and what writes to its database.
func keep(e engine, l Limits, old acquainted, committers ...committer) *keeper {
	s := &keeper{engine: e, writer: newWriter(l, old, committers...), using: make(map[DeviceID]bool)}
	s.limits.Store(&l)
	return s
}

// touches are the devices that a change reads and alters. On a database with several
// writers they are held from before it runs until it is committed: nobody else writes to
// their mailboxes, keys and contacts meanwhile.
type touches struct {
	devices    []DeviceID
	addresses  []auth.Address
	identities []string   // by key, with all of their devices
	siblings   []DeviceID // with all devices of the same identity
	found      *found
	total      bool // the number of identities too
}

// found is a query for devices.
type found struct {
	text string
	args []any
}

// change has something of so many bytes written, as [writer.do] does.
func (s *keeper) change(ctx context.Context, of touches, size int, run func(*batch) error, late func(error)) error {
	return s.writer.await(ctx, &change{run: run, touches: of, size: size, done: make(chan error, 1)}, late)
}

// Ready implements [Store]. It goes the way of a change, and writes nothing.
func (s *keeper) Ready(ctx context.Context) error {
	if err := s.engine.ready(); err != nil {
		return unavailable(err)
	}
	return s.writer.ready(ctx)
}

// Close implements [Store].
func (s *keeper) Close(ctx context.Context) error {
	err := s.writer.close(ctx)
	return errors.Join(err, s.engine.close())
}

// Limits implements [Store].
func (s *keeper) Limits() Limits { return *s.limits.Load() }

// SetLimits implements [Store].
func (s *keeper) SetLimits(l Limits) {
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

const sqlUsage = `SELECT
	(SELECT identities FROM totals),
	(SELECT count(*) FROM identities WHERE revoked IS NOT NULL),
	(SELECT count(*) FROM identities WHERE used IS NULL),
	count(*), CAST(coalesce(sum(prekeys), 0) AS BIGINT), CAST(coalesce(sum(key_bytes + coalesce(length(last_resort), 0)), 0) AS BIGINT),
	CAST(coalesce(sum(contacts), 0) AS BIGINT), CAST(coalesce(sum(messages), 0) AS BIGINT), CAST(coalesce(sum(bytes), 0) AS BIGINT), coalesce(max(messages), 0),
	(SELECT min(seq) FROM messages)
	FROM devices WHERE removed IS NULL`

// Usage implements [Store]. It reads the whole list of devices.
func (s *keeper) Usage(ctx context.Context) (Usage, error) {
	var u Usage
	var oldest sql.NullInt64
	err := s.engine.row(ctx, sqlUsage).Scan(&u.Identities, &u.Revoked, &u.Unused, &u.Devices, &u.Prekeys, &u.KeyBytes,
		&u.Contacts, &u.Messages, &u.Bytes, &u.FullestOf, &oldest)
	if err != nil {
		return u, unavailable(err)
	}
	if oldest.Valid {
		u.Oldest = seqTime(oldest.Int64).UTC()
	}
	u.InUse, u.OnDisk, err = s.engine.measure(ctx)
	return u, unavailable(err)
}

// Seqs hold the time at which a message was stored, so that age needs no column.
const seqBits = 20

func seqAt(t time.Time) int64     { return t.UnixMilli() << seqBits }
func seqTime(seq int64) time.Time { return time.UnixMilli(seq >> seqBits) }
