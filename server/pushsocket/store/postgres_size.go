package store

import (
	"context"
	"time"
)

// keepLooking measures the database now and then, until the store ends.
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

// look measures how much is in use. Tables of PostgreSQL do not shrink: what is removed
// leaves room in them for what comes. So it goes by their size while that is within the
// bounds, and else by what is in them, which takes longer to count.
func (e *postgres) look(ctx context.Context) error {
	n, err := e.onDisk(ctx)
	if err == nil && n >= e.keys {
		var live int64
		if err = e.row(ctx, sqlLive).Scan(&live); err == nil {
			n = min(n, live)
		}
	}
	if err == nil {
		e.used.Store(n)
	}
	return err
}

// sweepStep is how many bodies are looked at each time.
const sweepStep = 20_000

// tidy implements [engine]. A body goes with the last message that has it, but for
// messages that go at the same time in two transactions: neither sees that it is the last.
// So they are looked through, some each time. The rows of writers that are no more go too.
func (e *postgres) tidy(ctx context.Context) error {
	e.sweptMu.Lock()
	defer e.sweptMu.Unlock()
	var last int64
	err := e.row(ctx, `WITH looked AS MATERIALIZED (SELECT id FROM bodies WHERE id > $1 ORDER BY id LIMIT $2),
		gone AS (DELETE FROM bodies WHERE id IN (SELECT id FROM looked l WHERE NOT EXISTS (SELECT 1 FROM messages WHERE shared = l.id))),
		old AS (DELETE FROM writers WHERE at < floor(extract(epoch FROM clock_timestamp()) * 1000) - CAST($3 AS BIGINT))
		SELECT coalesce(max(id), 0) FROM looked`, e.swept, sweepStep, forgetWriters.Milliseconds()).Scan(&last)
	if err == nil {
		e.swept = last // 0 behind the last one: from the beginning again
	}
	return err
}

// forgetWriters is how long the row of a writer is kept after its last transaction. Only
// that writer asks for it, within seconds; a live one that was quiet makes it anew.
const forgetWriters = 7 * 24 * time.Hour
