package cluster

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// next makes the next batch; nil for nothing to be told. mu is held.
func (d *desk) next() *slip {
	b := &slip{seat: d.seat.name, number: d.last + 1, old: strings.Join(d.old, " ")}
	with := make(map[place]*booked) // more than in the book, by the batch
	bytes, lists, most := int64(0), 0, slipSteps
	if d.full && len(d.again) == 0 && len(d.steps) == 0 {
		if n := d.leavesFirst(); n > 0 {
			most = min(most, n)
		}
	}
	if d.alone > 0 {
		d.alone--
		most = 1
	}
	for len(b.steps) < most && bytes < slipBytes && lists < slipLists {
		s := d.nextStep()
		if s == nil {
			break
		}
		b.leaves = s.leaves() && (b.leaves || len(b.steps) == 0)
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

// leaves reports that a step gives memory back.
func (s *step) leaves() bool { return strings.IndexByte("LDB", s.kind) >= 0 }

// leavesFirst has who leaves told before all that waits, and returns how many they are: nobody who
// enters is waited for by who leaves, as a room with members is entered and left in turns. mu is held.
func (d *desk) leavesFirst() (n int) {
	slices.SortStableFunc(d.queue, func(a, b *step) int {
		switch {
		case a.leaves() == b.leaves():
			return 0
		case a.leaves():
			return -1
		}
		return 1
	})
	for n < len(d.queue) && d.queue[n].leaves() {
		n++
	}
	return n
}

// nextStep takes the next step: first all that is to be told anew. mu is held.
func (d *desk) nextStep() *step {
	if s := d.nextAgain(); s != nil {
		return s
	}
	d.seat.silent = false
	if !d.seat.all {
		if len(d.old) > 0 && !d.held.IsZero() {
			return nil // when what is left there is taken away too
		}
		d.seat.all = true
		return &step{kind: stepAll}
	}
	if !d.held.IsZero() {
		return nil
	}
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
		d.lookGone, d.looksGone = d.looksGone, false
		for at, b := range d.book {
			if b.people > 0 {
				d.look = append(d.look, at)
			}
		}
	}
	if n := len(d.look); n > 0 {
		at := d.look[n-1]
		d.look = d.look[:n-1]
		s := &step{kind: stepLook, members: true, silent: d.lookGone}
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
		s := &step{kind: stepCount, silent: d.seat.silent, newer: d.isNewer(&b.arrived, at.app)}
		s.entry.App, s.entry.Room, s.entry.Told = at.app, at.room, b.told
		d.steps = append(d.steps, s)
		for user, m := range b.users {
			s := &step{kind: stepUser, entry: m.Entry, silent: d.seat.silent, newer: d.isNewer(&m.arrived, at.app)}
			// Who was given up, and is seen to come back, was seen to go by its own connection too.
			s.entry.Socket = ""
			d.steps = append(d.steps, s)
			b.users[user] = m
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
	switch {
	case s.noted:
	case s.kind == stepEnter:
		s.members = s.entry.User != "" && w.people == 0 && d.p.c.opt.Mirror != nil
		by = 1
	case s.kind == stepLeave:
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

// args are what the script wants to know of a step. mu is held.
func (s *step) args(list []string) []string {
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
	flag(s.silent, 's')
	flag(s.newer, 'w')
	flag(s.doubtful, 'o')
	flag(e.Cache && !s.gone && s.kind != stepLeave, 'k') // who is answered already wants to know nothing
	flag(s.members && !s.gone, 'm')
	return append(list, string(s.kind), string(flags), e.App, e.Room, e.User, string(e.Info), e.Socket,
		strconv.Itoa(s.connections), strconv.Itoa(e.MaxMembers), strconv.Itoa(e.MaxConnections), strconv.FormatInt(e.Hold.Milliseconds(), 10))
}
