package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresMigrations bring a schema from the version of their index to the next; the
// version is the row of poosh_schema. One that was released never changes.
var postgresMigrations = []string{postgres1}

// postgres1 says what the third schema of SQLite says, with three differences: a Seq is
// the only one of its device and not of all, a device keeps its newest, and the name of a
// device is bytes. Counts are kept by triggers too, once for each statement, in the
// transaction that changes them; it holds the devices' rows already. Their transactions
// begin with byIndex.
const postgres1 = `
CREATE TABLE identities (
	id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key     BYTEA NOT NULL UNIQUE,
	created BIGINT NOT NULL, -- milliseconds since 1970, as all times
	revoked BIGINT,
	used    BIGINT -- to a day; NULL for one that only registered
);
CREATE INDEX identities_unused ON identities (created) WHERE used IS NULL;
CREATE INDEX identities_idle ON identities (used) WHERE used IS NOT NULL;
CREATE TABLE devices (
	id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	identity         BIGINT NOT NULL REFERENCES identities (id),
	name             BYTEA NOT NULL,
	created          BIGINT NOT NULL,
	removed          BIGINT,
	last_resort      BYTEA,
	last_seq         BIGINT NOT NULL DEFAULT 0, -- the newest that a message of it ever had
	prekeys          INTEGER NOT NULL DEFAULT 0,
	key_bytes        BIGINT NOT NULL DEFAULT 0, -- of prekeys
	messages         INTEGER NOT NULL DEFAULT 0,
	bytes            BIGINT NOT NULL DEFAULT 0,
	heard_messages   INTEGER NOT NULL DEFAULT 0, -- of standing 1
	heard_bytes      BIGINT NOT NULL DEFAULT 0,
	strange_messages INTEGER NOT NULL DEFAULT 0, -- of standing 2
	strange_bytes    BIGINT NOT NULL DEFAULT 0,
	contacts         INTEGER NOT NULL DEFAULT 0,
	UNIQUE (identity, name)
) WITH (fillfactor = 70); -- rows change often, and stay on their page
CREATE TABLE prekeys (
	id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	device BIGINT NOT NULL REFERENCES devices (id),
	body   BYTEA NOT NULL
);
CREATE INDEX prekeys_by_device ON prekeys (device, id);
CREATE TABLE bodies (
	id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	text BYTEA NOT NULL
);
CREATE TABLE messages (
	device      BIGINT NOT NULL REFERENCES devices (id),
	seq         BIGINT NOT NULL, -- milliseconds << 20 | a count
	tag         BIGINT NOT NULL, -- makes the id one that nobody can guess
	sender      BIGINT NOT NULL, -- a device; 0 from before senders were kept
	standing    SMALLINT NOT NULL, -- of its sender, when it was stored
	header      BYTEA NOT NULL,
	body        BYTEA NOT NULL,
	shared      BIGINT, -- of bodies
	shared_size INTEGER NOT NULL DEFAULT 0, -- the length of that one
	PRIMARY KEY (device, seq)
);
CREATE INDEX messages_by_age ON messages (seq);
CREATE INDEX messages_by_body ON messages (shared) WHERE shared IS NOT NULL;
CREATE TABLE senders (
	device   BIGINT NOT NULL, -- whose mailbox
	sender   BIGINT NOT NULL,
	messages INTEGER NOT NULL,
	bytes    BIGINT NOT NULL,
	PRIMARY KEY (device, sender)
) WITH (fillfactor = 70);
CREATE TABLE contacts (
	device  BIGINT NOT NULL, -- that knows
	contact BIGINT NOT NULL, -- another
	since   BIGINT NOT NULL,
	written BIGINT NOT NULL, -- 1 when it has sent it a message itself
	used    BIGINT NOT NULL, -- to a day
	PRIMARY KEY (device, contact)
);
CREATE INDEX contacts_by_use ON contacts (used);
CREATE TABLE totals (
	id            INTEGER PRIMARY KEY CHECK (id = 0),
	identities    BIGINT NOT NULL,
	acquainted    BIGINT NOT NULL DEFAULT 0, -- devices up to this one,
	acquainted_at BIGINT NOT NULL DEFAULT 0 -- at this time
);
INSERT INTO totals (id, identities) VALUES (0, 0);
CREATE TABLE writers (
	id    BIGINT PRIMARY KEY, -- of a writer of a process
	count BIGINT NOT NULL,    -- of its transactions that were committed
	at    BIGINT NOT NULL
) WITH (fillfactor = 50);

CREATE FUNCTION poosh_identities() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		UPDATE totals SET identities = identities + (SELECT count(*) FROM changed);
	ELSE
		UPDATE totals SET identities = identities - (SELECT count(*) FROM changed);
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER identities_added AFTER INSERT ON identities REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION poosh_identities();
CREATE TRIGGER identities_removed AFTER DELETE ON identities REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION poosh_identities();

CREATE FUNCTION poosh_prekeys() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	sign INTEGER := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
	UPDATE devices d SET prekeys = d.prekeys + sign * c.n, key_bytes = d.key_bytes + sign * c.size
		FROM (SELECT device, count(*) AS n, sum(length(body)) AS size FROM changed GROUP BY device) c WHERE d.id = c.device;
	RETURN NULL;
END $$;
CREATE TRIGGER prekeys_added AFTER INSERT ON prekeys REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION poosh_prekeys();
CREATE TRIGGER prekeys_removed AFTER DELETE ON prekeys REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION poosh_prekeys();

CREATE FUNCTION poosh_contacts() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	sign INTEGER := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
	UPDATE devices d SET contacts = d.contacts + sign * c.n
		FROM (SELECT device, count(*) AS n FROM changed GROUP BY device) c WHERE d.id = c.device;
	RETURN NULL;
END $$;
CREATE TRIGGER contacts_added AFTER INSERT ON contacts REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION poosh_contacts();
CREATE TRIGGER contacts_removed AFTER DELETE ON contacts REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION poosh_contacts();

CREATE FUNCTION poosh_messages() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	sign INTEGER := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
	UPDATE devices d SET
		messages = d.messages + sign * c.n, bytes = d.bytes + sign * c.size,
		heard_messages = d.heard_messages + sign * c.heard, heard_bytes = d.heard_bytes + sign * c.heard_size,
		strange_messages = d.strange_messages + sign * c.strange, strange_bytes = d.strange_bytes + sign * c.strange_size,
		last_seq = greatest(d.last_seq, c.last)
		FROM (SELECT device, count(*) AS n, sum(size) AS size,
			count(*) FILTER (WHERE standing = 1) AS heard, coalesce(sum(size) FILTER (WHERE standing = 1), 0) AS heard_size,
			count(*) FILTER (WHERE standing = 2) AS strange, coalesce(sum(size) FILTER (WHERE standing = 2), 0) AS strange_size,
			max(seq) AS last
			FROM (SELECT device, seq, standing, length(header) + length(body) + shared_size AS size FROM changed) m GROUP BY device) c
		WHERE d.id = c.device;
	IF TG_OP = 'INSERT' THEN
		INSERT INTO senders AS s SELECT device, sender, count(*), sum(length(header) + length(body) + shared_size) FROM changed GROUP BY device, sender
			ON CONFLICT (device, sender) DO UPDATE SET messages = s.messages + excluded.messages, bytes = s.bytes + excluded.bytes;
		RETURN NULL;
	END IF;
	UPDATE senders s SET messages = s.messages - c.n, bytes = s.bytes - c.size
		FROM (SELECT device, sender, count(*) AS n, sum(length(header) + length(body) + shared_size) AS size FROM changed GROUP BY device, sender) c
		WHERE s.device = c.device AND s.sender = c.sender;
	DELETE FROM senders s USING (SELECT DISTINCT device, sender FROM changed) c
		WHERE s.device = c.device AND s.sender = c.sender AND s.messages <= 0;
	IF EXISTS (SELECT 1 FROM changed WHERE shared IS NOT NULL) THEN
		DELETE FROM bodies b USING (SELECT DISTINCT shared FROM changed WHERE shared IS NOT NULL) c
			WHERE b.id = c.shared AND NOT EXISTS (SELECT 1 FROM messages WHERE shared = c.shared);
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER messages_added AFTER INSERT ON messages REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION poosh_messages();
CREATE TRIGGER messages_removed AFTER DELETE ON messages REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION poosh_messages();
`

// byIndex, as a part of a SELECT, has a transaction find rows by indexes whatever the
// planner thinks: of few devices it would read the whole table, with all of the versions
// that their rows had since it was cleaned. A function could say so of itself, which is
// paid for at each of its calls. Where there is no index that looks dear, and is not
// worth a compiler.
const byIndex = `set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)`

// schemaLock is the number of the advisory lock that processes take that look at the
// schema, or change it: "poos", as in the header of a file.
const schemaLock = applicationID

// The numbers of two more: one process at a time looks for what is to expire, and one
// tidies.
const (
	expiryLock = schemaLock + 1 + iota
	tidyLock
)

// migratePostgres brings a schema to the newest version, whole or not at all. Of
// processes that start at once one does, and the others wait for it.
func migratePostgres(ctx context.Context, pool *pgxpool.Pool) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(schemaLock)); err != nil {
			return err
		}
		version, err := postgresVersion(ctx, tx)
		if err != nil || version == len(postgresMigrations) {
			return err
		}
		for _, step := range postgresMigrations[version:] {
			if _, err := tx.Exec(ctx, step, pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("schema: %w", err)
			}
		}
		_, err = tx.Exec(ctx, `UPDATE poosh_schema SET version = $1`, len(postgresMigrations))
		return err
	})
}

// reachPostgres looks whether a store could be opened.
func reachPostgres(ctx context.Context, where string) error {
	cfg, err := postgresConfig(where)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is lost
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // goes with the connection
	var standby bool
	if err := tx.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil {
		return err
	}
	if standby {
		return errors.New("this server is a standby, which cannot be written: name the primary, such as with target_session_attrs=read-write and all hosts")
	}
	version, err := postgresVersion(ctx, tx)
	if err != nil || version > 0 {
		return err
	}
	// The schema is empty: what is made here is rolled back.
	_, err = tx.Exec(ctx, postgres1, pgx.QueryExecModeSimpleProtocol)
	return err
}

// postgresVersion returns the version of the schema, 0 for one that is empty.
func postgresVersion(ctx context.Context, tx pgx.Tx) (version int, err error) {
	var schema *string
	if err := tx.QueryRow(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
		return 0, err
	}
	if schema == nil {
		return 0, errors.New("the search_path names no schema that is there: make one (CREATE SCHEMA poosh) and name it with ?search_path=poosh")
	}
	rows, err := tx.Query(ctx, `SELECT CAST(relname AS TEXT) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relname = ANY ($1) ORDER BY 1`,
		append([]string{"poosh_schema"}, tables...))
	if err != nil {
		return 0, err
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, err
	}
	ours := false
	for _, table := range there {
		ours = ours || table == "poosh_schema"
	}
	switch {
	case ours:
		err = tx.QueryRow(ctx, `SELECT version FROM poosh_schema`).Scan(&version)
	case len(there) > 0:
		return 0, fmt.Errorf("the schema %s is that of another program, which has %s: make one of its own (CREATE SCHEMA poosh) and name it with ?search_path=poosh",
			*schema, strings.Join(there, ", "))
	default:
		_, err = tx.Exec(ctx, `CREATE TABLE poosh_schema (version INTEGER NOT NULL)`)
		if err == nil {
			_, err = tx.Exec(ctx, `INSERT INTO poosh_schema VALUES (0)`)
		}
	}
	if err == nil && version > len(postgresMigrations) {
		err = fmt.Errorf("has schema version %d, made by a newer poosh: this one knows %d", version, len(postgresMigrations))
	}
	return version, err
}
