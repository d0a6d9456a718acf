package hub

import "poosh/server/latency"

// A Marker is a [Receiver] that can say when what it took has been written to its socket.
// What is said of Deliver holds for its methods.
type Marker interface {
	// DeliverMarked is Deliver, and a receiver that takes the frame carries the mark behind
	// it, by [latency.Mark.Carry], and passes it when that has been written, or when the
	// connection is gone.
	DeliverMarked(frame []byte, mark *latency.Mark) bool
}

// deliver is Deliver with a mark, for those who can carry one.
func (t *taken) deliver(frame []byte, mark *latency.Mark) bool {
	if m, ok := t.receiver.(Marker); ok {
		return m.DeliverMarked(frame, mark)
	}
	return t.receiver.Deliver(frame)
}

// hand is push with a mark, unless that is nil.
func (r *room) hand(f *frames, p *Publication, mark *latency.Mark) (took, refused int) {
	if mark == nil {
		return r.push(f, p)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := r.first.Load(); g != nil; g = g.next.Load() {
		frame := f.get(g, p)
		if frame == nil && g.encoder != nil {
			continue
		}
		for i := range g.seats {
			switch t := &g.seats[i]; {
			case p.Except != "" && t.seat.sub.id == p.Except:
			case t.deliver(frame, mark):
				took++
			default:
				refused++
			}
		}
	}
	return took, refused
}
