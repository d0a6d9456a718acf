package cluster

import (
	"strconv"
	"strings"
	"time"

	"poosh/server/guard"
	"poosh/server/hub"
	"poosh/server/presence"
)

// letterDesk begins the answer to a batch, letterFailed a note of this process itself that
// somebody was not told in time.
const (
	letterDesk   = 'D'
	letterFailed = 'X'
)

// A verdict is what became of a step.
type verdict struct {
	code               byte // K for done, P for that and more to ask for, M and N for a bound of members and connections
	connections, users int
	cached             string // a frame; = for that of a verdict before
	know               string // what the applications know of who enters: r for the room, u for the user
	members            []hub.Member
}

// A ruling is the answer to a batch.
type ruling struct {
	seat     string
	number   uint64
	at       hub.Position
	verdicts []verdict
	due      time.Duration // until the applications may have to be told of something; negative for never
}

// parseRuling reads an answer.
func parseRuling(text string) (r ruling, ok bool) {
	fields := netstrings(text[1:])
	if len(fields) < 5 {
		return r, false
	}
	r.seat = fields[0]
	for i, at := range []*uint64{&r.number, &r.at.Epoch, &r.at.Number} {
		if *at, ok = parseNumber(fields[i+1]); !ok {
			return r, false
		}
	}
	last := len(fields) - 1
	r.due = -1
	if n, ok := parseNumber(fields[last]); ok {
		r.due = time.Duration(n) * time.Millisecond
	}
	for _, f := range fields[4:last] {
		v, ok := parseVerdict(f)
		if !ok {
			return r, false
		}
		r.verdicts = append(r.verdicts, v)
	}
	return r, true
}

func parseVerdict(text string) (v verdict, ok bool) {
	fields := netstrings(text)
	if len(fields) == 0 || len(fields[0]) != 1 {
		return v, false
	}
	if v.code = fields[0][0]; len(fields) < 5 {
		return v, true
	}
	var wrong, wrongToo error
	v.connections, wrong = strconv.Atoi(fields[1])
	v.users, wrongToo = strconv.Atoi(fields[2])
	v.cached, v.know = fields[3], fields[4]
	for list := fields[5:]; len(list) > 1; list = list[2:] {
		v.members = append(v.members, hub.Member{ID: list[0], Info: []byte(list[1])})
	}
	return v, wrong == nil && wrongToo == nil
}

// netstrings are those that a text consists of; none for another text.
func netstrings(text string) (list []string) {
	for text != "" {
		field, rest, ok := cutNetstring(text)
		if !ok {
			return nil
		}
		list, text = append(list, field), rest
	}
	return list
}

// one handles what comes for the desk alone.
func (d *desk) one(text string) {
	if text[0] == letterFailed {
		d.failLate()
		return
	}
	r, ok := parseRuling(text)
	if !ok {
		d.p.drop(errMalformed)
		// Another one gets the same answer once more, and nobody waits for this one.
		if l := d.p.current(); l != nil {
			l.fail(errMalformed)
		}
		return
	}
	d.resolve(&r)
}

// resolve takes over what was ruled, and answers who waits for it.
func (d *desk) resolve(r *ruling) {
	d.mu.Lock()
	b := d.doubt
	if b == nil || b.seat != r.seat || b.number != r.number || len(b.steps) != len(r.verdicts) {
		d.mu.Unlock()
		return // it was answered already, or has to be told anew
	}
	d.doubt = nil
	if d.seat.name == r.seat && !d.seat.lost && r.at.Epoch == d.seat.epoch {
		d.isWell()
	}
	answered := make([]bool, len(b.steps))
	var back []*step
	for i, s := range b.steps {
		code := r.verdicts[i].code
		answered[i] = s.gone || code == 'P'
		done := code == 'K' || code == 'P'
		s.at, s.know = r.at, r.verdicts[i].know
		d.note(s, done)
		d.took(s)
		switch {
		case s.gone && done: // who enters was told otherwise
			back = append(back, &step{kind: stepLeave, entry: s.entry})
		case code == 'P' && s.answer != nil:
			ask := *s
			ask.kind, ask.since = stepLook, time.Now()
			back = append(back, &ask)
		case code == 'P':
			d.look = append(d.look, s.place())
		}
	}
	// In front: the same user may be about to enter again.
	d.queue = append(back, d.queue...)
	if r.due >= 0 {
		if at := time.Now().Add(r.due); d.dueAt.IsZero() || at.Before(d.dueAt) {
			d.dueAt = at
		}
	}
	d.mu.Unlock()
	d.wakeUp()
	events := make(map[place]string)
	for i, s := range b.steps {
		switch v := &r.verdicts[i]; v.cached {
		case "":
		case "=":
			v.cached = events[s.place()]
		default:
			events[s.place()] = v.cached
		}
	}
	counted := make(map[place]int) // the last of each room has the say
	for i, s := range b.steps {
		if s.kind == stepLeave && s.entry.Counted {
			counted[s.place()] = i
		}
	}
	for i, s := range b.steps {
		v := &r.verdicts[i]
		switch {
		case s.answer != nil:
			d.enterAnswered(s, v, r.at, answered[i])
		case s.kind == stepLeave:
			if l := d.p.c.listener(s.entry.App); l != nil && s.entry.Counted && counted[s.place()] == i {
				guard.Call(d.p.c.log, "it is told how many are in a room", func() { l.Counted(s.entry.Room, v.connections) })
			}
		case s.kind == stepLook && v.code == 'K':
			d.membersAre(s, v)
		}
	}
}

// note has the book say what the engine was told. mu is held.
func (d *desk) note(s *step, done bool) {
	at, e := s.place(), &s.entry
	b := d.book[at]
	arrived := func(what string) arrived {
		return arrived{s.since, time.Now(), strings.Contains(s.know, what), s.at}
	}
	switch {
	case s.noted:
	case s.kind == stepDone, s.kind == stepBack:
		d.settled(s.happening())
	case s.kind == stepEnter && done:
		if b == nil {
			b = &booked{users: make(map[string]member)}
			d.book[at] = b
		}
		b.entered++
		if e.User != "" {
			b.people++
			if e.Only {
				b.users[e.User] = member{*e, arrived("u")}
			}
		}
		if e.Counted {
			b.counted++
			if e.Told && !b.told {
				b.arrived = arrived("r")
			}
			b.told, b.hold = b.told || e.Told, max(b.hold, e.Hold)
			if e.Hold > d.holds[e.App] {
				d.holds[e.App] = e.Hold
			}
		}
	case s.kind == stepLeave && b != nil:
		b.entered--
		if e.User != "" {
			b.people--
			if e.Only {
				delete(b.users, e.User)
			}
		}
		if e.Counted {
			b.counted--
		}
		if b.entered <= 0 {
			delete(d.book, at)
		}
	}
}

// enterAnswered answers who enters, in its place among the frames.
func (d *desk) enterAnswered(s *step, v *verdict, at hub.Position, answered bool) {
	e := &s.entry
	if v.code == 'K' && s.members && d.p.c.opt.Mirror != nil {
		guard.Call(d.p.c.log, "the members of a room are told", func() { d.p.c.opt.Mirror.MembersAre(e.App, e.Room, v.members) })
	}
	switch {
	case answered:
	case v.code == 'M':
		d.settle(s, presence.Seated{At: at}, presence.ErrMembers)
	case v.code == 'N':
		d.settle(s, presence.Seated{At: at}, presence.ErrConnections)
	default:
		seated := presence.Seated{Users: v.users, Cached: cachedOf(v.cached), At: at}
		if e.Counted {
			seated.Connections = v.connections
		}
		d.settle(s, seated, nil)
	}
}

// cachedOf is what a frame has; nil for none, and for one that cannot be read here.
func cachedOf(text string) *hub.Publication {
	f, ok := parseFrame(text)
	if !ok {
		return nil
	}
	e, err := openEnvelope(f.envelope)
	if err != nil {
		return nil
	}
	return &e.Publication
}

// membersAre tells who came and went while something was missed.
func (d *desk) membersAre(s *step, v *verdict) {
	app, room := s.entry.App, s.entry.Room
	mirror, l := d.p.c.opt.Mirror, d.p.c.listener(app)
	if mirror == nil {
		return
	}
	guard.Call(d.p.c.log, "the members of a room are told anew", func() {
		came, went := mirror.MembersAre(app, room, v.members)
		if l == nil {
			return
		}
		for _, m := range went {
			l.Went(room, m.ID)
			if s.silent {
				d.goneSince(app, room, m.ID)
			}
		}
		for _, m := range came {
			l.Came(room, m, "")
		}
	})
}
