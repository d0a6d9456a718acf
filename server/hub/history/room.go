package history

import (
	"slices"

	"poosh/server/hub"
)

// A room is what the log has of one room of the hub, or of what reached everyone.
type room struct {
	name   string
	cut    uint64   // those up to it may be gone; of what reached everyone, the last that is
	gone   int      // how many at the beginning of events are nil
	events []*entry // in order
}

func (r *room) cost() int64 { return int64(roomCost + len(r.name)) }

func (r *room) len() int { return len(r.events) - r.gone }

// shift takes the oldest away.
func (r *room) shift() {
	r.cut = r.events[r.gone].At.Number
	r.events[r.gone] = nil
	r.gone++
	if r.gone > 16 && r.gone > len(r.events)/2 {
		r.events = append(make([]*entry, 0, 2*r.len()), r.events[r.gone:]...)
		r.gone = 0
	}
}

// read returns what there is of some rooms, in order. mu is held.
func (a *app) read(ask []hub.Span) hub.Excerpt {
	x := hub.Excerpt{Whole: true}
	for i := range ask {
		list, whole := a.span(&ask[i])
		for _, e := range list {
			x.List = append(x.List, &e.Kept)
		}
		x.Whole = x.Whole && whole
	}
	if len(ask) > 1 {
		slices.SortFunc(x.List, func(a, b *hub.Kept) int {
			if a.At.Number < b.At.Number {
				return -1
			}
			return 1 // no number is there twice
		})
	}
	return x
}

// span finds the entries of a span, and reports whether these are all there ever were. mu
// is held.
func (a *app) span(s *hub.Span) (list []*entry, whole bool) {
	r, cut := &a.everyone, a.everyone.cut
	if !s.Everyone {
		if r = a.rooms[s.Room]; r == nil {
			r, cut = new(room), a.floor
		} else {
			cut = r.cut
		}
	}
	list = r.events[r.gone:]
	end, _ := slices.BinarySearchFunc(list, s.UpTo, func(e *entry, n uint64) int {
		if e.At.Number <= n {
			return -1
		}
		return 1
	})
	list = list[:end]
	if s.Last != 0 {
		if s.Last > 0 && len(list) >= s.Last {
			return list[len(list)-s.Last:], true
		}
		return list, cut == 0
	}
	begin, _ := slices.BinarySearchFunc(list, s.After, func(e *entry, n uint64) int {
		if e.At.Number <= n {
			return -1
		}
		return 1
	})
	return list[begin:], s.After >= cut
}
