package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// A standing is how well a device knows the sender of a message; a larger one is less.
// The schema has these numbers.
//
// Anybody may register, and most devices confirm whatever comes, so a message that was
// confirmed proves little: a sender that was heard from stands higher than a stranger,
// and only a day later, but never takes what is kept for those to whom the device wrote
// by its own will.
type standing int64

const (
	trusted  standing = iota // the device has written to it, or is it
	heard                    // it has confirmed a message of it, a day ago or longer
	stranger                 // all others
)

// heardAfter is how long after the first message that was confirmed its sender is no
// stranger any more: whoever floods a mailbox gains nothing by it that day.
const heardAfter = 24 * time.Hour

// heardPercent is the part of a mailbox for all senders to whom its device never wrote.
func (l *Limits) heardPercent() int { return (100 + l.StrangersPercent) / 2 }

// An acquaintance is a row of contacts, if there is one.
type acquaintance struct{ since, written, used sql.NullInt64 }

// standing says how a device knows a sender.
func (b *batch) standing(device, sender DeviceID, knows acquaintance, limits *Limits) standing {
	switch old := b.acquainted; {
	case device == sender || knows.written.Int64 != 0:
		return trusted
	case knows.since.Valid && b.now.UnixMilli()-knows.since.Int64 >= heardAfter.Milliseconds(),
		max(device, sender) <= old.last && b.now.Sub(old.at) < limits.IdleAge:
		return heard
	}
	return stranger
}

// acquainted are the devices that were there before contacts were kept. Whom they knew
// is not known, so for IdleAge they count as having heard of each other: an upgrade
// makes nobody a stranger.
type acquainted struct {
	last DeviceID
	at   time.Time
}

// readAcquainted reads them; they never change.
func readAcquainted(ctx context.Context, from reader) (old acquainted, err error) {
	var at int64
	err = from.row(ctx, `SELECT acquainted, acquainted_at FROM totals`).Scan(&old.last, &at)
	old.at = time.UnixMilli(at)
	return old, err
}

// written notes that the sender of a mailbox wrote to its device.
func (b *batch) written(box mailbox, limits *Limits) error {
	if box.device == box.sender || box.back.written.Int64 != 0 && !b.stale(box.back) {
		return nil
	}
	if !box.back.since.Valid {
		if room, err := b.contactRoom(box.sender, true, limits); err != nil || !room {
			return err
		}
	}
	return b.exec(`INSERT INTO contacts (device, contact, since, written, used) VALUES ($1, $2, $3, 1, $3)
		ON CONFLICT (device, contact) DO UPDATE SET written = 1, used = `+laterUse,
		int64(box.sender), int64(box.device), b.now.UnixMilli())
}

// heard notes that a device confirmed messages of senders.
func (b *batch) heard(d DeviceID, senders map[DeviceID]bool, limits *Limits) error {
	for sender := range senders {
		if sender == d || sender == 0 { // 0 from before senders were kept
			continue
		}
		var knows acquaintance
		err := b.row(`SELECT since, written, used FROM contacts WHERE device = $1 AND contact = $2`, int64(d), int64(sender)).
			Scan(&knows.since, &knows.written, &knows.used)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if knows.since.Valid && !b.stale(knows) {
			continue
		}
		if !knows.since.Valid {
			room, err := b.contactRoom(d, false, limits)
			if err != nil {
				return err
			}
			if !room {
				continue
			}
		}
		if err := b.exec(`INSERT INTO contacts (device, contact, since, written, used) VALUES ($1, $2, $3, 0, $3)
			ON CONFLICT (device, contact) DO UPDATE SET used = `+laterUse, int64(d), int64(sender), b.now.UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

// laterUse is the later of two uses: for "greatest" the databases have different names.
const laterUse = `CASE WHEN contacts.used > excluded.used THEN contacts.used ELSE excluded.used END`

// stale reports whether an acquaintance was used long enough ago to be noted anew.
func (b *batch) stale(a acquaintance) bool {
	return b.now.UnixMilli()-a.used.Int64 >= usedEvery.Milliseconds()
}

// contactRoom reports whether a device may have one contact more. For one that it wrote
// to, which nobody else can bring about, others make room: first those it only heard
// from, then those not used for longest. They go an eighth at once, so that a long list
// is not looked through each time.
func (b *batch) contactRoom(d DeviceID, wrote bool, limits *Limits) (bool, error) {
	if room, err := b.hasRoom(limits); err != nil || !room {
		return false, err
	}
	var n int
	if err := b.row(`SELECT contacts FROM devices WHERE id = $1`, int64(d)).Scan(&n); err != nil {
		return false, err
	}
	if n < limits.ContactsPerDevice {
		return true, nil
	}
	if !wrote {
		return false, nil
	}
	excess := n - limits.ContactsPerDevice + max(1, limits.ContactsPerDevice/8)
	return true, b.exec(`DELETE FROM contacts WHERE device = $1 AND contact IN
		(SELECT contact FROM contacts WHERE device = $1 ORDER BY written, used LIMIT $2)`, int64(d), excess)
}

const sqlOldContacts = `SELECT device, contact FROM contacts WHERE used < $1 ORDER BY used LIMIT $2`

// ExpireContacts implements [Store].
func (s *keeper) ExpireContacts(ctx context.Context, before time.Time) (int, error) {
	of := &found{`SELECT device FROM (` + sqlOldContacts + `) AS old`, []any{before.UnixMilli(), expireStep}}
	return s.inSteps(ctx, of, func(b *batch) (int, error) {
		return b.affect(`DELETE FROM contacts WHERE (device, contact) IN (`+sqlOldContacts+`)`, before.UnixMilli(), expireStep)
	})
}
