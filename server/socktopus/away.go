package socktopus

import (
	"cmp"
	"time"

	"poosh/auth"
	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/loop"
)

// With SOCKTOPUS_KEEP, messages to an id whose connection has ended lately wait for its
// next one, for the life of a token: a client that fetches a new one and joins at once, as
// all do, misses nothing that was sent in between. They are given to whoever joins with a
// good token for the id, before anything that is sent after it joined.
//
// What is kept is never dropped for something newer: where there is no room for a message
// it has failed, and its sender is told.

// awayCost is what an absence takes beside its id and messages.
const awayCost = 300

// An absence is an id without a connection.
type absence struct {
	id     string
	left   string    // names the connection that has ended, among many processes
	until  time.Time // monotonic
	frames [][]byte  // of messages, in their order
	waits  int       // bytes that frames take in an outbox
	before *absence  // that ends earlier
	next   *absence  // that ends later
}

// absences are those of one application, bounded by time and bytes. app.mu guards them.
type absences struct {
	byID  map[string]*absence
	first *absence // that ends first: all last equally long
	last  *absence
	bytes int64
}

// comesBack reports whether a client that ended so may be expected again: not who was sent
// away, asked for the end, or is there with another connection.
func comesBack(why closed.Reason) bool {
	return why != closed.Kicked && why != closed.Asked && why != closed.Replaced && why != closed.Shutdown
}

// leaves begins an absence, unless there is no room for it. most are the bytes that all may
// take.
func (a *absences) leaves(id string, now time.Time, most int64) *absence {
	if away := a.byID[id]; away != nil {
		return away
	}
	away := &absence{id: id, until: now.Add(auth.SocktopusLife)}
	if a.bytes+away.own() > most {
		return nil
	}
	if a.byID == nil {
		a.byID = make(map[string]*absence)
	}
	if a.last == nil {
		a.first = away
	} else {
		a.last.next, away.before = away, a.last
	}
	a.byID[id], a.last = away, away
	a.bytes += away.own()
	return away
}

// own is what an absence takes without messages.
func (away *absence) own() int64 { return awayCost + int64(len(away.id)) }

// returns ends an absence, and returns the frames that waited.
func (a *absences) returns(id string) [][]byte {
	away := a.byID[id]
	if away == nil {
		return nil
	}
	frames := away.frames
	a.forget(away)
	return frames
}

// forget takes an absence out, with what waits.
func (a *absences) forget(away *absence) {
	delete(a.byID, away.id)
	a.bytes -= int64(away.waits) + away.own()
	if away.before == nil {
		a.first = away.next
	} else {
		away.before.next = away.next
	}
	if away.next == nil {
		a.last = away.before
	} else {
		away.next.before = away.before
	}
}

// cut drops what is too old, and returns how many messages were among that.
func (a *absences) cut(now time.Time) (dropped int) {
	for away := a.first; away != nil && !away.until.After(now); away = a.first {
		dropped += len(away.frames)
		a.forget(away)
	}
	return dropped
}

// end drops everything, and returns how many messages were among that.
func (a *absences) end() (dropped int) {
	for away := a.first; away != nil; away = away.next {
		dropped += len(away.frames)
	}
	*a = absences{}
	return dropped
}

// keep keeps a message for an id that nobody has. again says that somebody has it by now.
func (d *Dialect) keep(a *app, m message) (kept, again bool) {
	by, now := d.cfg(), time.Now()
	if !by.Keep {
		return false, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.removed.Load() { // nobody would count it as missed
		return false, false
	}
	d.cut(a, now)
	away := a.away.byID[m.Recipient]
	if c := a.clients[m.Recipient]; c != nil {
		ended, why := c.ending()
		switch {
		case !ended:
			return false, true
		case !comesBack(why): // and is about to leave
			return false, false
		case away == nil:
			away = a.away.leaves(m.Recipient, now, by.KeepBytes)
		}
	}
	if away == nil {
		return false, false
	}
	frame := encoder{}.Encode(&hub.Publication{Data: []byte(m.Content)})
	waits := len(frame) + loop.Cost(nil)
	if away.waits+waits > cmp.Or(by.Outbox, leastOutbox)/2 || a.away.bytes+int64(waits) > by.KeepBytes {
		return false, false
	}
	away.frames = append(away.frames, frame)
	away.waits += waits
	a.away.bytes += int64(waits)
	d.kept.Add(1)
	return true, false
}

// leastOutbox is what an outbox is taken for that has no bound of its own.
const leastOutbox = 256 << 10

// cut drops what is too old, and counts the messages. a.mu is held.
func (d *Dialect) cut(a *app, now time.Time) { d.missed.Add(uint64(a.away.cut(now))) }

// waiting is how many bytes wait for those who are away, of all applications.
func (d *Dialect) waiting() (bytes int64) {
	now := time.Now()
	for _, a := range d.rules.Load().apps {
		a.mu.Lock()
		d.cut(a, now)
		bytes += a.away.bytes
		a.mu.Unlock()
	}
	return bytes
}

// ending reports whether the connection has ended, and why: that of one whose peer is gone
// too, before [client.Closed] is told.
func (c *client) ending() (ended bool, why closed.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return true, c.why
	}
	if err := c.conn.Why(); err != nil {
		return true, closed.ReasonOf(err)
	}
	return false, closed.None
}
