package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"poosh/auth"
)

const (
	// sqlPending goes by the index on device, whose entries end with the row's
	// own key: seq.
	sqlPending = `SELECT seq, tag, header, body FROM messages WHERE device = ? AND seq > ? ORDER BY seq LIMIT ?`

	// sqlTarget is what Queue asks about an address.
	sqlTarget = `SELECT i.revoked IS NOT NULL, d.id, d.messages FROM identities i
		LEFT JOIN devices d ON d.identity = i.id AND d.name = ? AND d.removed IS NULL WHERE i.key = ?`
)

// maxPending is how many messages Pending returns at most.
const maxPending = 64

// expireStep is how many messages one change of Expire removes, so that others are
// not kept waiting.
const expireStep = 1000

// messageID is what a device sees: 24 hexadecimal digits, as the original's were.
func messageID(seq int64, tag uint32) string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], uint64(seq))
	binary.BigEndian.PutUint32(b[8:], tag)
	return hex.EncodeToString(b[:])
}

// parseMessageID undoes messageID.
func parseMessageID(id string) (seq int64, tag uint32, ok bool) {
	var b [12]byte
	if len(id) != 24 {
		return 0, 0, false
	}
	if _, err := hex.Decode(b[:], []byte(id)); err != nil {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(b[:])), binary.BigEndian.Uint32(b[8:]), true
}

// Queue implements [Store].
func (s *SQLite) Queue(ctx context.Context, caller DeviceID, copies []Copy) ([]Outcome, Device, error) {
	outcomes := make([]Outcome, len(copies))
	device := Device{ID: caller}
	err := s.writer.do(ctx, func(b *batch) (err error) {
		if device.Prekeys, err = b.prekeys(caller); err != nil {
			return err
		}
		limits := s.limits.Load()
		for i, c := range copies {
			if outcomes[i], err = b.queue(c, limits); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, device, err
	}
	return outcomes, device, nil
}

// queue stores one copy, or says why not.
func (b *batch) queue(c Copy, limits *Limits) (Outcome, error) {
	to, waiting, kind, err := b.target(c.To)
	if err != nil || kind != Queued {
		return Outcome{Kind: kind}, err
	}
	out := Outcome{Device: to}
	if over := waiting + 1 - limits.MessagesPerDevice; over > 0 {
		if !limits.DropOldest {
			return Outcome{Kind: DeviceFull}, nil
		}
		if out.Dropped, err = b.affect(`DELETE FROM messages WHERE seq IN
			(SELECT seq FROM messages WHERE device = ? ORDER BY seq LIMIT ?)`, int64(to), over); err != nil {
			return out, err
		}
	}
	var tag [4]byte
	_, _ = rand.Read(tag[:]) // never fails
	return out, b.exec(`INSERT INTO messages (seq, tag, device, header, body) VALUES (?, ?, ?, ?, ?)`,
		b.nextSeq(), int64(binary.BigEndian.Uint32(tag[:])), int64(to), c.Header, c.Body)
}

// target finds the device of an address and how much waits for it.
func (b *batch) target(a auth.Address) (to DeviceID, waiting int, kind OutcomeKind, err error) {
	var revoked bool
	var id, messages sql.NullInt64
	switch err := b.row(sqlTarget, a.Device, []byte(a.Key)).Scan(&revoked, &id, &messages); {
	case errors.Is(err, sql.ErrNoRows):
		return 0, 0, UnknownKey, nil
	case err != nil:
		return 0, 0, 0, err
	case revoked:
		return 0, 0, RevokedKey, nil
	case !id.Valid:
		return 0, 0, MissingDevice, nil
	}
	return DeviceID(id.Int64), int(messages.Int64), Queued, nil
}

// Pending implements [Store].
func (s *SQLite) Pending(ctx context.Context, d DeviceID, after int64, maxBytes int) ([]Message, error) {
	rows, err := s.query.pending.QueryContext(ctx, int64(d), after, maxPending)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	var list []Message
	for size := 0; size < maxBytes && rows.Next(); {
		var m Message
		var tag int64
		if err := rows.Scan(&m.Seq, &tag, &m.Header, &m.Body); err != nil {
			return nil, unavailable(err)
		}
		m.ID = messageID(m.Seq, uint32(tag))
		size += len(m.Header) + len(m.Body)
		list = append(list, m)
	}
	return list, unavailable(rows.Err())
}

// Confirm implements [Store].
func (s *SQLite) Confirm(ctx context.Context, d DeviceID, ids []string) (int, error) {
	confirmed := 0
	err := s.writer.do(ctx, func(b *batch) error {
		for _, id := range ids {
			seq, tag, ok := parseMessageID(id)
			if !ok {
				continue
			}
			n, err := b.affect(`DELETE FROM messages WHERE seq = ? AND tag = ? AND device = ?`, seq, int64(tag), int64(d))
			if err != nil {
				return err
			}
			confirmed += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return confirmed, nil
}

// Expire implements [Store].
func (s *SQLite) Expire(ctx context.Context, before time.Time) (int, error) {
	total := 0
	for {
		n := 0
		err := s.writer.do(ctx, func(b *batch) (err error) {
			n, err = b.affect(`DELETE FROM messages WHERE seq IN
				(SELECT seq FROM messages WHERE seq < ? ORDER BY seq LIMIT ?)`, seqAt(before), expireStep)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
		if n < expireStep {
			return total, nil
		}
	}
}
