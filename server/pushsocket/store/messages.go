package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"
)

// sqlPending goes by the index on device, whose entries end with the row's own key:
// seq.
const sqlPending = `SELECT seq, tag, header,
	CASE WHEN shared IS NULL THEN body ELSE (SELECT text FROM bodies WHERE id = shared) END
	FROM messages WHERE device = ? AND seq > ? ORDER BY seq LIMIT ?`

// maxPending is how many messages Pending returns at most.
const maxPending = 64

// expireStep is how many rows one change removes that are too old, so that others are
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
	err := s.writer.do(ctx, 24*len(ids), func(b *batch) error {
		confirmed = 0
		senders := make(map[DeviceID]bool)
		for _, id := range ids {
			seq, tag, ok := parseMessageID(id)
			if !ok {
				continue
			}
			var sender DeviceID
			switch err := b.row(`DELETE FROM messages WHERE seq = ? AND tag = ? AND device = ? RETURNING sender`,
				seq, int64(tag), int64(d)).Scan(&sender); {
			case errors.Is(err, sql.ErrNoRows):
			case err != nil:
				return err
			default:
				confirmed++
				senders[sender] = true
			}
		}
		return b.heard(d, senders, s.limits.Load())
	}, nil)
	if err != nil {
		return 0, err
	}
	return confirmed, nil
}

// Expire implements [Store].
func (s *SQLite) Expire(ctx context.Context, before time.Time) (int, error) {
	return s.inSteps(ctx, func(b *batch) (int, error) {
		return b.affect(`DELETE FROM messages WHERE seq IN
			(SELECT seq FROM messages WHERE seq < ? ORDER BY seq LIMIT ?)`, seqAt(before), expireStep)
	})
}

// inSteps has something removed by as many changes as it takes, of at most expireStep
// each, and returns how much it was, also when it failed in the end.
func (s *SQLite) inSteps(ctx context.Context, remove func(*batch) (int, error)) (int, error) {
	total := 0
	for {
		n := 0
		err := s.writer.do(ctx, 0, func(b *batch) (err error) {
			n, err = remove(b)
			return err
		}, nil)
		if err != nil {
			return total, err
		}
		total += n
		if n < expireStep {
			return total, nil
		}
	}
}
