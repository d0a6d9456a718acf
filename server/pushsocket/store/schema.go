package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// applicationID is in the header of the database file (PRAGMA application_id), so
// that no other program's file is taken for ours: "poos".
const applicationID = 0x706f6f73

// migrations bring a database from the version of their index to the next; the
// version is PRAGMA user_version. One that was released never changes.
var migrations = []string{schema1}

// Counts of a device are kept by triggers, in the transaction that changes them.
const schema1 = `
CREATE TABLE identities (
	id      INTEGER PRIMARY KEY,
	key     BLOB NOT NULL UNIQUE,
	created INTEGER NOT NULL, -- milliseconds since 1970, as all times
	revoked INTEGER
) STRICT;
CREATE TABLE devices (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	identity    INTEGER NOT NULL REFERENCES identities (id),
	name        TEXT NOT NULL,
	created     INTEGER NOT NULL,
	removed     INTEGER,
	last_resort BLOB,
	prekeys     INTEGER NOT NULL DEFAULT 0,
	messages    INTEGER NOT NULL DEFAULT 0,
	bytes       INTEGER NOT NULL DEFAULT 0,
	UNIQUE (identity, name)
) STRICT;
CREATE TABLE prekeys (
	id     INTEGER PRIMARY KEY AUTOINCREMENT,
	device INTEGER NOT NULL REFERENCES devices (id),
	body   BLOB NOT NULL
) STRICT;
CREATE INDEX prekeys_by_device ON prekeys (device);
CREATE TABLE messages (
	seq    INTEGER PRIMARY KEY, -- milliseconds << 20 | a count
	tag    INTEGER NOT NULL,    -- makes the id one that nobody can guess
	device INTEGER NOT NULL REFERENCES devices (id),
	header BLOB NOT NULL,
	body   BLOB NOT NULL
) STRICT;
CREATE INDEX messages_by_device ON messages (device);
CREATE TRIGGER prekeys_added AFTER INSERT ON prekeys BEGIN
	UPDATE devices SET prekeys = prekeys + 1 WHERE id = new.device;
END;
CREATE TRIGGER prekeys_removed AFTER DELETE ON prekeys BEGIN
	UPDATE devices SET prekeys = prekeys - 1 WHERE id = old.device;
END;
CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
	UPDATE devices SET messages = messages + 1, bytes = bytes + length(new.header) + length(new.body) WHERE id = new.device;
END;
CREATE TRIGGER messages_removed AFTER DELETE ON messages BEGIN
	UPDATE devices SET messages = messages - 1, bytes = bytes - length(old.header) - length(old.body) WHERE id = old.device;
END;
`

// migrate brings a database to the newest version, each step whole or not at all.
func migrate(db *sql.DB) error {
	ctx := context.Background()
	tx, err := db.BeginTx(ctx, nil) // immediate: fails here on a read-only disk
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	var version, application, tables int
	for _, q := range []struct {
		text string
		into *int
	}{
		{"PRAGMA user_version", &version},
		{"PRAGMA application_id", &application},
		{"SELECT count(*) FROM sqlite_schema", &tables},
	} {
		if err := tx.QueryRowContext(ctx, q.text).Scan(q.into); err != nil {
			return err
		}
	}
	switch {
	case application != applicationID && (application != 0 || version != 0 || tables != 0):
		return errors.New("is the database of another program")
	case version > len(migrations):
		return fmt.Errorf("has schema version %d, made by a newer poosh: this one knows %d", version, len(migrations))
	case version == len(migrations):
		return nil
	}
	for _, step := range migrations[version:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return fmt.Errorf("schema: %w", err)
		}
	}
	// Pragmas take no parameters.
	for _, pragma := range []string{
		fmt.Sprintf("PRAGMA user_version = %d", len(migrations)),
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
	} {
		if _, err := tx.ExecContext(ctx, pragma); err != nil {
			return err
		}
	}
	return tx.Commit()
}
