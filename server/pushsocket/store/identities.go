package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// usedEvery is how exactly the time of an identity's last use is kept.
const usedEvery = 24 * time.Hour

// identityStep is how many identities one change removes, each with all it has, so
// that others are not kept waiting.
const identityStep = 20

// Used implements [Store].
func (s *keeper) Used(devices ...Device) {
	s.usedMu.Lock()
	defer s.usedMu.Unlock()
	var ids []DeviceID
	for _, d := range devices {
		if time.Since(d.Used) >= usedEvery && !s.using[d.ID] {
			ids = append(ids, d.ID)
		}
	}
	if len(ids) == 0 || !s.writer.start(touches{devices: ids}, func(b *batch) error { return s.use(b, ids) }) {
		return // if too much waits, the next use will tell
	}
	for _, id := range ids {
		s.using[id] = true
	}
}

// use writes what Used was told. The time never goes back: a clock that was wrong
// for a while must not make an identity look idle.
func (s *keeper) use(b *batch, ids []DeviceID) error {
	s.usedMu.Lock()
	for _, id := range ids {
		delete(s.using, id)
	}
	s.usedMu.Unlock()
	for _, id := range ids {
		if err := b.exec(`UPDATE identities SET used = CASE WHEN used > $1 THEN used ELSE $1 END WHERE id = (SELECT identity FROM devices WHERE id = $2)`,
			b.now.UnixMilli(), int64(id)); err != nil {
			return err
		}
	}
	return nil
}

// ExpireIdentities implements [Store].
func (s *keeper) ExpireIdentities(ctx context.Context, unused, idle time.Time) (Removed, error) {
	var total Removed
	for _, which := range []struct {
		text   string
		before time.Time
	}{
		{sqlUnused, unused},
		{sqlIdle, idle},
	} {
		for n := identityStep; n == identityStep; {
			var r Removed
			args := []any{which.before.UnixMilli(), identityStep}
			of := &found{`SELECT id FROM devices WHERE identity IN (` + which.text + `)`, args}
			err := s.change(ctx, touches{found: of, total: true}, 0, func(b *batch) error {
				r = Removed{}
				ids, err := b.integers(which.text, args...)
				if err != nil {
					return err
				}
				for _, id := range ids {
					if err := b.removeIdentity(id, &r); err != nil {
						return err
					}
				}
				return nil
			}, nil)
			if err != nil {
				return total, err
			}
			n = r.Identities
			total.Identities += n
			total.Devices = append(total.Devices, r.Devices...)
		}
	}
	return total, nil
}

const (
	sqlUnused = `SELECT id FROM identities WHERE used IS NULL AND created < $1 ORDER BY created LIMIT $2`
	sqlIdle   = `SELECT id FROM identities WHERE used IS NOT NULL AND used < $1 ORDER BY used LIMIT $2`
)

// RemoveIdentity implements [Store].
func (s *keeper) RemoveIdentity(ctx context.Context, key string) (Removed, error) {
	var r Removed
	err := s.change(ctx, touches{identities: []string{key}, total: true}, 0, func(b *batch) error {
		id, err := b.identity(key)
		if err != nil {
			return err
		}
		r = Removed{}
		return b.removeIdentity(id, &r)
	}, nil)
	if err != nil {
		return Removed{}, err
	}
	return r, nil
}

// RemovePrekeys implements [Store].
func (s *keeper) RemovePrekeys(ctx context.Context, key string) (int, error) {
	n := 0
	err := s.change(ctx, touches{identities: []string{key}}, 0, func(b *batch) error {
		id, err := b.identity(key)
		if err != nil {
			return err
		}
		n, err = b.affect(`DELETE FROM prekeys WHERE device IN (SELECT id FROM devices WHERE identity = $1)`, id)
		return err
	}, nil)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// identity finds an identity, revoked or not.
func (b *batch) identity(key string) (id int64, err error) {
	err = b.row(`SELECT id FROM identities WHERE key = $1`, []byte(key)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, refusal{ErrNotRegistered}
	}
	return id, err
}

// removeIdentity removes an identity with its devices, their keys and what waits
// for them. What they sent stays with those it waits for.
func (b *batch) removeIdentity(id int64, r *Removed) error {
	devices, err := b.integers(`SELECT id FROM devices WHERE identity = $1`, id)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if err := b.steps(
			step{`DELETE FROM prekeys WHERE device = $1`, []any{d}},
			step{`DELETE FROM messages WHERE device = $1`, []any{d}},
			step{`DELETE FROM contacts WHERE device = $1`, []any{d}},
			step{`DELETE FROM devices WHERE id = $1`, []any{d}},
		); err != nil {
			return err
		}
		r.Devices = append(r.Devices, DeviceID(d))
	}
	r.Identities++
	return b.exec(`DELETE FROM identities WHERE id = $1`, id)
}
