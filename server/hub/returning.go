package hub

import "runtime"

// JoinKept is [Roster.Join] in an app that is kept, for a connection that may ask for what it
// missed of the room: in one step it is seated, welcomed and handed that, and then it gets
// what is published. Of ask, Rooms and Seated need not be set. welcome makes what the newcomer is told
// first, and head is the position from which it gets everything; what is said of [Ask].Answer
// holds for it.
func (r *Roster) JoinKept(s *Subscriber, t *Trail, who Member, ask *Ask, welcome func(head Position) [][]byte) (first bool, got Recovery, err error) {
	h := r.hub
	ask.Rooms, ask.Seated = []string{r.room.name}, true
	if !s.HasRoomFor(ask.Rooms) { // so that nothing is encoded for one who cannot be in it
		return false, got, ErrTooManyRooms
	}
	s.mu.Lock()
	enc := s.encoder
	s.mu.Unlock()
	made, may := h.prepare(r.app, s.id, enc, t, ask)
	h.holdFor(t, r.app, func(head Position, read Reader) {
		if first, err = r.Join(s, who, welcome(head)...); err != nil {
			return
		}
		t.begin(r.room.name, head)
		got, err = h.recover(s, t, ask, enc, head, read, may)
		if err == nil && ask.Answer != nil {
			ask.Answer(got)
		}
	})
	runtime.KeepAlive(made)
	return first, got, err
}

// begin notes that the subscriber is in a room, and has had what comes behind head.
func (t *Trail) begin(room string, head Position) {
	t.in(head)
	if t.rooms == nil {
		t.rooms = make(map[string]uint64)
	}
	t.rooms[room] = head.Number
}

// Forget forgets a room that the subscriber has left.
func (t *Trail) Forget(room string) { delete(t.rooms, room) }

// Hold calls f with what there is in the log of an app that is kept, of one moment: head is the
// position of its last publication. It may be called from any goroutine. Publications of the app
// wait meanwhile, so f takes no more than it needs, does nothing else, and calls the hub for
// nothing.
func (h *Hub) Hold(app string, f func(head Position, read Reader)) { h.log.Hold(app, f) }
