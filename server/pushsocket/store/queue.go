package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"

	"poosh/auth"
)

// minShared is how long a body is at least, in bytes, to be stored apart from its
// copies: for a short one that would cost more than it saves.
const minShared = 256

// Queue implements [Store].
func (s *SQLite) Queue(ctx context.Context, sender DeviceID, messages []Outgoing, stored func([]Outcome)) ([]Outcome, Device, error) {
	var outcomes []Outcome // belongs to the writer until it is done
	var device Device
	var late func(error)
	if stored != nil {
		late = func(err error) {
			if err == nil {
				stored(outcomes)
			}
		}
	}
	size := 0
	for _, m := range messages {
		size += m.size()
	}
	err := s.writer.do(ctx, size, func(b *batch) (err error) {
		device.ID = sender
		if device.Prekeys, err = b.prekeys(sender); err != nil {
			return err
		}
		outcomes = nil
		limits := s.limits.Load()
		for _, m := range messages {
			if outcomes, err = b.queue(outcomes, m, sender, limits); err != nil {
				return err
			}
		}
		return nil
	}, late)
	if err != nil {
		return nil, Device{ID: sender}, err
	}
	return outcomes, device, nil
}

// size is how many bytes a message has in memory.
func (m Outgoing) size() int {
	n := len(m.Body)
	for _, c := range m.Copies {
		n += len(c.Header)
	}
	return n
}

// queue stores the copies of one message, or says why not of each.
func (b *batch) queue(outcomes []Outcome, m Outgoing, sender DeviceID, limits *Limits) ([]Outcome, error) {
	var shared sql.NullInt64
	for _, c := range m.Copies {
		size := int64(len(c.Header) + len(m.Body))
		box, kind, err := b.target(c.To, sender)
		out := Outcome{Kind: kind}
		if err == nil && kind == Queued {
			out, err = b.makeRoom(box, size, limits)
		}
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, out)
		if out.Kind != Queued {
			continue
		}
		if len(m.Copies) > 1 && len(m.Body) >= minShared && !shared.Valid {
			if err := b.row(`INSERT INTO bodies (text) VALUES (?) RETURNING id`, m.Body).Scan(&shared); err != nil {
				return nil, err
			}
		}
		if err := b.insert(box, c.Header, m.Body, shared); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// insert stores a copy, whose body is in bodies when shared is valid.
func (b *batch) insert(box mailbox, header, body []byte, shared sql.NullInt64) error {
	sharedSize := 0
	if shared.Valid {
		sharedSize, body = len(body), []byte{}
	}
	var tag [4]byte
	_, _ = rand.Read(tag[:]) // never fails
	return b.exec(`INSERT INTO messages (seq, tag, device, sender, header, body, shared, shared_size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		b.nextSeq(), int64(binary.BigEndian.Uint32(tag[:])), int64(box.device), int64(box.sender), header, body, shared, sharedSize)
}

// A mailbox is what waits for a device, and how much of it is one sender's.
type mailbox struct {
	device, sender DeviceID
	all, sent      load
}

// A load is messages and their bytes.
type load struct{ messages, bytes int64 }

// target finds the mailbox of an address.
func (b *batch) target(a auth.Address, sender DeviceID) (box mailbox, kind OutcomeKind, err error) {
	var revoked bool
	var id, messages, bytes, sent, sentBytes sql.NullInt64
	switch err := b.row(sqlTarget, a.Device, int64(sender), []byte(a.Key)).Scan(&revoked, &id, &messages, &bytes, &sent, &sentBytes); {
	case errors.Is(err, sql.ErrNoRows):
		return box, UnknownKey, nil
	case err != nil:
		return box, 0, err
	case revoked:
		return box, RevokedKey, nil
	case !id.Valid:
		return box, MissingDevice, nil
	}
	return mailbox{DeviceID(id.Int64), sender, load{messages.Int64, bytes.Int64}, load{sent.Int64, sentBytes.Int64}}, Queued, nil
}

// makeRoom drops older messages for one of so many bytes, first those of its sender
// if they take more than his share, or says that it is refused.
func (b *batch) makeRoom(box mailbox, size int64, limits *Limits) (Outcome, error) {
	most := load{int64(limits.MessagesPerDevice), limits.BytesPerDevice}
	if size > most.bytes {
		return Outcome{Kind: DeviceFull}, nil
	}
	out := Outcome{Device: box.device}
	if share := most.part(limits.SenderPercent); box.device != box.sender {
		if over := box.sent.over(share, size); over.messages > 0 || over.bytes > 0 && box.sent.messages > 0 {
			if !limits.DropOldest {
				return Outcome{Kind: SenderFull}, nil
			}
			dropped, err := b.drop(box, true, over)
			if err != nil {
				return out, err
			}
			out.Dropped += int(dropped.messages)
			box.all.messages -= dropped.messages
			box.all.bytes -= dropped.bytes
		}
	}
	if over := box.all.over(most, size); over.messages > 0 || over.bytes > 0 {
		if !limits.DropOldest {
			return Outcome{Kind: DeviceFull}, nil
		}
		dropped, err := b.drop(box, false, over)
		if err != nil {
			return out, err
		}
		out.Dropped += int(dropped.messages)
	}
	return out, nil
}

// part is a percentage of a load, at least one message.
func (l load) part(percent int) load {
	return load{max(1, l.messages*int64(percent)/100), l.bytes * int64(percent) / 100}
}

// over is by how much a load with one more message of so many bytes is more than
// most.
func (l load) over(most load, size int64) load {
	return load{l.messages + 1 - most.messages, l.bytes + size - most.bytes}
}

const sqlOldest = `SELECT seq, length(header) + length(body) + shared_size FROM messages WHERE device = ? AND (?2 = -1 OR sender = ?2) ORDER BY seq`

// drop removes the oldest messages of a mailbox, or of its sender in it, as many as
// a load needs.
func (b *batch) drop(box mailbox, ofSender bool, need load) (dropped load, err error) {
	whose := int64(-1)
	if ofSender {
		whose = int64(box.sender)
	}
	stmt, err := b.stmt(sqlOldest)
	if err != nil {
		return dropped, err
	}
	rows, err := stmt.QueryContext(context.Background(), int64(box.device), whose)
	if err != nil {
		return dropped, err
	}
	var last, size int64
	for (dropped.messages < need.messages || dropped.bytes < need.bytes) && rows.Next() {
		if err := rows.Scan(&last, &size); err != nil {
			return dropped, errors.Join(err, rows.Close())
		}
		dropped.messages++
		dropped.bytes += size
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return dropped, err
	}
	return dropped, b.exec(`DELETE FROM messages WHERE device = ? AND (?2 = -1 OR sender = ?2) AND seq <= ?3`,
		int64(box.device), whose, last)
}
