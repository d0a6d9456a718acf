package hub

import (
	"sync"
	"sync/atomic"
)

// A room holds its subscribers' seats in groups, one for each encoder.
type room struct {
	name   string // set once
	always bool   // set once: the room stays when it is empty

	// encoders is a copy of the groups' encoders for publishers, who encode
	// before they lock.
	encoders atomic.Pointer[[]Encoder]

	mu     sync.Mutex // guards what follows; held while a publication is handed out
	groups []*group
	count  int
	over   bool // the last one left: nobody may be seated here any more
}

// A group is the seats of a room that share an encoder.
type group struct {
	encoder Encoder
	seats   []taken
}

// taken is a seat with its subscriber's receiver beside it: a publication that goes
// to thousands finds them in a row.
type taken struct {
	receiver Receiver
	seat     *seat
}

func newRoom(name string) *room {
	r := &room{name: name}
	r.encoders.Store(new([]Encoder))
	return r
}

// newEveryone returns the room that each subscriber of an app is in.
func newEveryone() *room {
	r := newRoom("")
	r.always = true
	return r
}

func (r *room) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// add seats a subscriber and delivers welcome to it. It reports false for a room
// that is over.
func (r *room) add(st *seat, welcome [][]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	g := r.groupFor(st.sub.encoder)
	if g == nil {
		g = &group{encoder: st.sub.encoder}
		r.groups = append(r.groups, g)
		r.copyEncoders()
	}
	st.group, st.index = g, len(g.seats)
	g.seats = append(g.seats, taken{st.sub.receiver, st})
	r.count++
	for _, frame := range welcome {
		if !st.sub.receiver.Deliver(frame) {
			break // its connection is ending
		}
	}
	return true
}

// remove empties a seat. It reports whether that was the last one, which ends
// the room.
func (r *room) remove(st *seat) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := st.group
	if g == nil {
		return false
	}
	last := len(g.seats) - 1
	moved := g.seats[last]
	g.seats[st.index], moved.seat.index = moved, st.index
	g.seats[last] = taken{}
	g.seats = g.seats[:last]
	st.group = nil
	r.count--
	switch {
	case last == 0:
		for i, other := range r.groups {
			if other == g {
				r.groups = append(r.groups[:i], r.groups[i+1:]...)
				break
			}
		}
		r.copyEncoders()
	case cap(g.seats) > 64 && last < cap(g.seats)/4:
		// A crowd has gone: give its seats back.
		g.seats = append(make([]taken, 0, 2*last), g.seats...)
	}
	r.over = r.count == 0 && !r.always
	return r.over
}

func (r *room) groupFor(e Encoder) *group {
	for _, g := range r.groups {
		if g.encoder == e {
			return g
		}
	}
	return nil
}

// copyEncoders renews the publishers' copy. room.mu is held.
func (r *room) copyEncoders() {
	list := make([]Encoder, len(r.groups))
	for i, g := range r.groups {
		list[i] = g.encoder
	}
	r.encoders.Store(&list)
}

// maxKinds is how many kinds of encoder one publication keeps on the stack.
const maxKinds = 4

// deliver encodes p once for each kind of subscriber and hands it to all. The
// encoding is done before the room is locked; only a kind that arrived in
// between is encoded under the lock.
func (r *room) deliver(p *Publication) (took, refused int) {
	var kinds [maxKinds]Encoder
	var frames [maxKinds][]byte
	n := 0
	for _, e := range *r.encoders.Load() {
		if n == maxKinds {
			break
		}
		kinds[n], frames[n] = e, e.Encode(p)
		n++
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.groups {
		var frame []byte
		i := 0
		for i < n && kinds[i] != g.encoder {
			i++
		}
		if i < n {
			frame = frames[i]
		} else {
			frame = g.encoder.Encode(p)
		}
		if frame == nil {
			continue
		}
		for _, t := range g.seats {
			if p.Except != "" && t.seat.sub.id == p.Except {
				continue
			}
			if t.receiver.Deliver(frame) {
				took++
			} else {
				refused++
			}
		}
	}
	return took, refused
}
