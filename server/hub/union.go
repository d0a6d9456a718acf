package hub

import (
	"encoding/binary"
	"slices"

	"poosh/server/latency"
)

// A Union is whom a publication is for that is neither for one room nor for all of an app: the
// subscribers of any of some rooms, each once, but for those of others.
type Union struct {
	Rooms []string // none for all subscribers of the app
	// Except are rooms none of whose subscribers get it. The id of one that is in the room of
	// its own id, as all of Socket.IO are, is such a room.
	Except []string
}

// Narrow has p be for a union in place of one room.
func (p *Publication) Narrow(u Union) {
	var b []byte
	for _, names := range [][]string{u.Rooms, u.Except} {
		b = binary.AppendUvarint(b, uint64(len(names)))
		for _, name := range names {
			b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
		}
	}
	p.Everyone, p.Narrowed, p.Room, p.Except = true, true, "", string(b)
}

// Union is whom a publication that is Narrowed is for; ok is false for others, and for one of which
// that cannot be read, which is for nobody. What it returns is made anew by each call.
func (p *Publication) Union() (u Union, ok bool) {
	if !p.Narrowed {
		return u, false
	}
	rest := p.Except
	for _, names := range []*[]string{&u.Rooms, &u.Except} {
		n, size := uvarint(rest)
		if rest = rest[size:]; size == 0 || n > uint64(len(rest)) {
			return Union{}, false
		}
		for range n {
			n, size := uvarint(rest)
			if rest = rest[size:]; size == 0 || n > uint64(len(rest)) {
				return Union{}, false
			}
			*names = append(*names, rest[:n])
			rest = rest[n:]
		}
	}
	return u, rest == ""
}

// uvarint is [binary.Uvarint] of a text; size is 0 for what is none.
func uvarint(text string) (n uint64, size int) {
	n, size = binary.Uvarint([]byte(text[:min(len(text), binary.MaxVarintLen64)]))
	return n, max(size, 0)
}

// excepts reports whether it is not for subscribers of a room.
func (u *Union) excepts(room string) bool { return slices.Contains(u.Except, room) }

// A crowd hands out one publication with a [Union], or accounts for it. Rooms are locked one
// after the other and never two at once: who goes from one to another meanwhile may be found in
// both, and is handed it once, or in neither.
type crowd struct {
	p     *Publication
	to    Union
	rooms []*room                  // that it is for, as far as somebody is there
	no    []*room                  // that it is not for
	made  []madeFor                // before a room is locked
	done  map[*Subscriber]struct{} // who is not to be handed it, any more; nil while nobody
	at    Position                 // see frames.at

	nobody bool // it is for nobody at all
}

// A madeFor is a frame by its encoder. There are a few kinds of those.
type madeFor struct {
	encoder Encoder
	frame   []byte
}

// crowd finds the rooms of p, and makes its frames.
func (h *Hub) crowd(p *Publication) *crowd {
	c := &crowd{p: p}
	var ok bool
	if c.to, ok = p.Union(); !ok {
		return &crowd{p: p, nobody: true}
	}
	c.find(h)
	for _, r := range c.rooms {
		for g := r.first.Load(); g != nil; g = g.next.Load() {
			c.frame(g.encoder)
		}
	}
	return c
}

// find looks for the rooms.
func (c *crowd) find(h *Hub) {
	if c.nobody {
		return
	}
	named := func(list []*room, names []string) []*room {
		for _, name := range names {
			if r := h.shard(c.p.App, name).find(c.p.App, name, false); r != nil {
				list = append(list, r)
			}
		}
		return list
	}
	c.rooms, c.no = named(c.rooms[:0], c.to.Rooms), named(c.no[:0], c.to.Except)
	if len(c.to.Rooms) > 0 {
		return
	}
	if r := h.shardOfEveryone(c.p.App).find(c.p.App, "", true); r != nil {
		c.rooms = append(c.rooms, r)
	}
}

// frame is what an encoder makes of the publication, once.
func (c *crowd) frame(e Encoder) []byte {
	if e == nil {
		return nil
	}
	for i := range c.made {
		if c.made[i].encoder == e {
			return c.made[i].frame
		}
	}
	f := frames{at: c.at}
	frame := f.numbered(e, e.Encode(c.p))
	c.made = append(c.made, madeFor{e, frame})
	return frame
}

// place writes into the frames where the publication stands in the log.
func (c *crowd) place(at Position) {
	c.at = at
	f := frames{at: at}
	for i := range c.made {
		f.numbered(c.made[i].encoder, c.made[i].frame)
	}
}

// each calls f for everybody in the rooms, once: with the frame for it, or with why it gets none.
// A room is locked meanwhile: what is said of [Receiver].Deliver holds for f.
func (c *crowd) each(f func(t *taken, frame []byte, why Cause)) {
	several := len(c.rooms) > 1
	excluded := make(map[*Subscriber]struct{})
	for _, r := range c.no {
		r.seated(func(_ *group, t *taken) { excluded[t.seat.sub] = struct{}{} })
	}
	if several {
		c.done = make(map[*Subscriber]struct{})
	}
	for _, r := range c.rooms {
		r.seated(func(g *group, t *taken) {
			if several {
				if _, was := c.done[t.seat.sub]; was {
					return
				}
				c.done[t.seat.sub] = struct{}{}
			}
			if _, no := excluded[t.seat.sub]; no {
				f(t, nil, Excluded)
				return
			}
			frame := c.frame(g.encoder)
			if frame == nil && g.encoder != nil {
				f(t, nil, RefusedName)
				return
			}
			f(t, frame, "")
		})
	}
}

// seated calls f for each seat of a room, with the room locked.
func (r *room) seated(f func(*group, *taken)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := r.first.Load(); g != nil; g = g.next.Load() {
		for i := range g.seats {
			f(g, &g.seats[i])
		}
	}
}

// hand hands the publication out, with a mark unless that is nil.
func (c *crowd) hand(mark *latency.Mark) (took, refused int) {
	c.each(func(t *taken, frame []byte, why Cause) {
		switch {
		case why != "":
		case mark == nil && t.receiver.Deliver(frame), mark != nil && t.deliver(frame, mark):
			took++
		default:
			refused++
		}
	})
	return took, refused
}

// explain is hand with an account of it.
func (c *crowd) explain() (list tallies, took, refused int) {
	c.each(func(t *taken, frame []byte, why Cause) {
		switch {
		case why != "":
			list.leaveOut(t.receiver, why)
		case t.receiver.Deliver(frame):
			took++
			list.handed(t.receiver)
		default:
			refused++
			list.leaveOut(t.receiver, whyNot(t.receiver))
		}
	})
	return list, took, refused
}

// handUnion is [Hub.handOut] of a publication with a [Union].
func (h *Hub) handUnion(s *shard, p *Publication, mark *latency.Mark) int {
	took, refused := h.crowd(p).hand(mark)
	s.count(took, refused)
	return took
}

// keepUnion is [Hub.keep] of one.
func (h *Hub) keepUnion(s *shard, p *Publication, at Position, mark *latency.Mark) (took int) {
	c := h.crowd(p)
	h.enterLog(p, at, func(at Position) {
		c.find(h) // who has entered meanwhile was not told of p by the log
		c.place(at)
		var refused int
		took, refused = c.hand(mark)
		s.count(took, refused)
	})
	return took
}

// leavesOut reports whether who asks is not handed a publication with a [Union]: since it is not
// for one who is, or was, in these rooms, or since it came by another of its rooms: such a one
// is in the log once for each. before is the one before it in the list; nil for none.
func (ask *Ask) leavesOut(id string, k, before *Kept, t *Trail) bool {
	if before != nil && before.At == k.At {
		return true
	}
	u, ok := k.Union()
	if !ok || u.excepts(id) ||
		slices.ContainsFunc(ask.Formerly, u.excepts) || slices.ContainsFunc(ask.Rooms, u.excepts) {
		return true
	}
	if t == nil {
		return false
	}
	for _, room := range u.Except {
		if _, in := t.rooms[room]; in {
			return true
		}
	}
	for _, room := range u.Rooms {
		if had, in := t.rooms[room]; in && k.At.Number > had {
			return true
		}
	}
	return false
}
