package store

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"time"
)

const (
	// sqlPending goes by the index on device, whose entries end with the row's
	// own key: seq.
	sqlPending = `SELECT seq, tag, header,
		CASE WHEN shared IS NULL THEN body ELSE (SELECT text FROM bodies WHERE id = shared) END
		FROM messages WHERE device = ? AND seq > ? ORDER BY seq LIMIT ?`

	// sqlTarget is what Queue asks about an address, and about what the sender has
	// in the mailbox.
	sqlTarget = `SELECT i.revoked IS NOT NULL, d.id, d.messages, d.bytes, s.messages, s.bytes FROM identities i
		LEFT JOIN devices d ON d.identity = i.id AND d.name = ? AND d.removed IS NULL
		LEFT JOIN senders s ON s.device = d.id AND s.sender = ?
		WHERE i.key = ?`
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
	}, nil)
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
		err := s.writer.do(ctx, 0, func(b *batch) (err error) {
			n, err = b.affect(`DELETE FROM messages WHERE seq IN
				(SELECT seq FROM messages WHERE seq < ? ORDER BY seq LIMIT ?)`, seqAt(before), expireStep)
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
