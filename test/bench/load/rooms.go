package load

import "strconv"

// Rooms says which rooms the clients of a crowd are in and which of them each event
// goes to. The zero Rooms is the one room [Room] that everybody is in.
type Rooms struct {
	// Count is how many rooms events go to, 0 and 1 for one. Client i is in number
	// i modulo Count.
	Count int
	// Each is how many of these rooms each client is in, 0 and 1 for one, at most 16. Count is a multiple
	// of it, and client i is in number i modulo Count/Each and in those that are Count/Each,
	// twice that, and so on further.
	Each int
	// Shared is how many rooms more there are, in one of which each client is too.
	// Nothing is sent to them: they are on the way of what a server does by room.
	Shared int
}

// count returns how many rooms events go to, of which those of one client count as one.
func (r Rooms) count() int { return max(r.Count/max(r.Each, 1), 1) }

// mostEach is how many rooms of one client can be told apart.
const mostEach = 16

// whole reports whether each client is in as many rooms as the others, and not in too many.
func (r Rooms) whole() bool {
	return r.Each <= 1 || r.Each <= mostEach && r.Count > 0 && r.Count%r.Each == 0
}

// single reports whether r is the one room.
func (r Rooms) single() bool { return r.Count <= 1 && r.Shared == 0 }

// name returns the name of a room that events go to.
func (r Rooms) name(room int) string {
	if r.Count <= 1 {
		return Room
	}
	return Room + "-" + strconv.Itoa(room)
}

// of returns the names of all rooms that a client is in.
func (r Rooms) of(client int) []string {
	var names []string
	for k := range max(r.Each, 1) {
		names = append(names, r.name(client%r.count()+k*r.count()))
	}
	if r.Shared > 0 {
		names = append(names, "shared-"+strconv.Itoa(client%r.Shared))
	}
	return names
}

// Each publisher sends to all rooms in turn, each beginning at another one, so
// that the events of one publisher to one room have numbers that are count apart.

// nameFor returns the name of the room that event n of a publisher goes to.
func (r Rooms) nameFor(publisher, publishers, n int) string {
	return r.name((n + r.offset(publisher, publishers)) % max(r.Count, 1))
}

// target returns the room that event n of a publisher goes to, the first of its clients'.
func (r Rooms) target(publisher, publishers, n int) int {
	return (n + r.offset(publisher, publishers)) % r.count()
}

// first returns the first event of a publisher from number next on that goes to a
// room.
func (r Rooms) first(room, publisher, publishers, next int) int {
	count := r.count()
	ahead := (room - r.target(publisher, publishers, next)) % count
	return next + (ahead+count)%count
}

func (r Rooms) offset(publisher, publishers int) int { return publisher * max(r.Count, 1) / publishers }
