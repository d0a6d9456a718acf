package hub

import (
	"errors"
	"maps"
	"math"
	"runtime"
	"slices"
	"time"
)

// ErrNotIn is returned for one who asks as [Ask].Seated for a room that it is not in.
var ErrNotIn = errors.New("subscriber is not in the room")

// An Ask is what a subscriber wants of the rooms of an app that is kept.
type Ask struct {
	Rooms []string // to be in, whether it is or not; each once
	// Seated says that it is to be in them already: then it enters none. Who may be in a room
	// by its [Roster] alone asks so.
	Seated bool

	// After is the last position that the subscriber knows: it is to get what came later,
	// of these rooms and to everyone. The zero position stands for now: nothing is missed.
	After Position
	// Last, if not 0, asks in place of that for so many of the newest publications of each
	// room; negative for all there are.
	Last int
	// Since, if set and Last is not, asks for what was published in the rooms from then on.
	Since time.Time

	// Formerly are the ids that the subscriber had since, if it is another one now: it gets
	// nothing that excepts one of them. The caller bounds how many.
	Formerly []string

	// Joined are the numbers that some of the rooms were joined behind: up to there nothing is
	// missed of them, whatever After says; see [Hub.Joined]. They are of the log of the epoch
	// JoinedIn, and say nothing of another one: that began while the rooms were joined.
	Joined   map[string]uint64
	JoinedIn uint64

	// Encoder is the subscriber's from here on, for all its rooms; nil for the one it has.
	Encoder Encoder

	// Fits reports whether the subscriber can take so many bytes in so many frames; nil
	// for one that always can. It is called while nothing of the app is published, so it
	// must neither wait nor call the hub; Answer too.
	Fits func(frames, bytes int) bool
	// Answer, if set, is told what has become of it, behind what was missed and before
	// anything newer.
	Answer func(Recovery)
}

// A Recovery is what has become of an [Ask].
type Recovery struct {
	// Head is the position that the subscriber has everything from.
	Head Position
	// Whole says that it misses nothing. Otherwise it may: what it asks for is too old, of
	// another log, or more than it can take. Then nothing was handed over, but to one who
	// asked for the last of a room.
	Whole  bool
	Missed int // publications that were handed over

	// List is what was asked for, if it was handed over, but that the subscriber gets nothing
	// that excepts it. It is shared: read only, and while the Recovery is looked at.
	List []*Kept
	More bool // of those that Last asks for, there were more
}

// Recover seats a subscriber in rooms, hands it what it has missed, in order, and then
// what is published: nothing twice, and nothing is left out in between. It returns the
// errors of [Hub.Join], and joins nothing then; of Seated, [ErrNotIn], and hands over
// nothing. Its app must be one that is kept, see
// [Hub.Keeps], and all its joins must come by here or by [Hub.JoinKept].
//
// What is handed over is encoded before publications are held up, but for what is
// published just then.
func (h *Hub) Recover(s *Subscriber, t *Trail, ask *Ask) (got Recovery, err error) {
	enc := ask.Encoder
	if enc == nil {
		s.mu.Lock()
		enc = s.encoder
		s.mu.Unlock()
	}
	switch {
	case ask.Seated && !s.isIn(ask.Rooms):
		return got, ErrNotIn
	case !ask.Seated && !s.HasRoomFor(ask.Rooms):
		return got, ErrTooManyRooms
	}
	made, may := h.prepare(s.appName(), s.id, enc, t, ask)
	h.holdFor(t, s.appName(), func(head Position, read Reader) {
		if ask.Encoder != nil {
			h.recode(s, ask.Encoder)
		}
		got, err = h.recover(s, t, ask, enc, head, read, may)
		if err == nil && ask.Answer != nil {
			ask.Answer(got)
		}
	})
	runtime.KeepAlive(made)
	return got, err
}

// Return is [Hub.RegisterKept] and [Hub.Recover] in one step, for one who was there before:
// it gets nothing before what it missed. Where it cannot be given that, or may not be in the
// rooms, it is not registered, and the subscriber is nil. Ask.Encoder is the subscriber's, and
// Ask.Answer is called if it is registered.
func (h *Hub) Return(app, id string, maxRooms int, recv Receiver, t *Trail, ask *Ask) (s *Subscriber) {
	*t = Trail{everyone: math.MaxUint64} // it has had nothing
	if len(ask.Rooms) > maxRooms {
		return nil
	}
	made, may := h.prepare(app, id, ask.Encoder, t, ask)
	if !may {
		return nil
	}
	h.log.Hold(app, func(head Position, read Reader) {
		s = h.Register(app, id, maxRooms, ask.Encoder, recv)
		*t = trailFrom(head)
		got, err := h.recover(s, t, ask, ask.Encoder, head, read, true)
		switch {
		case err != nil || !got.Whole:
			h.Unregister(s)
			s = nil
		case ask.Answer != nil:
			ask.Answer(got)
		}
	})
	runtime.KeepAlive(made)
	return s
}

// JoinKept is [Hub.Join] for a room of an app that is kept.
func (h *Hub) JoinKept(s *Subscriber, t *Trail, name string) (err error) {
	h.holdFor(t, s.appName(), func(head Position, _ Reader) {
		err = h.enter(s, t, name, head)
	})
	return err
}

// RegisterKept is [Hub.Register] in an app that is kept, with a trail that begins there.
func (h *Hub) RegisterKept(app, id string, maxRooms int, enc Encoder, recv Receiver, t *Trail) (s *Subscriber, at Position) {
	h.log.Hold(app, func(head Position, _ Reader) {
		s = h.Register(app, id, maxRooms, enc, recv)
		*t, at = trailFrom(head), head
	})
	return s, at
}

// Joined returns the rooms of a subscriber of an app that is kept, each with the number behind
// which it has had everything, or will: what was published before is not its own. The numbers are of
// the log of an epoch. It may be called while the trail is given to others.
func (h *Hub) Joined(s *Subscriber, t *Trail) (joined map[string]uint64, epoch uint64) {
	h.log.Hold(s.appName(), func(head Position, _ Reader) {
		t.in(head)
		joined, epoch = maps.Clone(t.rooms), t.epoch
	})
	return joined, epoch
}

// prepare makes the frames that are likely to be handed over to a subscriber of that id.
// Whoever keeps them has them found again. may is false if it cannot be given what it asks
// for: it is answered without looking again, so that nobody is held up for it.
func (h *Hub) prepare(app, id string, e Encoder, t *Trail, ask *Ask) (made [][]byte, may bool) {
	if !ask.asks() {
		return nil, true
	}
	var spans []Span
	h.holdFor(t, app, func(head Position, _ Reader) {
		if ask.within(head) {
			t.in(head)
			spans = t.missing(ask, head)
		}
	})
	if len(spans) == 0 {
		return nil, true
	}
	x := h.log.Read(app, spans, ask.wants)
	if x.Unwanted {
		return nil, false
	}
	return fitting(id, x.List, e, nil, ask)
}

// asks reports whether anything is asked for that was before.
func (a *Ask) asks() bool { return !a.After.IsZero() || a.backward() }

// backward reports whether what is asked for is counted from now back, and not from what the
// subscriber knows.
func (a *Ask) backward() bool { return a.Last != 0 || !a.Since.IsZero() }

// within reports whether the position asked for is one of the log, and all that the
// subscriber joined at.
func (a *Ask) within(head Position) bool {
	for _, n := range a.Joined {
		if n > head.Number && a.JoinedIn == head.Epoch {
			return false
		}
	}
	return a.backward() || a.After.Epoch == head.Epoch && a.After.Number <= head.Number
}

// wants reports whether an excerpt is handed over, as far as can be said before anything is
// encoded: a frame is not shorter than its payload. Who asks from now back gets what there is.
// It is a [Wanted].
func (a *Ask) wants(whole bool, n, bytes int) bool {
	return (whole || a.backward()) && a.fits(n, bytes)
}

func (a *Ask) fits(frames, bytes int) bool {
	return frames == 0 || a.Fits == nil || a.Fits(frames, bytes)
}

// enter joins a room, from which on a newcomer has had what comes behind head.
func (h *Hub) enter(s *Subscriber, t *Trail, name string, head Position) error {
	joined, err := h.join(s, name, nil, nil, nil)
	if joined {
		t.begin(name, head)
	}
	return err
}

// recover is [Hub.Recover] while nothing is published, of what the subscriber may have.
func (h *Hub) recover(s *Subscriber, t *Trail, ask *Ask, enc Encoder, head Position, read Reader, may bool) (Recovery, error) {
	got := Recovery{Head: head, Whole: true}
	if err := h.seat(s, t, ask, head); err != nil {
		return got, err
	}
	if !ask.asks() {
		return got, nil
	}
	if got.Whole = may && ask.within(head); !got.Whole {
		return got, nil
	}
	t.in(head)
	spans := t.missing(ask, head)
	x := read(spans, ask.wants)
	got.Whole, got.More = x.Whole, x.More
	frames, fits := fitting(s.id, x.List, enc, t, ask)
	if x.Unwanted || !fits {
		got.Whole = false
		return got, nil
	}
	deliver := s.receiver.Deliver
	if r, ok := s.receiver.(Replayer); ok {
		deliver = r.Replay
	}
	for _, frame := range frames {
		if !deliver(frame) {
			break // its connection is ending
		}
		got.Missed++
	}
	got.List = x.List
	t.had(spans, x.List, ask.backward())
	return got, nil
}

// seat has a subscriber in the rooms that it asks for.
func (h *Hub) seat(s *Subscriber, t *Trail, ask *Ask, head Position) error {
	if ask.Seated {
		if !s.isIn(ask.Rooms) {
			return ErrNotIn // it has left since it asked
		}
		return nil
	}
	for _, room := range ask.Rooms {
		if err := h.enter(s, t, room, head); err != nil {
			return err
		}
	}
	return nil
}

// isIn reports whether the subscriber is in all of some rooms.
func (s *Subscriber) isIn(rooms []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, room := range rooms {
		if s.seatIn(room) == nil {
			return false
		}
	}
	return true
}

// HasRoomFor reports whether the subscriber may be in some more rooms, each named once. What is
// more than it may be in at all is not looked through.
func (s *Subscriber) HasRoomFor(rooms []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := int(s.maxRooms) - len(s.seats)
	for _, room := range rooms {
		if s.seatIn(room) == nil {
			if free--; free < 0 {
				return false
			}
		}
	}
	return true
}

// missing is what the subscriber has not had of what it asks for; of a room that it is not
// in, all up to head. The trail is of its log.
func (t *Trail) missing(ask *Ask, head Position) []Span {
	var spans []Span
	for _, room := range ask.Rooms {
		had, in := t.rooms[room]
		if !in {
			had = head.Number
		}
		after := ask.After.Number
		if ask.JoinedIn == head.Epoch {
			after = max(after, ask.Joined[room])
		}
		if ask.backward() || after < had {
			spans = append(spans, Span{Room: room, After: after, UpTo: had, Last: ask.Last, Since: ask.Since})
		}
	}
	if !ask.backward() && ask.After.Number < t.everyone {
		spans = append(spans, Span{Everyone: true, After: ask.After.Number, UpTo: t.everyone})
	}
	return spans
}

// had notes that the subscriber was handed what there is of these spans.
func (t *Trail) had(spans []Span, list []*Kept, backward bool) {
	if backward { // from where on is known by the oldest
		for i := len(list) - 1; i >= 0; i-- {
			t.rooms[list[i].Room] = list[i].At.Number - 1
		}
		return
	}
	for i := range spans {
		if spans[i].Everyone {
			t.everyone = spans[i].After
		} else {
			t.rooms[spans[i].Room] = spans[i].After
		}
	}
}

// fitting makes the frames of what a subscriber may have, and reports whether it can take
// them. It makes few of those that it cannot. Without a trail it does not know what of a [Union]
// the subscriber has had, and takes it to have had nothing.
func fitting(id string, list []*Kept, e Encoder, t *Trail, ask *Ask) ([][]byte, bool) {
	frames, bytes := make([][]byte, 0, len(list)), 0
	var before *Kept
	for _, k := range list {
		last := before
		before = k
		if k.Narrowed && ask.leavesOut(id, k, last, t) {
			continue
		}
		if k.Except != "" && (k.Except == id || slices.Contains(ask.Formerly, k.Except)) {
			continue
		}
		var frame []byte
		if e != nil {
			if frame = k.frame(e); frame == nil {
				continue
			}
		}
		frames = append(frames, frame)
		bytes += len(frame)
		if len(frames)%64 == 0 && !ask.fits(len(frames), bytes) {
			return nil, false
		}
	}
	return frames, ask.fits(len(frames), bytes)
}

// recode gives a subscriber another encoder, in all its rooms: no publication of its app
// comes meanwhile.
func (h *Hub) recode(s *Subscriber, e Encoder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || s.encoder == e {
		return
	}
	s.encoder = e
	s.all.recode(e)
	for _, st := range s.seats {
		st.recode(e)
	}
}

// recode moves a seat to the group of an encoder.
func (st *seat) recode(e Encoder) {
	r := st.room
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count.Add(1) // which empty takes back
	r.empty(st)
	r.groupFor(e).take(st)
}
