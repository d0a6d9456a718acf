package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"poosh/auth"
)

const (
	sqlFind = `SELECT d.id, d.prekeys, i.used, i.revoked IS NOT NULL OR d.removed IS NOT NULL
		FROM identities i LEFT JOIN devices d ON d.identity = i.id AND d.name = ? WHERE i.key = ?`
	sqlKnows = `SELECT count(*) FROM identities WHERE key = ?`
)

// Find implements [Store].
func (s *SQLite) Find(ctx context.Context, a auth.Address) (Device, error) {
	d, err := scanDevice(s.query.find.QueryRowContext(ctx, a.Device, []byte(a.Key)))
	return d, unavailableBut(err)
}

// scanDevice reads a row of sqlFind.
func scanDevice(row scanner) (Device, error) {
	var id, prekeys, used sql.NullInt64
	var gone bool
	switch err := row.Scan(&id, &prekeys, &used, &gone); {
	case errors.Is(err, sql.ErrNoRows):
		return Device{}, ErrNotRegistered
	case err != nil:
		return Device{}, err
	case gone:
		return Device{}, ErrRevoked
	case !id.Valid:
		return Device{}, ErrNotRegistered
	}
	d := Device{ID: DeviceID(id.Int64), Prekeys: int(prekeys.Int64)}
	if used.Valid {
		d.Used = time.UnixMilli(used.Int64)
	}
	return d, nil
}

// unavailableBut wraps errors of the database and leaves ours.
func unavailableBut(err error) error {
	for _, ours := range []error{ErrNotRegistered, ErrRevoked} {
		if errors.Is(err, ours) {
			return err
		}
	}
	return unavailable(err)
}

// Knows implements [Store].
func (s *SQLite) Knows(ctx context.Context, key string) (bool, error) {
	var n int
	err := s.query.knows.QueryRowContext(ctx, []byte(key)).Scan(&n)
	return n > 0, unavailable(err)
}

// Register implements [Store].
func (s *SQLite) Register(ctx context.Context, a auth.Address, k Keys) (Device, error) {
	var d Device
	err := s.writer.do(ctx, k.size(), func(b *batch) error {
		limits := s.limits.Load()
		var known, identities int
		if err := b.row(sqlKnows, []byte(a.Key)).Scan(&known); err != nil {
			return err
		}
		if err := b.row(`SELECT identities FROM totals`).Scan(&identities); err != nil {
			return err
		}
		switch {
		case known > 0:
			return refusal{ErrRegistered}
		case identities >= limits.Identities:
			return refusal{ErrFull}
		}
		if err := b.keysFit(limits, keysHeld{}, k); err != nil {
			return err
		}
		now := b.now.UnixMilli()
		var identity int64
		if err := b.row(`INSERT INTO identities (key, created) VALUES (?, ?) RETURNING id`, []byte(a.Key), now).Scan(&identity); err != nil {
			return err
		}
		if err := b.row(`INSERT INTO devices (identity, name, created, last_resort) VALUES (?, ?, ?, ?) RETURNING id`,
			identity, a.Device, now, k.LastResort).Scan(&d.ID); err != nil {
			return err
		}
		d.Prekeys = len(k.Prekeys)
		return b.addPrekeys(d.ID, k.Prekeys)
	}, nil)
	if err != nil {
		return Device{}, err // the writer may still hold d
	}
	return d, nil
}

// size is how many bytes the keys have.
func (k Keys) size() int {
	n := len(k.LastResort)
	for _, body := range k.Prekeys {
		n += len(body)
	}
	return n
}

// keysHeld is what a device has of keys.
type keysHeld struct {
	prekeys    int
	bytes      int64 // of prekeys
	lastResort int64 // its bytes
}

// keysFit refuses keys that are more than a device may have beside what it holds,
// or than the file has room for when it keeps a part for messages.
func (b *batch) keysFit(limits *Limits, held keysHeld, k Keys) error {
	bytes := held.bytes + int64(k.size())
	if k.LastResort == nil {
		bytes += held.lastResort
	}
	switch {
	case held.prekeys+len(k.Prekeys) > limits.PrekeysPerDevice:
		return refusal{ErrTooManyKeys}
	case bytes > limits.KeyBytesPerDevice:
		return refusal{ErrKeysTooLarge}
	}
	room, err := b.hasRoom(limits)
	if err == nil && !room {
		err = refusal{ErrKeysFull}
	}
	return err
}

// hasRoom reports whether the file has room for something else than messages.
func (b *batch) hasRoom(limits *Limits) (bool, error) {
	var pages, free int64
	if err := b.row(`PRAGMA page_count`).Scan(&pages); err != nil {
		return false, err
	}
	if err := b.row(`PRAGMA freelist_count`).Scan(&free); err != nil {
		return false, err
	}
	return (pages-free)*pageSize < limits.BytesOnDisk/100*int64(limits.KeysPercent), nil
}

func (b *batch) addPrekeys(d DeviceID, prekeys [][]byte) error {
	for _, body := range prekeys {
		if err := b.exec(`INSERT INTO prekeys (device, body) VALUES (?, ?)`, int64(d), body); err != nil {
			return err
		}
	}
	return nil
}

// prekeys returns how many a device has left, and ErrRevoked when it is no more.
func (b *batch) prekeys(d DeviceID) (int, error) {
	var n int
	err := b.row(`SELECT prekeys FROM devices WHERE id = ? AND removed IS NULL`, int64(d)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, refusal{ErrRevoked}
	}
	return n, err
}

// AddKeys implements [Store].
func (s *SQLite) AddKeys(ctx context.Context, d DeviceID, k Keys) (Device, error) {
	device := Device{ID: d}
	err := s.writer.do(ctx, k.size(), func(b *batch) error {
		var held keysHeld
		switch err := b.row(`SELECT prekeys, key_bytes, coalesce(length(last_resort), 0) FROM devices
			WHERE id = ? AND removed IS NULL`, int64(d)).Scan(&held.prekeys, &held.bytes, &held.lastResort); {
		case errors.Is(err, sql.ErrNoRows):
			return refusal{ErrRevoked}
		case err != nil:
			return err
		}
		if err := b.keysFit(s.limits.Load(), held, k); err != nil {
			return err
		}
		device.Prekeys = held.prekeys + len(k.Prekeys)
		if k.LastResort != nil {
			if err := b.exec(`UPDATE devices SET last_resort = ? WHERE id = ?`, k.LastResort, int64(d)); err != nil {
				return err
			}
		}
		return b.addPrekeys(d, k.Prekeys)
	}, nil)
	if err != nil {
		return Device{ID: d}, err
	}
	return device, nil
}

// TakeKeys implements [Store].
func (s *SQLite) TakeKeys(ctx context.Context, key string, caller DeviceID) (map[string][]byte, Device, error) {
	var keys map[string][]byte
	device := Device{ID: caller}
	err := s.writer.do(ctx, len(key), func(b *batch) (err error) {
		if _, err := b.prekeys(caller); err != nil {
			return err
		}
		var identity int64
		var revoked bool
		switch err := b.row(`SELECT id, revoked IS NOT NULL FROM identities WHERE key = ?`, []byte(key)).Scan(&identity, &revoked); {
		case errors.Is(err, sql.ErrNoRows):
			return refusal{ErrNotRegistered}
		case err != nil:
			return err
		case revoked:
			return refusal{ErrRevoked}
		}
		if keys, err = b.takeKeys(identity); err != nil {
			return err
		}
		device.Prekeys, err = b.prekeys(caller)
		return err
	}, nil)
	if err != nil {
		return nil, Device{ID: caller}, err
	}
	return keys, device, nil
}

// takeKeys takes one key of each device of an identity.
func (b *batch) takeKeys(identity int64) (map[string][]byte, error) {
	stmt, err := b.stmt(`SELECT d.id, d.name, d.last_resort, (SELECT min(id) FROM prekeys WHERE device = d.id)
		FROM devices d WHERE d.identity = ? AND d.removed IS NULL`)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(context.Background(), identity)
	if err != nil {
		return nil, err
	}
	keys := make(map[string][]byte)
	oldest := make(map[string]int64)
	for rows.Next() {
		var id int64
		var name string
		var lastResort []byte
		var prekey sql.NullInt64
		if err := rows.Scan(&id, &name, &lastResort, &prekey); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		if lastResort != nil {
			keys[name] = lastResort
		}
		if prekey.Valid {
			oldest[name] = prekey.Int64
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for name, prekey := range oldest {
		var body []byte
		if err := b.row(`DELETE FROM prekeys WHERE id = ? RETURNING body`, prekey).Scan(&body); err != nil {
			return nil, err
		}
		keys[name] = body
	}
	return keys, nil
}

// Remove implements [Store].
func (s *SQLite) Remove(ctx context.Context, d DeviceID) error {
	return s.writer.do(ctx, 0, func(b *batch) error {
		if _, err := b.prekeys(d); err != nil {
			return err
		}
		now := b.now.UnixMilli()
		return b.steps(
			step{`DELETE FROM prekeys WHERE device = ?`, []any{int64(d)}},
			step{`DELETE FROM messages WHERE device = ?`, []any{int64(d)}},
			step{`DELETE FROM contacts WHERE device = ?`, []any{int64(d)}},
			step{`UPDATE devices SET removed = ?, last_resort = NULL WHERE id = ?`, []any{now, int64(d)}},
			step{`UPDATE identities SET revoked = ?1, used = ?1 WHERE id = (SELECT identity FROM devices WHERE id = ?2)
				AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.identity = identities.id AND d.removed IS NULL)`, []any{now, int64(d)}},
		)
	}, nil)
}
