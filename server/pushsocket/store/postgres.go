package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresWriters is how many transactions of one process write side by side. Each takes
// all changes that wait, up to maxBatch, so that more of them are smaller, cost more for
// each change, and wait for each other's devices. With a second, one that waits for
// another process does not hold up all.
const postgresWriters = 2

// How long the database may take for what it is asked, so that one that hangs, or is
// behind a cable that was cut, holds nothing for ever.
const (
	connectPatience = 5 * time.Second  // to be connected to, unless the URI has connect_timeout
	readPatience    = 10 * time.Second // to answer a question
	writePatience   = 30 * time.Second // to carry out a transaction
	openPatience    = 60 * time.Second // to bring the schema to this version's
)

// measureEvery is how old what is known of the size of the database may be.
const measureEvery = 10 * time.Second

// postgres is the engine on PostgreSQL, which several processes may share. A process has
// postgresWriters connections for its writers and ConcurrentReadings for readers.
//
// # One order
//
// Pending goes on behind the last Seq that it returned, so for each device the order of
// Seqs must be the order in which messages become visible. A transaction therefore locks
// the rows of all devices that its changes are about first, in the order of their ids,
// so that two of them never wait for each other, and makes Seqs while it holds them, from
// the newest that the row has. Who waits for a row reads it anew when it has it.
//
// # What is accepted
//
// Changes are answered when the server has answered COMMIT. When the connection is lost
// before that, a row of the writer's own, which every transaction changes, says whether it
// was committed: see [postgresWrites.settle]. Nobody is told before that is known.
type postgres struct {
	shown   string // where, without a password
	reads   *pgxpool.Pool
	bounded int64 // bytes that are not too many
	keys    int64 // of these, for more than messages

	ctx       context.Context // ends with close
	stop      context.CancelFunc
	measuring sync.WaitGroup // the goroutines that measure

	size gauge

	sweptMu sync.Mutex
	swept   int64 // the last of bodies that was looked at
}

// openPostgres opens the store at a URI, for this process as one of several.
func openPostgres(where string, limits Limits) (*keeper, error) {
	s, err := newPostgres(where, limits.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrOpen, Shown(where), onOneLine(err))
	}
	return s, nil
}

func newPostgres(where string, l Limits) (*keeper, error) {
	cfg, err := postgresConfig(where)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openPatience)
	defer cancel()
	e := &postgres{shown: Shown(where), bounded: l.BytesOnDisk, keys: l.BytesOnDisk / 100 * int64(l.KeysPercent)}
	if e.reads, err = pool(ctx, cfg, max(2, l.ConcurrentReadings)); err != nil {
		return nil, err
	}
	writes, err := pool(ctx, cfg, postgresWriters)
	if err != nil {
		e.reads.Close()
		return nil, err
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	fail := func(err error) (*keeper, error) {
		_ = e.close() // of pools, which never fails
		writes.Close()
		return nil, err
	}
	if err := migratePostgres(ctx, writes); err != nil {
		return fail(err)
	}
	old, err := readAcquainted(ctx, e)
	if err != nil {
		return fail(err)
	}
	if err := e.look(ctx); err != nil {
		return fail(err)
	}
	wait := e.count(ctx, startPatience)
	if !e.size.knows() {
		wait = 0 // the size of tables counts until it is counted behind the start
	}
	e.measuring.Go(e.keepLooking)                   // ends with close
	e.measuring.Go(func() { e.keepCounting(wait) }) // ends with close
	shared := &sharedPool{Pool: writes, left: postgresWriters}
	var committers []committer
	for range postgresWriters {
		committers = append(committers, newPostgresWrites(e, shared))
	}
	return keep(e, l, old, committers...), nil
}

// postgresConfig reads a URI. No error has a part of it: nobody knows where in one that
// cannot be read the password ends.
func postgresConfig(where string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(where)
	if err != nil || cfg.ConnConfig.Host == "" || ambiguous(where) {
		return nil, errAddress
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectPatience
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "poosh"
	}
	return cfg, nil
}

// pool opens so many connections at the most, when they are needed.
func pool(ctx context.Context, cfg *pgxpool.Config, most int) (*pgxpool.Pool, error) {
	cfg = cfg.Copy()
	cfg.ConnConfig.RuntimeParams = maps.Clone(cfg.ConnConfig.RuntimeParams)
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = int32(min(most, math.MaxInt32)), 0, 0
	cfg.PingTimeout = connectPatience
	return pgxpool.NewWithConfig(ctx, cfg)
}

// A sharedPool is closed by the last of its users.
type sharedPool struct {
	*pgxpool.Pool
	mu   sync.Mutex // guards left
	left int
}

func (p *sharedPool) leave() {
	p.mu.Lock()
	p.left--
	last := p.left == 0
	p.mu.Unlock()
	if last {
		p.Close()
	}
}

// isBroken reports whether an error may be gone with another connection: this one was
// lost, or the server is ending it.
func isBroken(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Severity == "FATAL" || pg.Severity == "PANIC"
	}
	return err != nil
}

// asked is what a caller is told of an error of the database: on one line, and as one of
// the database when it came of a deadline of ours.
func asked(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: the database did not answer in time: %w", ErrUnavailable, err)
	}
	return onOneLine(err)
}

// query asks one question, and once more on another connection when the one it had is
// lost, as all are when the database was started anew. receive gets its rows.
func (e *postgres) query(ctx context.Context, text string, args []any, receive func(pgx.Rows) error) error {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	return e.ask(ctx, text, args, receive)
}

// ask is query with the patience of its ctx.
func (e *postgres) ask(ctx context.Context, text string, args []any, receive func(pgx.Rows) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	for again := true; ; again = false {
		conn, err := e.reads.Acquire(ctx)
		if err != nil {
			return asked(err)
		}
		rows, err := conn.Query(ctx, text, args...)
		if err == nil {
			err = receive(rows)
			rows.Close()
			err = errors.Join(err, rows.Err())
		}
		lost := conn.Conn().IsClosed()
		conn.Release()
		if !lost || !again || ctx.Err() != nil {
			return asked(err)
		}
		e.reads.Reset() // the others are lost too
	}
}

// A question is a row that has not been asked for yet.
type question func(into []any) error

func (q question) Scan(into ...any) error { return q(into) }

// row implements [reader].
func (e *postgres) row(ctx context.Context, text string, args ...any) scanner {
	return question(func(into []any) error {
		there := false
		err := e.query(ctx, text, args, func(rows pgx.Rows) error {
			if there = rows.Next(); there {
				return rows.Scan(into...)
			}
			return nil
		})
		if err == nil && !there {
			err = pgx.ErrNoRows
		}
		return err
	})
}

// sqlWindow is sqlPending where all rows come at once: not many more than fit.
const sqlWindow = `SELECT m.seq, m.tag, m.header,
	CASE WHEN m.shared IS NULL THEN m.body ELSE (SELECT text FROM bodies WHERE id = m.shared) END
	FROM (SELECT *, sum(length(header) + length(body) + shared_size) OVER (ORDER BY seq) - length(header) - length(body) - shared_size AS before
		FROM (SELECT * FROM messages WHERE device = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS first) AS m
	WHERE m.before < $4 ORDER BY m.seq`

// pending implements [engine].
func (e *postgres) pending(ctx context.Context, d DeviceID, after int64, maxBytes int, next func(scanner) (bool, error)) error {
	type message struct {
		seq, tag     int64
		header, body []byte
	}
	var list []message // only given when all are there: a question may be asked twice
	err := e.query(ctx, sqlWindow, []any{int64(d), after, maxPending, max(1, maxBytes)}, func(rows pgx.Rows) (err error) {
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m message, err error) {
			err = row.Scan(&m.seq, &m.tag, &m.header, &m.body)
			return m, err
		})
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range list {
		more, err := next(question(func(into []any) error {
			*into[0].(*int64), *into[1].(*int64) = m.seq, m.tag
			*into[2].(*[]byte), *into[3].(*[]byte) = m.header, m.body
			return nil
		}))
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// ready implements [engine]: a transaction that changes nothing shows all there is to know.
func (e *postgres) ready() error { return nil }

// measure implements [engine].
func (e *postgres) measure(ctx context.Context) (inUse, onDisk int64, err error) {
	onDisk, err = e.onDisk(ctx)
	return e.size.used.Load(), onDisk, err
}

// close implements [engine].
func (e *postgres) close() error {
	e.stop()
	e.measuring.Wait()
	e.reads.Close()
	return nil
}
