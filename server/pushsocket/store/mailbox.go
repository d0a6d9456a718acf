package store

import (
	"database/sql"
	"errors"

	"poosh/auth"
)

// A mailbox is what waits for a device, and how much of it is one sender's.
type mailbox struct {
	device, sender DeviceID
	standing       standing // of the sender

	waits loads
	sent  load // by this sender

	back acquaintance // what the sender has of the device in its contacts
}

// A load is messages and their bytes.
type load struct{ messages, bytes int64 }

func (l load) plus(more load) load { return load{l.messages + more.messages, l.bytes + more.bytes} }

func (l load) minus(less load) load { return load{l.messages - less.messages, l.bytes - less.bytes} }

// loads are what waits in a mailbox by the standing that senders had.
type loads [stranger + 1]load

// from is the load of those that stood so or were less known.
func (l *loads) from(s standing) (sum load) {
	for _, one := range l[s:] {
		sum = sum.plus(one)
	}
	return sum
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

// sqlTarget is what Queue asks about an address, about what the sender has in the
// mailbox, and what each of the two knows of the other.
const sqlTarget = `SELECT i.revoked IS NOT NULL, d.id, d.messages, d.bytes, d.heard_messages, d.heard_bytes, d.strange_messages, d.strange_bytes,
	s.messages, s.bytes, c.since, c.written, c.used, w.since, w.written, w.used
	FROM identities i
	LEFT JOIN devices d ON d.identity = i.id AND d.name = $1 AND d.removed IS NULL
	LEFT JOIN senders s ON s.device = d.id AND s.sender = $2
	LEFT JOIN contacts c ON c.device = d.id AND c.contact = $2
	LEFT JOIN contacts w ON w.device = $2 AND w.contact = d.id
	WHERE i.key = $3`

// target finds the mailbox of an address.
func (b *batch) target(a auth.Address, sender DeviceID, limits *Limits) (box mailbox, kind OutcomeKind, err error) {
	var revoked bool
	var id sql.NullInt64
	var n [8]sql.NullInt64 // loads, in their order
	var knows acquaintance
	box.sender = sender
	switch err := b.row(sqlTarget, name(a.Device), int64(sender), []byte(a.Key)).Scan(&revoked, &id, &n[0], &n[1], &n[2], &n[3], &n[4], &n[5], &n[6], &n[7],
		&knows.since, &knows.written, &knows.used, &box.back.since, &box.back.written, &box.back.used); {
	case errors.Is(err, sql.ErrNoRows):
		return box, UnknownKey, nil
	case err != nil:
		return box, 0, err
	case revoked:
		return box, RevokedKey, nil
	case !id.Valid:
		return box, MissingDevice, nil
	case !b.holds(DeviceID(id.Int64)): // it came when the messages were on their way already
		return box, MissingDevice, nil
	}
	box.device = DeviceID(id.Int64)
	at := func(i int) load { return load{n[2*i].Int64, n[2*i+1].Int64} }
	box.waits = loads{heard: at(1), stranger: at(2)}
	box.waits[trusted] = at(0).minus(box.waits.from(heard))
	box.sent = at(3)
	box.standing = b.standing(box.device, sender, knows, limits)
	return box, Queued, nil
}

// A bound is one that a message has to meet.
type bound struct {
	waits load        // what it counts
	from  standing    // whose: of those that stood so or were less known
	gives load        // what of it may go for the message
	whose filter      // which messages these are
	most  load        // that may wait
	kind  OutcomeKind // of a message that does not meet it
}

// A filter names messages of a mailbox: those of a sender, unless it is anybody, whose
// senders stood so or were less known.
type filter struct {
	sender DeviceID
	from   standing
}

const anybody = DeviceID(-1)

// bounds lists what a message of the mailbox's sender has to meet: the sender's share,
// the part of all strangers, that of all to whom the device never wrote, and the whole.
// Nobody takes a place from those that the device knows better.
func (box *mailbox) bounds(limits *Limits) []bound {
	whole := load{int64(limits.MessagesPerDevice), limits.BytesPerDevice}
	gives, less := box.waits.from(box.standing), filter{anybody, box.standing}
	var list []bound
	if box.device != box.sender {
		list = append(list, bound{box.sent, trusted, box.sent, filter{box.sender, trusted}, whole.part(limits.SenderPercent), SenderFull})
	}
	if box.standing >= stranger {
		list = append(list, bound{box.waits.from(stranger), stranger, gives, less, whole.part(limits.StrangersPercent), StrangersFull})
	}
	if box.standing >= heard {
		list = append(list, bound{box.waits.from(heard), heard, gives, less, whole.part(limits.heardPercent()), StrangersFull})
	}
	return append(list, bound{box.waits.from(trusted), trusted, gives, less, whole, DeviceFull})
}

// exceeded is how much has to go for a message of so many bytes; it is not positive in
// both when nothing has to. One that is larger than a part by itself may come when it
// is alone in it.
func (n bound) exceeded(size int64) load {
	over := n.waits.over(n.most, size)
	if over.messages <= 0 && n.waits.messages == 0 {
		return load{}
	}
	return over
}

// met reports whether nothing has to go.
func (over load) met() bool { return over.messages <= 0 && over.bytes <= 0 }

// makeRoom drops older messages for one of so many bytes, or says that it is refused.
// It drops nothing for one that is refused.
func (b *batch) makeRoom(box mailbox, size int64, limits *Limits) (Outcome, error) {
	if size > limits.BytesPerDevice {
		return Outcome{Kind: DeviceFull}, nil
	}
	bounds := box.bounds(limits)
	for _, n := range bounds {
		if n.exceeded(size).met() {
			continue
		}
		n.waits = n.waits.minus(n.gives)
		if !limits.DropOldest || !n.exceeded(size).met() {
			return Outcome{Kind: n.kind}, nil
		}
	}
	out := Outcome{Device: box.device}
	var gone loads // for earlier bounds: it counts for none any more
	for _, n := range bounds {
		n.waits = n.waits.minus(gone.from(n.from))
		if over := n.exceeded(size); !over.met() {
			if err := b.drop(box.device, n.whose, over, &gone); err != nil {
				return out, err
			}
		}
	}
	out.Dropped = int(gone.from(trusted).messages)
	return out, nil
}

const sqlOldest = `SELECT seq, standing, length(header) + length(body) + shared_size FROM messages
	WHERE device = $1 AND (CAST($2 AS BIGINT) = -1 OR sender = $2) AND standing >= $3 AND seq > $4 ORDER BY seq LIMIT $5`

// dropStep is how many messages are looked at at once for one that needs room.
const dropStep = 64

// drop removes the oldest messages of a mailbox that a filter names, as many as a load
// needs, and adds them to gone.
func (b *batch) drop(device DeviceID, whose filter, need load, gone *loads) error {
	var last int64
	for seen := dropStep; !need.met() && seen == dropStep; {
		seen = 0
		err := b.rows(sqlOldest, []any{int64(device), int64(whose.sender), int64(whose.from), last, dropStep}, func(row scanner) (bool, error) {
			var stood standing
			one := load{messages: 1}
			if err := row.Scan(&last, &stood, &one.bytes); err != nil {
				return false, err
			}
			seen++
			gone[stood] = gone[stood].plus(one)
			need = need.minus(one)
			return !need.met(), nil
		})
		if err != nil {
			return err
		}
	}
	return b.exec(`DELETE FROM messages WHERE device = $1 AND (CAST($2 AS BIGINT) = -1 OR sender = $2) AND standing >= $3 AND seq <= $4`,
		int64(device), int64(whose.sender), int64(whose.from), last)
}
