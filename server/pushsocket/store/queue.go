package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
)

// minShared is how long a body is at least, in bytes, to be stored apart from its
// copies: for a short one that would cost more than it saves.
const minShared = 256

// Queue implements [Store].
func (s *keeper) Queue(ctx context.Context, sender DeviceID, messages []Outgoing, stored func([]Outcome)) ([]Outcome, Device, error) {
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
	of := touches{devices: []DeviceID{sender}}
	for _, m := range messages {
		size += m.size()
		for _, c := range m.Copies {
			of.addresses = append(of.addresses, c.To)
		}
	}
	err := s.change(ctx, of, size, func(b *batch) (err error) {
		device.ID = sender
		if device.Prekeys, err = b.prekeys(sender); err != nil {
			return err
		}
		outcomes = nil
		limits := s.limits.Load()
		if b.full(limits) {
			return refusal{unavailable(errDatabaseFull)}
		}
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

// errDatabaseFull says that a database that has no bound of its own has met ours.
var errDatabaseFull = errors.New("the database has as many bytes as it may (PUSH_SOCKET_DB_MAX_BYTES)")

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
		box, kind, err := b.target(c.To, sender, limits)
		out := Outcome{Kind: kind}
		if err == nil && kind == Queued {
			out, err = b.makeRoom(box, size, limits)
		}
		if err == nil && kind == Queued { // full or not: the sender wants to hear from it
			err = b.written(box, limits)
		}
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, out)
		if out.Kind != Queued {
			continue
		}
		if len(m.Copies) > 1 && len(m.Body) >= minShared && !shared.Valid {
			if err := b.row(`INSERT INTO bodies (text) VALUES ($1) RETURNING id`, m.Body).Scan(&shared); err != nil {
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
	return b.exec(`INSERT INTO messages (seq, tag, device, sender, standing, header, body, shared, shared_size) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		b.nextSeq(box.device), int64(binary.BigEndian.Uint32(tag[:])), int64(box.device), int64(box.sender), int64(box.standing), header, body, shared, sharedSize)
}
