package hub

// A Trail is what a subscriber of an app that is kept has had; see [Hub.RegisterKept]. It
// belongs to the hub between the calls that are given it, which must not overlap for one
// subscriber.
type Trail struct {
	epoch uint64 // of the log that the numbers are of; 0 before it is known
	// All of a room's publications with greater numbers were handed to the subscriber, or
	// will be; so were those of everyone.
	rooms    map[string]uint64
	everyone uint64
	began    uint64 // where the log was as the subscriber came
}

// trailFrom is that of one who has had nothing before a position.
func trailFrom(head Position) Trail {
	return Trail{epoch: head.Epoch, everyone: head.Number, began: head.Number}
}

// holdFor is [Log.Hold] for one with a trail. Who was there when the log came to be behind what this process
// never handed out is about to be closed, see [Misser]. Until then the log ends for it where that begins, so
// that no position that it is told is behind something that it did not get. That it came in another log says
// that it was there: it would be of this one.
func (h *Hub) holdFor(t *Trail, app string, f func(head Position, read Reader)) {
	h.log.Hold(app, func(head Position, read Reader) {
		behind, upTo := h.log.Filled(app)
		if upTo.Epoch == head.Epoch && t.epoch != 0 && (t.epoch != head.Epoch || t.began < upTo.Number) {
			head = behind
		}
		f(head, read)
	})
}

// in has the numbers be those of the log that there is. Who stayed while another log began, since
// all that was known was lost, has had that from its beginning: who may not have is closed.
func (t *Trail) in(head Position) {
	switch t.epoch {
	case head.Epoch:
	case 0: // it was nowhere before
		t.began = head.Number
	default:
		t.everyone, t.began = 0, 0
		for room := range t.rooms {
			t.rooms[room] = 0
		}
	}
	t.epoch = head.Epoch
}
