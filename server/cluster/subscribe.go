package cluster

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"poosh/server/hub"
)

// subscribeAtOnce is how many channels are asked for in one command.
const subscribeAtOnce = 512

// linger is how long a room without seats stays subscribed to, so that a page that comes and
// goes costs no round trip.
const linger = 30 * time.Second

// A subscription is a channel that is wanted, or was until lately.
type subscription struct {
	channel   string
	app, room string
	everyone  bool
	home      bool // it comes by the channel of this node, see [Options].Home

	refs      int       // seats of the hub, taken as one, and who enters
	left      time.Time // when refs was 0 last
	leaving   bool      // it is in the list of those
	asked     uint64    // the link that was asked for it
	confirmed bool      // that has it
	first     uint64    // the link that had it first, or that somebody may have been seated under; 0 for none
	blind     bool      // somebody was let in though no link has it
}

// subscriptions are those of a partition. What a link does with them is done by the partition's run.
type subscriptions struct {
	mu      sync.Mutex // guards what follows; a room of the hub may be locked
	of      map[string]*subscription
	idle    []*subscription // to be asked for
	leaving []*subscription // without seats, in the order of when they were found so

	entering []*entry            // waiting for a subscription, or a fence
	fenced   map[uint64][]*entry // waiting for that fence
	request  uint64              // the last fence
}

// channel is that of a room, or of everyone of an app.
func (p *partition) channel(app, room string, everyone bool) *subscription {
	if everyone {
		return &subscription{channel: p.tag.everyone(app), app: app, everyone: true}
	}
	return &subscription{channel: p.tag.room(app, room), app: app, room: room, home: p.c.home(app, room) == p.c.name}
}

// home is where a room is at home; "" for nowhere.
func (c *Cluster) home(app, room string) string {
	if c.opt.Home == nil || c.together(app) {
		return ""
	}
	return c.opt.Home(app, room)
}

// channelOf is the channel that an envelope came by.
func (p *partition) channelOf(e *envelope) string {
	switch {
	case p.index == partitions && e.Room != "":
		return p.own
	case p.index == partitions:
		return p.tag.all()
	case e.Everyone, p.c.together(e.App):
		return p.tag.everyone(e.App)
	}
	return p.tag.room(e.App, e.Room)
}

// want counts one more that wants s, and returns the one there is. A room may be locked.
func (p *partition) want(s *subscription) *subscription {
	p.subs.mu.Lock()
	there := p.subs.of[s.channel]
	if there == nil {
		there = s
		p.subs.of[s.channel] = s
		p.subs.idle = append(p.subs.idle, s)
	}
	there.refs++
	p.subs.mu.Unlock()
	if there == s {
		p.wakeUp()
	}
	return there
}

// unwant takes back what want counted.
func (p *partition) unwant(s *subscription) {
	p.subs.mu.Lock()
	defer p.subs.mu.Unlock()
	there := p.subs.of[s.channel]
	if there == nil || there.refs == 0 {
		return
	}
	if there.refs--; there.refs == 0 {
		there.left = time.Now()
		p.subs.leave(there)
	}
}

// leave puts s on the list of those without seats. mu is held.
func (t *subscriptions) leave(s *subscription) {
	if !s.leaving {
		s.leaving = true
		t.leaving = append(t.leaving, s)
	}
}

// all lists what a link is to be asked for, and forgets what nobody wants.
func (t *subscriptions) all(generation uint64) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]string, 0, len(t.of))
	for channel, s := range t.of {
		if s.refs == 0 {
			delete(t.of, channel)
			continue
		}
		s.asked, s.blind = generation, false
		if s.first == 0 {
			s.first = generation - 1 // who came while there was no link has missed what others have
		}
		if !s.home {
			list = append(list, channel)
		}
	}
	t.idle, t.leaving = nil, nil
	for _, s := range t.of {
		s.leaving = false
	}
	return list
}

// askedOf lists what a link was asked for.
func (t *subscriptions) askedOf(generation uint64) (list []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for channel, s := range t.of {
		if s.asked == generation && !s.home {
			list = append(list, channel)
		}
	}
	return list
}

// confirmAll notes that a link has what it was asked for.
func (t *subscriptions) confirmAll(generation uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.of {
		t.confirm(s, generation)
	}
}

func (t *subscriptions) confirm(s *subscription, generation uint64) {
	if s.asked != generation {
		return
	}
	s.confirmed = true
	if s.first == 0 {
		s.first = generation
	}
}

// lose notes that no link has anything. Who waits for a fence has to wait for another one.
func (t *subscriptions) lose() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.of {
		s.confirmed = false
	}
	for request, list := range t.fenced {
		t.entering = append(t.entering, list...)
		delete(t.fenced, request)
	}
}

// confirmed reports whether the link has a channel.
func (t *subscriptions) confirmed(channel string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of[channel]
	return s != nil && s.confirmed
}

// had reports whether any link had a channel, as long as it was wanted.
func (t *subscriptions) had(channel string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of[channel]
	return s != nil && s.first != 0
}

// before lists what a link before this one had.
func (t *subscriptions) before(generation uint64) (list []*subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.of {
		if s.first != 0 && s.first < generation {
			list = append(list, s)
		}
	}
	return list
}

// toAsk takes some that a link has yet to be asked for.
func (t *subscriptions) toAsk(generation uint64) (list []*subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.idle) > 0 && len(list) < subscribeAtOnce {
		s := t.idle[0]
		t.idle = t.idle[1:]
		if t.of[s.channel] == s && s.asked != generation {
			s.asked = generation
			list = append(list, s)
		}
	}
	return list
}

// subscribe asks a link for what is wanted and it has not.
func (p *partition) subscribe(l *link) error {
	for {
		list := p.subs.toAsk(l.generation)
		if len(list) == 0 {
			return nil
		}
		channels := make([]string, 0, len(list))
		for _, s := range list {
			if !s.home {
				channels = append(channels, s.channel)
			}
		}
		if err := l.ssubscribe(channels); err != nil {
			return err
		}
		p.confirm(list, l.generation)
		p.desk.wakeUp()
	}
}

// confirm notes that a link has these.
func (p *partition) confirm(list []*subscription, generation uint64) {
	p.subs.mu.Lock()
	defer p.subs.mu.Unlock()
	for _, s := range list {
		p.subs.confirm(s, generation)
		if s.blind {
			p.tellMissed(s)
		}
	}
}

// tellMissed has those of a room told, behind the next fence, that they may have missed something: they were
// let in before it was subscribed to. subs.mu is held.
func (p *partition) tellMissed(s *subscription) {
	s.blind = false
	s.refs++ // which the answer takes back
	p.subs.entering = append(p.subs.entering, &entry{sub: s, since: time.Now(), answer: func(at hub.Position, err error) {
		if err != nil {
			return // with the link: the next one brings what is missing, or it is told
		}
		p.c.count.missed.Add(1)
		p.c.opt.Missed(s.app, s.room, s.everyone, at)
	}})
}

// letIn notes that somebody may be seated though no link may have the room.
func (t *subscriptions) letIn(s *subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.blind = s.blind || !s.confirmed
}

// toLeave takes what nobody has wanted since a time. What the link has of it is listed.
func (t *subscriptions) toLeave(since time.Time) (list []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := len(t.leaving); n > 0; n-- {
		s := t.leaving[0]
		if s.refs == 0 && s.left.After(since) {
			break
		}
		t.leaving, s.leaving = t.leaving[1:], false
		if s.refs > 0 || t.of[s.channel] != s {
			continue
		}
		delete(t.of, s.channel)
		if s.confirmed && !s.home {
			list = append(list, s.channel)
		}
	}
	return list
}

// unsubscribe leaves what nobody wants any more.
func (p *partition) unsubscribe(l *link) error {
	wait := cmp.Or(p.c.opt.linger, linger)
	for list := range slices.Chunk(p.subs.toLeave(time.Now().Add(-wait)), subscribeAtOnce) {
		ctx, cancel := l.context()
		err := l.line.subscribe(ctx, noteUnsubscribe, list)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}
