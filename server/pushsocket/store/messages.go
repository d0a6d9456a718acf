package store

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"time"
)

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
func (s *keeper) Pending(ctx context.Context, d DeviceID, after int64, maxBytes int) ([]Message, error) {
	var list []Message
	size := 0
	err := s.engine.pending(ctx, d, after, maxBytes, func(row scanner) (bool, error) {
		var m Message
		var tag int64
		if err := row.Scan(&m.Seq, &tag, &m.Header, &m.Body); err != nil {
			return false, err
		}
		m.ID = messageID(m.Seq, uint32(tag))
		size += len(m.Header) + len(m.Body)
		list = append(list, m)
		return size < maxBytes, nil
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return list, nil
}

// Confirm implements [Store].
func (s *keeper) Confirm(ctx context.Context, d DeviceID, ids []string) (int, error) {
	var seqs, tags []int64
	for _, id := range ids {
		if seq, tag, ok := parseMessageID(id); ok {
			seqs, tags = append(seqs, seq), append(tags, int64(tag))
		}
	}
	confirmed := 0
	err := s.change(ctx, touches{devices: []DeviceID{d}}, 24*len(ids), func(b *batch) error {
		confirmed = 0
		senders := make(map[DeviceID]bool)
		err := b.confirm(d, seqs, tags, func(sender DeviceID) {
			confirmed++
			senders[sender] = true
		})
		if err != nil {
			return err
		}
		return b.heard(d, senders, s.limits.Load())
	}, nil)
	if err != nil {
		return 0, err
	}
	return confirmed, nil
}

// sqlOld are the oldest messages: with their devices, since a Seq may be of several.
const sqlOld = `SELECT device, seq FROM messages WHERE seq < $1 ORDER BY seq, device LIMIT $2`

// Expire implements [Store].
func (s *keeper) Expire(ctx context.Context, before time.Time) (int, error) {
	of := &found{`SELECT device FROM (` + sqlOld + `) AS old`, []any{seqAt(before), expireStep}}
	n, err := s.inSteps(ctx, of, func(b *batch) (int, error) {
		return b.affect(`DELETE FROM messages WHERE (device, seq) IN (`+sqlOld+`)`, seqAt(before), expireStep)
	})
	if err == nil {
		err = s.engine.tidy(ctx)
	}
	return n, unavailable(err)
}

// inSteps has something removed by as many changes as it takes, of at most expireStep
// each, and returns how much it was, also when it failed in the end.
func (s *keeper) inSteps(ctx context.Context, of *found, remove func(*batch) (int, error)) (int, error) {
	total := 0
	for {
		n := 0
		err := s.change(ctx, touches{found: of}, 0, func(b *batch) (err error) {
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
