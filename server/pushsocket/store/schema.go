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
var migrations = []string{schema1, schema2, schema3}

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

// schema2 has what bounds go by: bytes of keys, who sent what waits, and when an
// identity was used. An identity from before counts as used when this ran. A body
// that several devices get is stored once, in bodies; shared names it, and
// shared_size is its length, so that a mailbox is measured without reading it.
const schema2 = `
ALTER TABLE identities ADD COLUMN used INTEGER; -- to a day; NULL for one that only registered
UPDATE identities SET used = CAST(unixepoch('subsec') * 1000 AS INTEGER);
CREATE INDEX identities_unused ON identities (created) WHERE used IS NULL;
CREATE INDEX identities_idle ON identities (used) WHERE used IS NOT NULL;
CREATE TABLE totals (
	id         INTEGER PRIMARY KEY CHECK (id = 0),
	identities INTEGER NOT NULL
) STRICT;
INSERT INTO totals SELECT 0, count(*) FROM identities;
CREATE TRIGGER identities_added AFTER INSERT ON identities BEGIN
	UPDATE totals SET identities = identities + 1;
END;
CREATE TRIGGER identities_removed AFTER DELETE ON identities BEGIN
	UPDATE totals SET identities = identities - 1;
END;

ALTER TABLE devices ADD COLUMN key_bytes INTEGER NOT NULL DEFAULT 0; -- of prekeys
UPDATE devices SET key_bytes = (SELECT coalesce(sum(length(body)), 0) FROM prekeys WHERE device = devices.id);
DROP TRIGGER prekeys_added;
DROP TRIGGER prekeys_removed;
CREATE TRIGGER prekeys_added AFTER INSERT ON prekeys BEGIN
	UPDATE devices SET prekeys = prekeys + 1, key_bytes = key_bytes + length(new.body) WHERE id = new.device;
END;
CREATE TRIGGER prekeys_removed AFTER DELETE ON prekeys BEGIN
	UPDATE devices SET prekeys = prekeys - 1, key_bytes = key_bytes - length(old.body) WHERE id = old.device;
END;

CREATE TABLE bodies (
	id   INTEGER PRIMARY KEY,
	text BLOB NOT NULL
) STRICT;
ALTER TABLE messages ADD COLUMN sender INTEGER NOT NULL DEFAULT 0; -- a device; 0 from before
ALTER TABLE messages ADD COLUMN shared INTEGER; -- of bodies; the trigger below keeps it good
ALTER TABLE messages ADD COLUMN shared_size INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_by_body ON messages (shared) WHERE shared IS NOT NULL;
CREATE TABLE senders (
	device   INTEGER NOT NULL, -- whose mailbox
	sender   INTEGER NOT NULL,
	messages INTEGER NOT NULL,
	bytes    INTEGER NOT NULL,
	PRIMARY KEY (device, sender)
) STRICT, WITHOUT ROWID;
INSERT INTO senders SELECT id, 0, messages, bytes FROM devices WHERE messages > 0;
DROP TRIGGER messages_added;
DROP TRIGGER messages_removed;
CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
	UPDATE devices SET messages = messages + 1, bytes = bytes + length(new.header) + length(new.body) + new.shared_size
		WHERE id = new.device;
	INSERT INTO senders VALUES (new.device, new.sender, 1, length(new.header) + length(new.body) + new.shared_size)
		ON CONFLICT DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER messages_removed AFTER DELETE ON messages BEGIN
	UPDATE devices SET messages = messages - 1, bytes = bytes - length(old.header) - length(old.body) - old.shared_size
		WHERE id = old.device;
	UPDATE senders SET messages = messages - 1, bytes = bytes - length(old.header) - length(old.body) - old.shared_size
		WHERE device = old.device AND sender = old.sender;
	DELETE FROM senders WHERE device = old.device AND sender = old.sender AND messages <= 0;
END;
CREATE TRIGGER bodies_released AFTER DELETE ON messages WHEN old.shared IS NOT NULL BEGIN
	DELETE FROM bodies WHERE id = old.shared AND NOT EXISTS (SELECT 1 FROM messages WHERE shared = old.shared);
END;
`

// schema3 has whom a device knows, and how much of each mailbox came from senders that
// it knew less. What waits from before counts as none of that; devices that were there
// when this ran count as having heard of each other for a time: see [acquainted].
const schema3 = `
CREATE TABLE contacts (
	device  INTEGER NOT NULL, -- that knows
	contact INTEGER NOT NULL, -- another
	since   INTEGER NOT NULL,
	written INTEGER NOT NULL, -- whether it has sent it a message itself
	used    INTEGER NOT NULL, -- to a day
	PRIMARY KEY (device, contact)
) STRICT, WITHOUT ROWID;
CREATE INDEX contacts_by_use ON contacts (used);
ALTER TABLE devices ADD COLUMN contacts INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER contacts_added AFTER INSERT ON contacts BEGIN
	UPDATE devices SET contacts = contacts + 1 WHERE id = new.device;
END;
CREATE TRIGGER contacts_removed AFTER DELETE ON contacts BEGIN
	UPDATE devices SET contacts = contacts - 1 WHERE id = old.device;
END;

ALTER TABLE totals ADD COLUMN acquainted INTEGER NOT NULL DEFAULT 0; -- devices up to this one,
ALTER TABLE totals ADD COLUMN acquainted_at INTEGER NOT NULL DEFAULT 0; -- at this time
UPDATE totals SET acquainted = (SELECT coalesce(max(id), 0) FROM devices), acquainted_at = CAST(unixepoch('subsec') * 1000 AS INTEGER);

ALTER TABLE messages ADD COLUMN standing INTEGER NOT NULL DEFAULT 0; -- of its sender, when it was stored
ALTER TABLE devices ADD COLUMN heard_messages INTEGER NOT NULL DEFAULT 0; -- of standing 1
ALTER TABLE devices ADD COLUMN heard_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN strange_messages INTEGER NOT NULL DEFAULT 0; -- of standing 2
ALTER TABLE devices ADD COLUMN strange_bytes INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER standings_added AFTER INSERT ON messages WHEN new.standing > 0 BEGIN
	UPDATE devices SET
		heard_messages = heard_messages + (new.standing = 1),
		heard_bytes = heard_bytes + (new.standing = 1) * (length(new.header) + length(new.body) + new.shared_size),
		strange_messages = strange_messages + (new.standing = 2),
		strange_bytes = strange_bytes + (new.standing = 2) * (length(new.header) + length(new.body) + new.shared_size)
		WHERE id = new.device;
END;
CREATE TRIGGER standings_removed AFTER DELETE ON messages WHEN old.standing > 0 BEGIN
	UPDATE devices SET
		heard_messages = heard_messages - (old.standing = 1),
		heard_bytes = heard_bytes - (old.standing = 1) * (length(old.header) + length(old.body) + old.shared_size),
		strange_messages = strange_messages - (old.standing = 2),
		strange_bytes = strange_bytes - (old.standing = 2) * (length(old.header) + length(old.body) + old.shared_size)
		WHERE id = old.device;
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
