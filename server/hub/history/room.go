package history

import (
	"cmp"
	"slices"
	"time"

	"poosh/server/hub"
)

// A room is what the log has of one room of the hub, or of what reached everyone.
type room struct {
	name    string
	cut     uint64    // those up to it may be gone; of what reached everyone, the last that is
	dropped time.Time // when the last that may be gone entered; the zero Time if that is not known
	gone    int       // how many at the beginning of events are nil
	events  []*entry  // in order

	through int64 // bytes of payload of all there ever were
}

func newRoom(name string, c cut) *room { return &room{name: name, cut: c.upTo, dropped: c.dropped} }

func (r *room) cost() int64 { return int64(roomCost + len(r.name)) }

func (r *room) len() int { return len(r.events) - r.gone }

// shift takes the oldest away.
func (r *room) shift() {
	r.cut, r.dropped = r.events[r.gone].At.Number, r.events[r.gone].Entered
	r.events[r.gone] = nil
	r.gone++
	if r.gone > 16 && r.gone > len(r.events)/2 {
		r.events = append(make([]*entry, 0, 2*r.len()), r.events[r.gone:]...)
		r.gone = 0
	}
}

// read returns what there is of some rooms, one after the other. What that is, and whether it
// is wanted, is known before any of it is copied. mu is held.
func (a *app) read(ask []hub.Span, wanted hub.Wanted) hub.Excerpt {
	lists := make([][]*entry, len(ask))
	n, bytes, whole, more := 0, int64(0), true, false
	for i := range ask {
		list, all, left := a.span(&ask[i])
		lists[i] = list
		more = more || left
		n, bytes = n+len(list), bytes+payload(list)
		whole = whole && all
	}
	if !wanted(whole, n, int(bytes)) {
		// Whoever is in several of its rooms takes a publication for these once.
		copies, twice := again(lists)
		if !whole || copies == 0 || !wanted(whole, n-copies, int(bytes-twice)) {
			return hub.Excerpt{Whole: whole, More: more, Unwanted: true}
		}
	}
	x := hub.Excerpt{List: make([]*hub.Kept, 0, n), Whole: whole, More: more}
	for _, list := range lists {
		for _, e := range list {
			x.List = append(x.List, &e.Kept)
		}
	}
	return x
}

// payload returns the bytes of some entries that follow each other in a room.
func payload(list []*entry) int64 {
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1].through - list[0].through + int64(len(list[0].Data))
}

// again counts the entries of which there is another one in the lists, for another room of the same
// publication, and the bytes of their payload.
func again(lists [][]*entry) (copies int, bytes int64) {
	seen := make(map[uint64]bool)
	for _, list := range lists {
		for _, e := range list {
			if !e.Narrowed {
				continue
			}
			if seen[e.At.Number] {
				copies++
				bytes += int64(len(e.Data))
			}
			seen[e.At.Number] = true
		}
	}
	return copies, bytes
}

// inOrder sorts by the numbers. What is for several rooms is there for each that was asked for.
func inOrder(list []*hub.Kept) {
	slices.SortFunc(list, func(a, b *hub.Kept) int { return cmp.Compare(a.At.Number, b.At.Number) })
}

// span finds the entries of a span, and reports whether these are all there ever were, and
// whether there are more than it asks for. mu is held.
func (a *app) span(s *hub.Span) (list []*entry, whole, more bool) {
	r := a.ofSpan(s)
	list = r.events[r.gone:]
	list = list[:behind(list, s.UpTo)]
	switch {
	case s.Last > 0 && len(list) >= s.Last:
		return list[len(list)-s.Last:], true, len(list) > s.Last
	case s.Last != 0:
		return list, r.cut == 0, false
	case s.Since.IsZero():
		list, whole = list[behind(list, s.After):], s.After >= r.cut && !a.inGap(s.After)
	default:
		begin, _ := slices.BinarySearchFunc(list, s.Since, func(e *entry, at time.Time) int { return e.Entered.Compare(at) })
		whole = begin > 0 || r.cut == 0 || !r.dropped.IsZero() && r.dropped.Before(s.Since)
		list = list[begin:]
	}
	if s.First > 0 && len(list) > s.First {
		list, more = list[:s.First], true
	}
	return list, whole, more
}

// ofSpan is the room of a span; of one with nothing in the log, what would be known of it.
func (a *app) ofSpan(s *hub.Span) *room {
	if s.Everyone {
		return &a.everyone
	}
	if r := a.rooms[s.Room]; r != nil {
		return r
	}
	return newRoom(s.Room, a.quiet.of(s.Room))
}

// behind is where in a list the first entry behind a number is.
func behind(list []*entry, n uint64) int {
	at, _ := slices.BinarySearchFunc(list, n, func(e *entry, n uint64) int {
		if e.At.Number <= n {
			return -1
		}
		return 1
	})
	return at
}
