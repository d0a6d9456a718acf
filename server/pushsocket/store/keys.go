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
		FROM identities i LEFT JOIN devices d ON d.identity = i.id AND d.name = $1 WHERE i.key = $2`
	sqlKnows = `SELECT count(*) FROM identities WHERE key = $1`
)

// Find implements [Store].
func (s *keeper) Find(ctx context.Context, a auth.Address) (Device, error) {
	d, err := scanDevice(s.engine.row(ctx, sqlFind, name(a.Device), []byte(a.Key)))
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
func (s *keeper) Knows(ctx context.Context, key string) (bool, error) {
	var n int
	err := s.engine.row(ctx, sqlKnows, []byte(key)).Scan(&n)
	return n > 0, unavailable(err)
}

// Register implements [Store].
func (s *keeper) Register(ctx context.Context, a auth.Address, k Keys) (Device, error) {
	var d Device
	err := s.change(ctx, touches{total: true}, k.size(), func(b *batch) error {
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
		switch err := b.row(`INSERT INTO identities (key, created) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING RETURNING id`, []byte(a.Key), now).Scan(&identity); {
		case errors.Is(err, sql.ErrNoRows): // another process was first
			return refusal{ErrRegistered}
		case err != nil:
			return err
		}
		if err := b.row(`INSERT INTO devices (identity, name, created, last_resort) VALUES ($1, $2, $3, $4) RETURNING id`,
			identity, name(a.Device), now, k.LastResort).Scan(&d.ID); err != nil {
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

// hasRoom reports whether the database has room for something else than messages.
func (b *batch) hasRoom(limits *Limits) (bool, error) {
	used, err := b.inUse()
	return used < limits.BytesOnDisk/100*int64(limits.KeysPercent), err
}

func (b *batch) addPrekeys(d DeviceID, prekeys [][]byte) error {
	each := make([][]any, len(prekeys))
	for i, body := range prekeys {
		each[i] = []any{int64(d), body}
	}
	return b.many(`INSERT INTO prekeys (device, body) VALUES ($1, $2)`, each)
}

// prekeys returns how many a device has left, and ErrRevoked when it is no more.
func (b *batch) prekeys(d DeviceID) (int, error) {
	var n int
	err := b.row(`SELECT prekeys FROM devices WHERE id = $1 AND removed IS NULL`, int64(d)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, refusal{ErrRevoked}
	}
	return n, err
}

// AddKeys implements [Store].
func (s *keeper) AddKeys(ctx context.Context, d DeviceID, k Keys) (Device, error) {
	device := Device{ID: d}
	err := s.change(ctx, touches{devices: []DeviceID{d}}, k.size(), func(b *batch) error {
		var held keysHeld
		switch err := b.row(`SELECT prekeys, key_bytes, coalesce(length(last_resort), 0) FROM devices
			WHERE id = $1 AND removed IS NULL`, int64(d)).Scan(&held.prekeys, &held.bytes, &held.lastResort); {
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
			if err := b.exec(`UPDATE devices SET last_resort = $1 WHERE id = $2`, k.LastResort, int64(d)); err != nil {
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
func (s *keeper) TakeKeys(ctx context.Context, key string, caller DeviceID) (map[string][]byte, Device, error) {
	var keys map[string][]byte
	device := Device{ID: caller}
	err := s.change(ctx, touches{identities: []string{key}}, len(key), func(b *batch) (err error) {
		if _, err := b.prekeys(caller); err != nil {
			return err
		}
		var identity int64
		var revoked bool
		switch err := b.row(`SELECT id, revoked IS NOT NULL FROM identities WHERE key = $1`, []byte(key)).Scan(&identity, &revoked); {
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
	keys := make(map[string][]byte)
	oldest := make(map[string]int64)
	err := b.rows(`SELECT d.name, d.last_resort, (SELECT min(id) FROM prekeys WHERE device = d.id)
		FROM devices d WHERE d.identity = $1 AND d.removed IS NULL`, []any{identity}, func(row scanner) (bool, error) {
		var name, lastResort []byte
		var prekey sql.NullInt64
		if err := row.Scan(&name, &lastResort, &prekey); err != nil {
			return false, err
		}
		if lastResort != nil {
			keys[string(name)] = lastResort
		}
		if prekey.Valid {
			oldest[string(name)] = prekey.Int64
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	for name, prekey := range oldest {
		var body []byte
		if err := b.row(`DELETE FROM prekeys WHERE id = $1 RETURNING body`, prekey).Scan(&body); err != nil {
			return nil, err
		}
		keys[name] = body
	}
	return keys, nil
}

// Remove implements [Store].
func (s *keeper) Remove(ctx context.Context, d DeviceID) error {
	return s.change(ctx, touches{siblings: []DeviceID{d}}, 0, func(b *batch) error {
		if _, err := b.prekeys(d); err != nil {
			return err
		}
		now := b.now.UnixMilli()
		return b.steps(
			step{`DELETE FROM prekeys WHERE device = $1`, []any{int64(d)}},
			step{`DELETE FROM messages WHERE device = $1`, []any{int64(d)}},
			step{`DELETE FROM contacts WHERE device = $1`, []any{int64(d)}},
			step{`UPDATE devices SET removed = $1, last_resort = NULL WHERE id = $2`, []any{now, int64(d)}},
			step{`UPDATE identities SET revoked = $1, used = $1 WHERE id = (SELECT identity FROM devices WHERE id = $2)
				AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.identity = identities.id AND d.removed IS NULL)`, []any{now, int64(d)}},
		)
	}, nil)
}
