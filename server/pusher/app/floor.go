package app

import (
	"time"

	"poosh/server/hub"
)

// In a cluster a process is given the events of those channels that somebody is in here, and for a
// while of those that everybody has left. Of a channel it keeps all of them from one position on,
// which is the channel's floor; who was somewhere before that is not told that it has missed
// nothing.

// A floor is from where on this process has all of a channel's events.
type floor struct {
	at   hub.Position
	left time.Time // when the last connection here left; zero while there are some
}

// floorKept is how long events of a channel surely come that everybody here has left. What joins
// the processes goes on with it for longer.
const floorKept = 20 * time.Second

// maxFloors is how many channels that everybody has left are known before those are forgotten
// that have been left for too long.
const maxFloors = 1000

// seated notes that somebody sits down in a channel of an app that is kept; first says that
// nobody here was in it.
func (x *across) seated(channel string, at hub.Position, first bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f, known := x.floors[channel]
	if first && !(known && f.at.Epoch == at.Epoch && time.Since(f.left) < floorKept) || !known {
		f.at = at
	}
	f.left = time.Time{}
	if x.floors == nil {
		x.floors = make(map[string]floor)
	}
	x.floors[channel] = f
}

// left notes that a connection has left a channel.
func (x *across) left(channel string) {
	connections, _ := x.app.Count(channel)
	x.mu.Lock()
	defer x.mu.Unlock()
	f, known := x.floors[channel]
	if connections > 0 || !known {
		return
	}
	f.left = time.Now()
	x.floors[channel] = f
	if x.leftFloors++; x.leftFloors > maxFloors {
		x.leftFloors = 0
		for name, f := range x.floors {
			if !f.left.IsZero() && time.Since(f.left) >= floorKept {
				delete(x.floors, name)
			}
		}
	}
}

// below reports whether a position in the log is before what this process has of a channel.
func (x *across) below(channel string, at hub.Position) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	f, known := x.floors[channel]
	return !known || at.Epoch != f.at.Epoch || at.Number < f.at.Number
}

// hasAll reports whether what a client is given of the newest events of a channel is all that any
// process has of them.
func (x *across) hasAll(channel string, q *question, got hub.Recovery) bool {
	return q.Last > 0 && len(got.List) == q.Last && !x.below(channel, got.List[0].At)
}
