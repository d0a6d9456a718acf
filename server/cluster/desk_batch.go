package cluster

import (
	"strconv"
	"time"
)

// next makes the next batch; nil for nothing to be told. mu is held.
func (d *desk) next() *slip {
	b := &slip{seat: d.seat.name, number: d.last + 1}
	with := make(map[place]*booked) // more than in the book, by the batch
	bytes, lists := int64(0), 0
	for len(b.steps) < slipSteps && bytes < slipBytes && lists < slipLists {
		s := d.nextStep(len(b.steps) == 0)
		if s == nil {
			break
		}
		d.prepare(s, with)
		if s.members {
			lists++
		}
		bytes += s.size()
		b.steps = append(b.steps, s)
	}
	if len(b.steps) == 0 {
		return nil
	}
	d.last = b.number
	return b
}

// nextStep takes the next step: first all that is to be told anew. mu is held.
func (d *desk) nextStep(first bool) *step {
	if s := d.nextAgain(); s != nil {
		return s
	}
	if d.seat.replaces != "" && !first {
		return nil // what comes is not in the place of anything
	}
	d.seat.replaces, d.seat.silent = "", false
	if len(d.queue) > 0 {
		s := d.queue[0]
		if s.sub != nil && !d.p.subs.confirmed(s.sub.channel) {
			return nil
		}
		d.queue[0], d.queue = nil, d.queue[1:]
		return s
	}
	now := time.Now()
	if !d.lookAt.IsZero() && now.After(d.lookAt) {
		d.lookAt, d.look = time.Time{}, d.look[:0]
		for at, b := range d.book {
			if b.people > 0 {
				d.look = append(d.look, at)
			}
		}
	}
	if n := len(d.look); n > 0 {
		at := d.look[n-1]
		d.look = d.look[:n-1]
		s := &step{kind: stepLook, members: true}
		s.entry.App, s.entry.Room = at.app, at.room
		return s
	}
	if now.After(d.renew) {
		d.renew = now.Add(renewEvery)
		d.tellAll()
		return d.nextAgain()
	}
	return nil
}

// nextAgain takes the next step of what is told anew. mu is held.
func (d *desk) nextAgain() *step {
	for len(d.steps) == 0 && len(d.again) > 0 {
		at := d.again[len(d.again)-1]
		d.again = d.again[:len(d.again)-1]
		b := d.book[at]
		if b == nil {
			continue
		}
		s := &step{kind: stepCount}
		s.entry.App, s.entry.Room, s.entry.Told = at.app, at.room, b.told
		d.steps = append(d.steps, s)
		for _, e := range b.users {
			// Who was given up, and is seen to come back, was seen to go by its own connection too.
			e.Socket = ""
			d.steps = append(d.steps, &step{kind: stepUser, entry: e})
		}
	}
	if len(d.steps) == 0 {
		return nil
	}
	s := d.steps[0]
	d.steps = d.steps[1:]
	return s
}

// prepare says what the engine is told by a step, behind those of the batch before it. mu is held.
func (d *desk) prepare(s *step, with map[place]*booked) {
	at := s.place()
	w := with[at]
	if w == nil {
		w = new(booked)
		if b := d.book[at]; b != nil {
			w.people, w.counted = b.people, b.counted
		}
		with[at] = w
	}
	by := 0
	switch s.kind {
	case stepEnter:
		s.members = s.entry.User != "" && w.people == 0 && d.p.c.opt.Mirror != nil
		by = 1
	case stepLeave:
		by = -1
	}
	if s.entry.User != "" {
		w.people += by
	}
	if s.entry.Counted {
		w.counted += by
	}
	s.connections = max(w.counted, 0)
}

// args are what the script wants to know of a step.
func (s *step) args(list []string, silent bool) []string {
	e := &s.entry
	flags := make([]byte, 0, 8)
	flag := func(set bool, letter byte) {
		if set {
			flags = append(flags, letter)
		}
	}
	flag(e.Counted, 'c')
	flag(e.User != "" && e.Only, 'u')
	flag(e.Told, 't')
	flag(silent, 's')
	flag(e.Cache, 'k')
	flag(s.members, 'm')
	return append(list, string(s.kind), string(flags), e.App, e.Room, e.User, string(e.Info), e.Socket,
		strconv.Itoa(s.connections), strconv.Itoa(e.MaxMembers), strconv.Itoa(e.MaxConnections), strconv.FormatInt(e.Hold.Milliseconds(), 10))
}
