package store

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// A gauge knows about how much of the database is in use. Tables of PostgreSQL do not
// shrink: what is removed leaves room in them for what comes. So it goes by their size while
// that is within the bounds, and else by what is in them, which reads all there is and is
// counted rarely; what the tables grew since then is added.
type gauge struct {
	used atomic.Int64 // bytes

	mu      sync.Mutex // guards what follows
	onDisk  int64      // of all tables, when they were looked at last
	counted bool       // whether it is known what is in them; else their size counts
	live    int64      // what was in them,
	of      int64      // and what they took then
}

// sized notes what tables take.
func (g *gauge) sized(onDisk int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.onDisk = onDisk
	g.settle()
}

// is notes what is in tables that took so much before it was counted.
func (g *gauge) is(live, of int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counted, g.live, g.of = true, live, of
	g.settle()
}

// knows reports whether what is in the tables is known.
func (g *gauge) knows() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counted
}

// unknown has the size of tables count, since what is in them cannot be told.
func (g *gauge) unknown() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counted = false
	g.settle()
}

func (g *gauge) settle() {
	n := g.onDisk
	if g.counted {
		n = min(n, g.live+max(0, g.onDisk-g.of))
	}
	g.used.Store(n)
}

// Counting reads whole tables. It may take countPatience, or startPatience while a start
// waits for it, and is a small part of what the database does: countRest times as long as
// it took nothing is counted.
const (
	countPatience = 5 * time.Minute
	startPatience = 5 * time.Second
	countRest     = 20
)

// keepLooking looks at the size of tables now and then, until the store ends.
func (e *postgres) keepLooking() {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-tick.C:
			_ = e.look(e.ctx) // while the database is away, what was known holds
		}
	}
}

// keepCounting counts what is in tables that are large, until the store ends. It is apart
// from keepLooking, so that what they grow meanwhile is seen. It waits first.
func (e *postgres) keepCounting(wait time.Duration) {
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-time.After(wait):
			wait = e.count(e.ctx, countPatience)
		}
	}
}

// look measures the tables.
func (e *postgres) look(ctx context.Context) error {
	n, err := e.onDisk(ctx)
	if err == nil {
		e.size.sized(n)
	}
	return err
}

// count counts what is in the tables when their size is beyond a bound, and returns how
// long to wait until that is done again. When it fails, but for a connection that is lost,
// their size counts.
func (e *postgres) count(ctx context.Context, patience time.Duration) (wait time.Duration) {
	n, err := e.onDisk(ctx)
	if err != nil {
		return measureEvery
	}
	e.size.sized(n)
	if n < e.keys {
		e.size.unknown() // and nobody needs to know
		return measureEvery
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var live int64
	err = e.ask(ctx, sqlLive, nil, func(rows pgx.Rows) error {
		if rows.Next() {
			return rows.Scan(&live)
		}
		return nil // rows.Err says why
	})
	switch {
	case err == nil:
		e.size.is(live, n)
	case ctx.Err() == nil && isBroken(err):
		return measureEvery // what was counted before holds
	default:
		e.size.unknown()
	}
	return max(measureEvery, countRest*time.Since(began))
}

// tables are those of the schema.
var tables = []string{"identities", "devices", "prekeys", "bodies", "messages", "senders", "contacts", "totals", "writers"}

// onDisk is how many bytes the tables and their indexes take.
func (e *postgres) onDisk(ctx context.Context) (n int64, err error) {
	err = e.row(ctx, `SELECT CAST(coalesce(sum(pg_total_relation_size(oid)), 0) AS BIGINT) FROM pg_class
		WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname = ANY ($1)`, tables).Scan(&n)
	return n, err
}

// sqlLive is about how many bytes the rows would take that are there: each with what
// PostgreSQL needs for it and its places in indexes.
const sqlLive = `SELECT CAST(
	(SELECT count(*) * 200 FROM identities) +
	(SELECT count(*) * 300 + coalesce(sum(key_bytes + prekeys * 100 + contacts * 150 + coalesce(length(last_resort), 0)), 0) FROM devices) +
	(SELECT coalesce(sum(length(text) + 80), 0) FROM bodies) +
	(SELECT coalesce(sum(length(header) + length(body) + 200), 0) FROM messages) AS BIGINT)`

// sweepStep is how many bodies are looked at each time.
const sweepStep = 20_000

// tidy implements [engine]. A body goes with the last message that has it, but for
// messages that go at the same time in two transactions: neither sees that it is the last.
// So they are looked through, some each time. The rows of writers that are no more go too.
// One process at a time does it, so that two do not wait for each other's rows.
func (e *postgres) tidy(ctx context.Context) error {
	e.sweptMu.Lock()
	defer e.sweptMu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	var last int64
	err := pgx.BeginFunc(ctx, e.reads, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlAlone, int64(tidyLock)); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `WITH looked AS MATERIALIZED (SELECT id FROM bodies WHERE id > $1 ORDER BY id LIMIT $2),
			gone AS (DELETE FROM bodies WHERE id IN (SELECT id FROM looked l WHERE NOT EXISTS (SELECT 1 FROM messages WHERE shared = l.id))),
			old AS (DELETE FROM writers WHERE at < floor(extract(epoch FROM clock_timestamp()) * 1000) - CAST($3 AS BIGINT))
			SELECT coalesce(max(id), 0) FROM looked`, e.swept, sweepStep, forgetWriters.Milliseconds()).Scan(&last)
	})
	if err == nil {
		e.swept = last // 0 behind the last one: from the beginning again
	}
	return asked(err)
}

// forgetWriters is how long the row of a writer is kept after its last transaction. Only
// that writer asks for it, within seconds; a live one that was quiet makes it anew.
const forgetWriters = 7 * 24 * time.Hour
