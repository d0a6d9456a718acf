package intake

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"poosh/server/admission"
	"poosh/server/guard"
	"poosh/server/hub"
)

// hand hands out what was read, in order. It ends when the queue is closed and empty.
func (r *Reader) hand() {
	for {
		m, ok := r.queue.take()
		if !ok {
			return
		}
		guard.Call(r.cfg.Log, "a message from Redis is handed out", func() { r.one(m) }, "dialect", r.cfg.Name)
	}
}

// one handles a message.
func (r *Reader) one(m Message) {
	list, why := r.cfg.Read(m)
	if len(list) == 0 {
		r.drop(why)
		return
	}
	if r.source != nil {
		r.source.Read(digest(&m), list, r.handed)
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
