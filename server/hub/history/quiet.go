package history

import "hash/maphash"

// quiets is how many rooms with nothing in the log are told apart.
const quiets = 2048

// A quiet knows up to where rooms are cut that have nothing in the log: those whose events are
// all gone, and those that never had any. So a room that was silent for long is not taken for
// one that lost something, for what others lost meanwhile.
//
// It has so many places, into which rooms fall by a hash that nobody can foresee; of several
// in one place the one that was cut last counts for all of them. What it says is never too
// little, then, and its memory is the same for any number of rooms.
type quiet struct {
	seed   maphash.Seed
	places []cut // nil until a room is gone
	all    cut   // of every room
}

// place is where a room falls. There are places.
func (q *quiet) place(room string) *cut { return &q.places[maphash.String(q.seed, room)%quiets] }

// gone notes where a room is cut whose last event is gone: behind all that was cut before.
func (q *quiet) gone(room string, c cut) {
	if q.places == nil {
		q.seed, q.places = maphash.MakeSeed(), make([]cut, quiets)
	}
	*q.place(room) = c
}

// forget has all up to a number be gone, of whatever room.
func (q *quiet) forget(c cut) {
	if c.upTo > q.all.upTo {
		q.all = c
	}
}

// of is up to where a room may be cut that has nothing in the log.
func (q *quiet) of(room string) cut {
	if q.places != nil {
		if c := *q.place(room); c.upTo > q.all.upTo {
			return c
		}
	}
	return q.all
}
