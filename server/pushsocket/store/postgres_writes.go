package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// postgresWrites carries out changes on PostgreSQL, one transaction at a time. A loop of
// the writer owns it.
type postgresWrites struct {
	engine *postgres
	pool   *sharedPool

	id    int64 // of its row in writers
	count int64 // of its transactions
}

func newPostgresWrites(e *postgres, pool *sharedPool) *postgresWrites {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return &postgresWrites{engine: e, pool: pool, id: int64(binary.BigEndian.Uint64(id[:]) >> 1)}
}

// tries is how often a transaction is tried that others were in the way of, or whose
// connection turned out to be gone before it had begun.
const tries = 3

// tryPause is between two of them, so that those that were in the way have what they wait
// for first, and the next one does not meet them again.
const tryPause = 50 * time.Millisecond

// transact implements [committer].
func (w *postgresWrites) transact(changes []*change, run func(*batch, *change) error, old *acquainted) (errs []error, err error) {
	for range tries {
		if errs, err = w.attempt(changes, run, old); !passes(err) {
			break
		}
		time.Sleep(tryPause)
	}
	return errs, asked(err)
}

// passes reports whether a transaction of which nothing is stored may go through when it is
// tried again at once: it met others (deadlock_detected, serialization_failure: Appendix A
// of PostgreSQL's manual), or an old connection.
func passes(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, errStale) || errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001")
}

// errStale says that a connection was lost before anything was done on it.
var errStale = errors.New("the connection was lost")

// errLost says that nobody knows whether a transaction was committed.
var errLost = errors.New("the connection was lost while the database was to commit")

// attempt tries a transaction.
func (w *postgresWrites) attempt(changes []*change, run func(*batch, *change) error, old *acquainted) ([]error, error) {
	ctx, cancel := context.WithTimeout(context.Background(), writePatience)
	defer cancel()
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release() // which closes it when it is within a transaction
	t := &postgresTx{ctx: ctx, conn: conn.Conn(), engine: w.engine, last: make(map[DeviceID]int64)}
	w.count++
	b := &batch{tx: t, acquainted: old}
	err = t.begin(w.id, w.count, changes)
	b.now = t.now
	if err != nil {
		if isBroken(err) && t.conn.IsClosed() && ctx.Err() == nil {
			w.pool.Reset() // the others are lost too
			return nil, fmt.Errorf("%w: %w", errStale, err)
		}
		return nil, errors.Join(err, t.rollback())
	}
	errs, err := b.runAll(changes, run)
	if err != nil {
		return nil, errors.Join(err, t.rollback())
	}
	if err := t.commit(); err != nil {
		if errors.Is(err, errLost) {
			conn.Release()
			err = w.settle(w.count, err)
		}
		if err != nil {
			return nil, err
		}
	}
	return errs, nil
}

// How long is waited between two questions for what became of a transaction.
const (
	settleSoon = 100 * time.Millisecond
	settleLate = 5 * time.Second
)

// settle finds out whether a transaction was committed whose connection was lost at its
// end: nil when it was, and why it was not otherwise. It waits for a database that is
// away, since until then nothing true can be said, and gives up when the store is closed.
func (w *postgresWrites) settle(count int64, why error) error {
	for pause := settleSoon; ; pause = min(2*pause, settleLate) {
		stored, err := w.stored(count)
		switch {
		case err == nil && stored:
			return nil
		case err == nil:
			return fmt.Errorf("%w: nothing of it is stored", why)
		}
		select {
		case <-w.engine.ctx.Done():
			return fmt.Errorf("%w, and it may be stored: %w", why, err)
		case <-time.After(pause):
		}
	}
}

// sqlSettled makes the row of a writer when there is none, and returns its count. It waits
// for the end of a transaction that the server is still about to commit, of one too that
// made the row: nobody else sees that, and only who makes it as well is told of it.
const sqlSettled = `INSERT INTO writers AS w (id, count, at) VALUES ($1, 0, floor(extract(epoch FROM clock_timestamp()) * 1000))
	ON CONFLICT (id) DO UPDATE SET count = w.count RETURNING count`

// stored reports whether a transaction of this writer was committed.
func (w *postgresWrites) stored(count int64) (bool, error) {
	ctx, cancel := context.WithTimeout(w.engine.ctx, readPatience)
	defer cancel()
	var last int64
	err := w.pool.QueryRow(ctx, sqlSettled, w.id).Scan(&last)
	return err == nil && last >= count, err
}

// rest implements [committer].
func (w *postgresWrites) rest() {}

// close implements [committer]. What a row of the database would tell nobody asks any more.
func (w *postgresWrites) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), connectPatience)
	defer cancel()
	if w.count > 0 && w.pool.Stat().IdleConns() > 0 { // one that is away is not waited for
		_, _ = w.pool.Exec(ctx, `DELETE FROM writers WHERE id = $1`, w.id) // or tidy does
	}
	w.pool.leave()
	return nil
}

// A postgresTx is a transaction on PostgreSQL. One goroutine uses it.
type postgresTx struct {
	ctx    context.Context // of all of it
	conn   *pgx.Conn
	engine *postgres
	now    time.Time          // as the database has it, for all processes the same
	last   map[DeviceID]int64 // newest Seq of each device that is held
}

const sqlBegin = `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE`

// sqlWriter changes the writer's own row and returns the time, in milliseconds. It also
// sets what the transaction is bounded by on the server, so that one whose process hangs,
// or whose machine is gone, does not hold rows that others wait for, and what triggers
// want.
const sqlWriter = `INSERT INTO writers (id, count, at) VALUES ($1, $2, floor(extract(epoch FROM clock_timestamp()) * 1000))
	ON CONFLICT (id) DO UPDATE SET count = excluded.count, at = excluded.at
	RETURNING at, concat(set_config('lock_timeout', '10s', true), set_config('idle_in_transaction_session_timeout', '20s', true), ` + byIndex + `)`

// sqlHold locks the rows of devices in the order of their ids.
const sqlHold = `WITH wanted (id) AS MATERIALIZED (
	SELECT unnest(CAST($1 AS BIGINT[]))
	UNION SELECT d.id FROM unnest(CAST($2 AS BYTEA[]), CAST($3 AS BYTEA[])) AS a (key, name)
		JOIN identities i ON i.key = a.key JOIN devices d ON d.identity = i.id AND d.name = a.name
	UNION SELECT d.id FROM identities i JOIN devices d ON d.identity = i.id WHERE i.key = ANY (CAST($4 AS BYTEA[]))
	UNION SELECT d.id FROM devices s JOIN devices d ON d.identity = s.identity WHERE s.id = ANY (CAST($5 AS BIGINT[])))
	SELECT id, last_seq FROM devices WHERE id = ANY (ARRAY (SELECT id FROM wanted)) ORDER BY id FOR UPDATE`

// sqlHoldTotal locks the number of identities, behind devices.
const sqlHoldTotal = `SELECT identities FROM totals FOR UPDATE`

// sqlAlone waits until no other transaction has a lock of this number, and takes it until
// the end of this one.
const sqlAlone = `SELECT pg_advisory_xact_lock($1)`

// begin begins the transaction, with what changes are about held.
func (t *postgresTx) begin(writer, count int64, changes []*change) error {
	var p pgx.Batch
	p.Queue(sqlBegin)
	p.Queue(sqlWriter, writer, count).QueryRow(func(row pgx.Row) error {
		var at int64
		err := row.Scan(&at, nil)
		t.now = time.UnixMilli(at)
		return err
	})
	h := hold{}
	for _, c := range changes {
		h.add(&c.touches)
	}
	if len(h.found) > 0 { // whom it is about must be known first
		// Another process would find the same ones now, and others when it had them.
		p.Queue(sqlAlone, int64(expiryLock))
		if err := t.conn.SendBatch(t.ctx, &p).Close(); err != nil {
			return err
		}
		p = pgx.Batch{}
		for _, f := range h.found {
			ids, err := t.ids(f)
			if err != nil {
				return err
			}
			h.devices = append(h.devices, ids...)
		}
	}
	if !h.empty() {
		p.Queue(sqlHold, h.devices, h.keys, h.names, h.identities, h.siblings).Query(t.held)
	}
	if h.total {
		p.Queue(sqlHoldTotal)
	}
	if p.Len() == 0 {
		return nil
	}
	return t.conn.SendBatch(t.ctx, &p).Close()
}

// held notes the rows that are locked.
func (t *postgresTx) held(rows pgx.Rows) error {
	for rows.Next() {
		var d DeviceID
		var last int64
		if err := rows.Scan(&d, &last); err != nil {
			return err
		}
		t.last[d] = last
	}
	return rows.Err()
}

// ids are the devices that a query finds.
func (t *postgresTx) ids(f *found) ([]int64, error) {
	rows, err := t.conn.Query(t.ctx, f.text, f.args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// A hold is what several changes are about.
type hold struct {
	devices, siblings []int64
	keys, names       [][]byte // of addresses
	identities        [][]byte
	found             []*found
	total             bool
}

func (h *hold) add(of *touches) {
	for _, d := range of.devices {
		h.devices = append(h.devices, int64(d))
	}
	for _, d := range of.siblings {
		h.siblings = append(h.siblings, int64(d))
	}
	for _, a := range of.addresses {
		h.keys, h.names = append(h.keys, []byte(a.Key)), append(h.names, []byte(a.Device))
	}
	for _, key := range of.identities {
		h.identities = append(h.identities, []byte(key))
	}
	if of.found != nil {
		h.found = append(h.found, of.found)
	}
	h.total = h.total || of.total
}

func (h *hold) empty() bool {
	return len(h.devices)+len(h.siblings)+len(h.keys)+len(h.identities) == 0
}

// rollback ends a transaction that failed, so that its connection can be used again.
func (t *postgresTx) rollback() error {
	if t.conn.IsClosed() {
		return nil
	}
	_, _ = t.conn.Exec(t.ctx, `ROLLBACK`) // or the connection goes
	return nil
}

// commit commits, or returns an error that wraps errLost when nobody knows.
func (t *postgresTx) commit() error {
	tag, err := t.conn.Exec(t.ctx, `COMMIT`)
	switch {
	case err != nil && t.conn.IsClosed():
		return fmt.Errorf("%w: %w", errLost, err)
	case err != nil:
		return err
	case tag.String() != "COMMIT": // it had failed before, which somebody did not see
		return errors.New("the database did not commit, but: " + tag.String())
	}
	return nil
}

// affect implements [tx].
func (t *postgresTx) affect(text string, args ...any) (int, error) {
	tag, err := t.conn.Exec(t.ctx, text, args...)
	return int(tag.RowsAffected()), err
}

// many implements [tx]. The statements wait for each other on the server alone.
func (t *postgresTx) many(text string, each [][]any) error {
	if len(each) == 0 {
		return nil
	}
	var p pgx.Batch
	for _, args := range each {
		p.Queue(text, args...)
	}
	return t.conn.SendBatch(t.ctx, &p).Close()
}

// row implements [tx].
func (t *postgresTx) row(text string, args ...any) scanner {
	return t.conn.QueryRow(t.ctx, text, args...)
}

// rows implements [tx].
func (t *postgresTx) rows(text string, args []any, next func(scanner) (bool, error)) (err error) {
	rows, err := t.conn.Query(t.ctx, text, args...)
	if err != nil {
		return err
	}
	for more := true; more && err == nil && rows.Next(); {
		more, err = next(rows)
	}
	rows.Close()
	return errors.Join(err, rows.Err())
}

// confirm implements [tx]: one statement, and the triggers run once for all.
func (t *postgresTx) confirm(d DeviceID, seqs, tags []int64, gone func(DeviceID)) error {
	if len(seqs) == 0 {
		return nil
	}
	return t.rows(`DELETE FROM messages m USING unnest(CAST($2 AS BIGINT[]), CAST($3 AS BIGINT[])) AS c (seq, tag)
		WHERE m.device = $1 AND m.seq = ANY (CAST($2 AS BIGINT[])) AND m.seq = c.seq AND m.tag = c.tag RETURNING m.sender`, []any{int64(d), seqs, tags}, func(row scanner) (bool, error) {
		var sender DeviceID
		err := row.Scan(&sender)
		if err == nil {
			gone(sender)
		}
		return true, err
	})
}

// holds implements [tx].
func (t *postgresTx) holds(d DeviceID) bool {
	_, ok := t.last[d]
	return ok
}

// nextSeq implements [tx]. A Seq is the only one of its device.
func (t *postgresTx) nextSeq(d DeviceID) int64 {
	t.last[d] = max(t.last[d]+1, seqAt(t.now))
	return t.last[d]
}

// inUse implements [tx].
func (t *postgresTx) inUse() (int64, error) { return t.engine.size.used.Load(), nil }

// full implements [tx].
func (t *postgresTx) full(*Limits) bool { return t.engine.size.used.Load() >= t.engine.bounded }
