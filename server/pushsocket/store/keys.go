package store

import (
	"context"
	"database/sql"
	"errors"

	"poosh/auth"
)

const (
	sqlFind = `SELECT d.id, d.prekeys, i.revoked IS NOT NULL OR d.removed IS NOT NULL
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
	var id sql.NullInt64
	var prekeys sql.NullInt64
	var gone bool
	switch err := row.Scan(&id, &prekeys, &gone); {
	case errors.Is(err, sql.ErrNoRows):
		return Device{}, ErrNotRegistered
	case err != nil:
		return Device{}, err
	case gone:
		return Device{}, ErrRevoked
	case !id.Valid:
		return Device{}, ErrNotRegistered
	}
	return Device{DeviceID(id.Int64), int(prekeys.Int64)}, nil
}

// unavailableBut wraps errors of the database and leaves ours.
func unavailableBut(err error) error {
	for _, ours := range []error{ErrNotRegistered, ErrRegistered, ErrRevoked, ErrTooManyKeys, ErrFull} {
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
	err := s.writer.do(ctx, func(b *batch) error {
		limits := s.limits.Load()
		var known int
		if err := b.row(sqlKnows, []byte(a.Key)).Scan(&known); err != nil {
			return err
		}
		var last sql.NullInt64
		if err := b.row(`SELECT max(id) FROM identities`).Scan(&last); err != nil {
			return err
		}
		switch {
		case known > 0:
			return refusal{ErrRegistered}
		case last.Int64 >= int64(limits.Identities): // none is ever deleted
			return refusal{ErrFull}
		case len(k.Prekeys) > limits.PrekeysPerDevice:
			return refusal{ErrTooManyKeys}
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
	})
	return d, err
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
	err := s.writer.do(ctx, func(b *batch) error {
		n, err := b.prekeys(d)
		if err != nil {
			return err
		}
		if device.Prekeys = n + len(k.Prekeys); device.Prekeys > s.limits.Load().PrekeysPerDevice {
			return refusal{ErrTooManyKeys}
		}
		if k.LastResort != nil {
			if err := b.exec(`UPDATE devices SET last_resort = ? WHERE id = ?`, k.LastResort, int64(d)); err != nil {
				return err
			}
		}
		return b.addPrekeys(d, k.Prekeys)
	})
	return device, err
}

// TakeKeys implements [Store].
func (s *SQLite) TakeKeys(ctx context.Context, key string, caller DeviceID) (map[string][]byte, Device, error) {
	var keys map[string][]byte
	device := Device{ID: caller}
	err := s.writer.do(ctx, func(b *batch) (err error) {
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
	})
	if err != nil {
		return nil, device, err
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
	return s.writer.do(ctx, func(b *batch) error {
		if _, err := b.prekeys(d); err != nil {
			return err
		}
		now := b.now.UnixMilli()
		for _, step := range []struct {
			text string
			args []any
		}{
			{`DELETE FROM prekeys WHERE device = ?`, []any{int64(d)}},
			{`DELETE FROM messages WHERE device = ?`, []any{int64(d)}},
			{`UPDATE devices SET removed = ?, last_resort = NULL WHERE id = ?`, []any{now, int64(d)}},
			{`UPDATE identities SET revoked = ? WHERE id = (SELECT identity FROM devices WHERE id = ?)
				AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.identity = identities.id AND d.removed IS NULL)`, []any{now, int64(d)}},
		} {
			if err := b.exec(step.text, step.args...); err != nil {
				return err
			}
		}
		return nil
	})
}
