package hub

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// How much is remembered of who left: so many for the rooms of one shard, for so long.
const (
	maxDepartures = 64
	lately        = 5 * time.Minute
	maxDepartedID = 64 // bytes of an id
	maxLeft       = 10 // departures in one explanation
)

// left is why a subscriber is no longer in a room that it has left by itself.
const left = "left the room"

// A Departure is a subscriber's from a room.
type Departure struct {
	ID  string // of the subscriber; a long one is cut
	Why string // as [Describer] says it, or that it left the room by itself; may be empty
	At  time.Time
}

// departures are the last ones of each shard's rooms. Rooms stand there as numbers: a
// name may be long.
type departures [shardCount]struct {
	mu   sync.Mutex // guards what follows
	ring []departed // grows to maxDepartures
	next int        // where the oldest is, once it has
}

type departed struct {
	room     uint64
	everyone bool
	Departure
}

// Remember has the hub remember for a few minutes who left which room, within bounds of
// about a quarter of a megabyte, for [Hub.Explain]. Without it leaving costs what it
// does. It is for once, before the hub is in use.
func (h *Hub) Remember() { h.departed.Store(new(departures)) }

// number stands for the name of a room.
func (h *Hub) number(app, room string) uint64 {
	return maphash.String(h.seed, app)*31 + maphash.String(h.seed, room)
}

// note remembers that a subscriber has left the rooms of some seats, and the app if
// that is over for it.
func (h *Hub) note(s *Subscriber, seats []*seat, app bool) {
	memory := h.departed.Load()
	if memory == nil {
		return
	}
	d := Departure{ID: s.id, At: time.Now()}
	if len(d.ID) > maxDepartedID {
		d.ID = strings.Clone(d.ID[:maxDepartedID])
	}
	if d.Why, _ = ending(s.receiver); d.Why == "" && !app {
		d.Why = left
	}
	name := s.appName()
	if app {
		memory.add(h.number(name, ""), true, d)
	}
	for _, st := range seats {
		memory.add(h.number(name, st.room.name), false, d)
	}
}

func (m *departures) add(room uint64, everyone bool, d Departure) {
	at := &m[room%shardCount]
	at.mu.Lock()
	defer at.mu.Unlock()
	entry := departed{room, everyone, d}
	if len(at.ring) < maxDepartures {
		at.ring = append(at.ring, entry)
		return
	}
	at.ring[at.next] = entry
	at.next = (at.next + 1) % maxDepartures
}

// leftLately lists who left p's room lately, newest first.
func (h *Hub) leftLately(p *Publication) (list []Departure) {
	memory := h.departed.Load()
	if memory == nil {
		return nil
	}
	room := h.number(p.App, p.Room)
	if p.Everyone {
		room = h.number(p.App, "")
	}
	at := &memory[room%shardCount]
	at.mu.Lock()
	defer at.mu.Unlock()
	for i := range at.ring {
		d := &at.ring[(at.next+len(at.ring)-1-i)%len(at.ring)]
		if time.Since(d.At) > lately || len(list) == maxLeft {
			break
		}
		if d.room == room && d.everyone == p.Everyone {
			list = append(list, d.Departure)
		}
	}
	return list
}
