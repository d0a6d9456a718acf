package hub

import (
	"math"
	"runtime"
)

// Begin is [Hub.RegisterKept] and [Hub.Recover] in one step, for one that says at once where
// it wants to be and what it has missed: it gets nothing newer before that. It is registered
// whether it can be given that or not, which Ask.Answer is told; Ask.Encoder is the
// subscriber's.
//
// own is a room that is as new as the subscriber, such as that of its id. It is in that too,
// but has missed nothing there: of a room with nothing in it the log cannot say whether there
// ever was. It must not be among Ask.Rooms, and maxRooms not less than there are with it.
func (h *Hub) Begin(app, id, own string, maxRooms int, recv Receiver, t *Trail, ask *Ask) (s *Subscriber) {
	*t = Trail{everyone: math.MaxUint64} // it has had nothing
	made, may := h.prepare(app, id, ask.Encoder, t, ask)
	h.log.Hold(app, func(head Position, read Reader) {
		s = h.Register(app, id, maxRooms, ask.Encoder, recv)
		*t = trailFrom(head)
		var got Recovery
		err := h.enter(s, t, own, head)
		if err == nil {
			got, err = h.recover(s, t, ask, ask.Encoder, head, read, may)
		}
		if err != nil {
			panic("hub: who begins may be in its rooms: " + err.Error())
		}
		if ask.Answer != nil {
			ask.Answer(got)
		}
	})
	runtime.KeepAlive(made)
	return s
}
