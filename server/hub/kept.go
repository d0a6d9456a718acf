package hub

import (
	"slices"
	"sync/atomic"
	"unsafe"
	"weak"

	"poosh/server/latency"
)

// A Numbered encoder's frames say where their publication stands in the log. Encode makes
// them before that is known, with room for it, and Place fills that in: without allocating
// or moving anything, since no other publication of the app is delivered meanwhile.
type Numbered interface {
	Encoder
	Place(frame []byte, at Position)
}

// Keeps reports whether publications of an app are kept for those who come back.
func (h *Hub) Keeps(app string) bool { return h.log != nil && h.log.Keeps(app) }

// Forget drops what is kept of an app for which [Hub.Keeps] is true, and all of whose publications
// are [Publication].Passing from here on: no position in its log is good any more, in the next
// process that goes on with the log neither. It may be called from any goroutine.
func (h *Hub) Forget(app string) { h.log.Forget(app) }

// keep has the log enter p, and delivers it in the same step: at a position, or where the log
// puts it. What takes time is done before.
func (h *Hub) keep(s *shard, p *Publication, at Position, mark *latency.Mark) (took int) {
	if p.Narrowed {
		return h.keepUnion(s, p, at, mark)
	}
	var f frames
	if r := s.find(p.App, p.Room, p.Everyone); r != nil {
		f.encode(r, p)
	}
	h.enterLog(p, at, func(at Position) {
		// Who has entered meanwhile was not told of p by the log.
		r := s.find(p.App, p.Room, p.Everyone)
		if r == nil {
			return
		}
		var refused int
		f.place(at)
		took, refused = r.hand(&f, p, mark)
		s.count(took, refused)
	})
	return took
}

// enterLog has the log enter p at a position, or at the next one if that is none.
func (h *Hub) enterLog(p *Publication, at Position, deliver func(Position)) {
	if at.IsZero() {
		h.log.Append(p, deliver)
	} else {
		h.log.AppendAt(p, at, deliver)
	}
}

// place writes into the frames where their publication stands in the log, and into those
// that are made from now on.
func (f *frames) place(at Position) {
	f.at = at
	for i := range f.n {
		f.numbered(f.of[i].encoder, f.frame[i])
	}
}

// numbered is a frame with the position of its publication in it, if there is one and the
// encoder writes such.
func (f *frames) numbered(e Encoder, frame []byte) []byte {
	if n, ok := e.(Numbered); ok && frame != nil && !f.at.IsZero() {
		n.Place(frame, f.at)
	}
	return frame
}

// A frameCache finds the frames that are made of a kept publication as long as somebody
// has them, so that a thousand who come back at once share them, and nobody keeps them
// when the last one is written.
type frameCache struct {
	made atomic.Pointer[[]madeFrame] // never changed
}

// maxCached is how many kinds are remembered.
const maxCached = 4

// A madeFrame is a frame by its first byte.
type madeFrame struct {
	encoder Encoder
	first   weak.Pointer[byte]
	size    int
}

// frame is what an encoder makes of a kept publication; nil for nothing.
func (k *Kept) frame(e Encoder) []byte {
	var before []madeFrame
	if list := k.frames.made.Load(); list != nil {
		before = *list
	}
	for i := range before {
		if m := &before[i]; m.encoder == e {
			if first := m.first.Value(); first != nil {
				return unsafe.Slice(first, m.size)
			}
		}
	}
	f := frames{at: k.At}
	frame := f.numbered(e, e.Encode(&k.Publication))
	if len(frame) == 0 {
		return nil
	}
	// Of two who make one at the same time, one is not remembered.
	list := []madeFrame{{e, weak.Make(&frame[0]), len(frame)}}
	for _, m := range before {
		if m.encoder != e && m.first.Value() != nil && len(list) < maxCached {
			list = append(list, m)
		}
	}
	list = slices.Clip(list)
	k.frames.made.Store(&list)
	return frame
}
