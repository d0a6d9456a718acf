package intake

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"poosh/server/admission"
	"poosh/server/guard"
	"poosh/server/hub"
)

// hand hands out what was read, in order. It ends when the queue is closed and empty.
func (r *Reader) hand() {
	begun := r.begins()
	for {
		m, ok := r.queue.take()
		if !ok {
			return
		}
		if !begun {
			r.drop(reasonEnd)
			continue
		}
		guard.Call(r.cfg.Log, "a message from Redis is handed out", func() { r.one(m) }, "dialect", r.cfg.Name)
	}
}

// begins waits until messages may be handed out. It reports false where that never came.
func (r *Reader) begins() bool {
	if r.cfg.Begin == nil {
		return true
	}
	select {
	case <-r.cfg.Begin:
		return true
	case <-r.queue.closed():
		return false
	}
}

// one handles a message.
func (r *Reader) one(m Message) {
	list, why := r.cfg.Read(m)
	if len(list) == 0 {
		r.drop(why)
		if r.source != nil {
			r.source.Read(digest(&m), nil, nil)
		}
		return
	}
	if r.source != nil {
		r.share(&m, list)
		return
	}
	for _, p := range list {
		if !r.admit() {
			r.drop(reasonEnd)
			return
		}
		r.cfg.Hub.Send(p, func(h hub.Handed) { r.handed(p, h) })
		r.cfg.Gate.Leave()
	}
	r.count.taken.Add(1)
}

// share is for several processes: one of them publishes the message.
func (r *Reader) share(m *Message, list []*hub.Publication) {
	if r.source.Leads() {
		// Clients that do not keep up have the others wait for a moment: nobody is refused.
		ctx, cancel := context.WithTimeout(r.over, admission.Patience)
		if errors.Is(r.pass(ctx), admission.ErrClosed) {
			r.source.Resign()
		}
		cancel()
	}
	var all []*hub.Publication
	for _, p := range list {
		all = append(all, r.cfg.Hub.Spread(p)...)
	}
	r.source.Read(digest(m), all, func(p *hub.Publication, h hub.Handed) {
		if !slices.Contains(list, p) {
			return // beyond a bridge
		}
		if p == list[0] {
			r.count.taken.Add(1)
		}
		r.cfg.Hub.Sent(p)
		r.handed(p, h)
	})
}

func (r *Reader) pass(ctx context.Context) error {
	if r.cfg.Gate == nil {
		return nil
	}
	return r.cfg.Gate.Pass(ctx)
}

// admit waits until the gate lets a publication in, for as long as that takes: nobody is there to be
// told that it does not. It reports false at the end.
func (r *Reader) admit() bool {
	for {
		err := r.cfg.Gate.Enter(r.over)
		if err == nil {
			return true
		}
		if errors.Is(err, admission.ErrClosed) || r.over.Err() != nil {
			return false
		}
	}
}

// digest stands for a message, in every process the same.
func digest(m *Message) uint64 {
	h := sha256.New()
	var size [8]byte
	for _, text := range []string{m.Pattern, m.Channel} {
		binary.BigEndian.PutUint64(size[:], uint64(len(text)))
		h.Write(size[:])
		h.Write([]byte(text))
	}
	h.Write(m.Payload)
	return binary.BigEndian.Uint64(h.Sum(nil))
}

func (r *Reader) handed(p *hub.Publication, h hub.Handed) {
	if r.cfg.Handed != nil {
		r.cfg.Handed(p, h)
	}
}
