package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What one batch has in it, at the most, and how many of its answers have all members of a room.
const (
	slipSteps = 128
	slipBytes = 256 << 10
	slipLists = 8
	// Of events and members that one answer has; more than that if it is one alone. The members of one
	// room have to be fewer than client-output-buffer-limit of the engine has for pubsub.
	rulingBytes = 256 << 10
)

// tellsInTurn is how many batches go before something else that the desk has to do, if there is.
const tellsInTurn = 4

// renewEvery is how often all is told anew: the engine forgets what it was not told for a day.
const renewEvery = 8 * time.Hour

// A slip is a batch of steps.
type slip struct {
	steps  []*step
	number uint64
	seat   string
	old    string // the seats that it takes the place of
	link   uint64 // that it was told by last; 0 for none
	leaves bool   // nobody enters by it: it costs the engine no memory
}

// run tells the engine what there is to tell. It ends with the partition.
func (d *desk) run() {
	d.mu.Lock()
	d.renew = time.Now().Add(renewEvery/2 + rand.N(renewEvery/2))
	d.mu.Unlock()
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-d.p.c.over.Done():
			return
		case <-d.wake:
		case <-tick.C:
		}
		for d.step() {
		}
		tick.Reset(d.pause())
	}
}

// pause is how long there is nothing to do, unless somebody wakes it up.
func (d *desk) pause() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	wait := time.Second
	switch {
	case !d.held.IsZero():
		wait = 20 * time.Millisecond
	case !d.watched.IsZero():
		wait = 100 * time.Millisecond
	}
	for _, at := range []time.Time{d.lookAt, d.retry, d.dueAt} {
		switch left := at.Sub(now); {
		case at.IsZero():
		case left > 0:
			wait = min(wait, left)
		default: // it could not be done
			wait = min(wait, 50*time.Millisecond)
		}
	}
	return wait
}

// step does one thing, and reports whether there may be another.
func (d *desk) step() bool {
	l := d.p.current()
	failed := l == nil
	if !failed {
		select {
		case <-l.failed:
			failed = true
		default:
		}
	}
	if failed {
		d.mu.Lock()
		d.isIll()
		d.mu.Unlock()
		return false // another one will come
	}
	lease, beats := d.p.c.leaseNow()
	d.mu.Lock()
	if d.over || beats == 0 || time.Now().Before(d.retry) {
		d.mu.Unlock()
		return false
	}
	if d.checkSeat(l, lease) {
		wait := d.seat.name != "" && d.seat.lost && beats <= d.seat.beats
		d.mu.Unlock()
		if wait { // for the table of nodes to say that this one is there, under what lease
			d.p.c.beatNow()
			return false
		}
		return d.sitDown(l, lease)
	}
	if d.seat.name == "" {
		d.mu.Unlock()
		return false
	}
	if d.doubt == nil && d.told >= tellsInTurn {
		d.told = 0
		d.mu.Unlock()
		d.leaveBehind(l)
		d.letTell(l)
		return true
	}
	s := d.doubt
	if s == nil {
		s = d.next()
		d.doubt = s
	}
	if s != nil {
		if s.link == l.generation {
			d.mu.Unlock()
			return false // the answer is on its way
		}
		s.link = l.generation
		d.told++
	}
	held := !d.held.IsZero()
	d.mu.Unlock()
	if s != nil {
		d.tell(l, s)
		return false // until there is an answer
	}
	if d.leaveBehind(l) {
		return true
	}
	if held {
		return d.letOn(l)
	}
	return d.letTell(l)
}

// checkSeat reports whether another seat is wanted. mu is held.
func (d *desk) checkSeat(l *link, lease string) bool {
	s := &d.seat
	if s.name == "" {
		return len(d.queue) > 0 || d.p.c.hearsAny()
	}
	if !s.lost && s.link != l.generation {
		if s.epoch != l.opened {
			d.lose()
		} else {
			d.isWell()
		}
		s.link = l.generation
	}
	return s.lost || s.lease != lease
}

// sitDown takes a seat.
func (d *desk) sitDown(l *link, lease string) bool {
	d.mu.Lock()
	old := d.seat.name
	number := d.seat.number + 1
	d.mu.Unlock()
	name := lease + "." + strconv.FormatUint(number, 36)
	answer := d.script(l, seatScript, name, old)
	list, err := answer.AsStrSlice()
	taken, more, ok := parseSeat(list)
	if err != nil || !ok {
		d.failed(l, fmt.Errorf("taking a seat: %w", errors.Join(err, notAnswer(!ok))))
		return false
	}
	taken.name, taken.lease, taken.link, taken.number = name, lease, l.generation, number
	if d.sit(taken, old, more) {
		d.hurry(l)
	}
	return true
}

// parseSeat reads what the engine says of a seat, and which others the node has.
func parseSeat(list []string) (s seat, more []string, ok bool) {
	if len(list) < 4 {
		return s, nil, false
	}
	s.before.young, s.kept = strings.Contains(list[1], "1"), strings.Contains(list[1], "k")
	if s.epoch, ok = parseNumber(list[0]); !ok {
		return s, nil, false
	}
	if list[2] != "" { // there was one
		if s.before.log.Epoch, ok = parseNumber(list[2]); !ok {
			return s, nil, false
		}
	}
	s.before.log.Number, ok = parseNumber(list[3])
	return s, list[4:], ok
}

// sit is for a seat that was taken in the place of another one, or of none, and of more that the engine has. It
// reports whether that is in a log that has just begun.
func (d *desk) sit(taken seat, old string, more []string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.seat
	d.seat = taken
	d.begins(taken.epoch)
	d.last = 0
	if taken.before.young && (old == "" || taken.epoch != before.epoch) {
		d.others, d.watched = d.p.c.others(), time.Now().Add(d.p.c.cfg.Lease)
	}
	if old == "" {
		d.seat.all = true
		return false
	}
	d.seat.silent = taken.epoch != before.epoch || before.silent // which was not over
	d.old = append(d.old, old)
	for _, name := range more { // older data may have some that were left long ago
		if !slices.Contains(d.old, name) {
			d.old = append(d.old, name)
		}
	}
	d.p.c.count.seats.Add(1)
	d.requeue()
	d.tellAll()
	if d.seat.silent && taken.before.young || !d.seat.silent && !taken.kept {
		d.arriveAnew()
	}
	if d.seat.silent {
		d.isIll() // a new lease may be the first that is known of it
		d.seat.before.ended, d.seat.before.caught = d.endedAt, maps.Clone(d.caught)
		if taken.epoch == before.epoch {
			d.seat.before.ended, d.seat.before.caught = before.before.ended, before.before.caught
		}
		d.tellKnown()
		d.tellParted()
		d.endedAt = time.Time{}
		// When all the others have told what they have. Who is not there by then has gone
		// meanwhile.
		d.lookAt, d.looksGone = time.Now().Add(d.p.c.cfg.Lease), true
		d.holdBack()
	}
	return d.seat.silent
}

// requeue puts what was in doubt in front of what waits. It may have been done under the seat
// before: who leaves has left, by the book, so that nobody is said to be back, and all of it takes
// the place of what is under that seat. mu is held.
func (d *desk) requeue() {
	if d.doubt == nil {
		return
	}
	var list []*step
	for _, s := range d.doubt.steps {
		switch {
		case s.kind == stepLook && s.answer == nil:
			d.look = append(d.look, s.place())
		case s.kind == stepCount, s.kind == stepUser, s.kind == stepAll, s.kind == stepKnown:
			d.seat.silent = d.seat.silent || s.silent // it is told anew
		case s.kind == stepLook && s.gone:
			list = append(list, &step{kind: stepLeave, entry: s.entry})
		case s.gone:
			list = append(list, &step{kind: stepLeave, entry: s.entry, noted: true, doubtful: true})
		default:
			if s.kind == stepLeave {
				d.leftInDoubt(s)
				d.note(s, true)
				s.noted = true
			}
			s.doubtful = true
			list = append(list, s)
		}
	}
	d.queue, d.doubt = append(list, d.queue...), nil
	d.dueAt = time.Now() // of what was done nobody may have heard
}

// arriveAnew notes of all who are in the book that the applications may have been told that they went, and are to be
// told that they are back. mu is held.
func (d *desk) arriveAnew() {
	now := time.Now()
	for _, b := range d.book {
		b.noted, b.known = now, false
		for user, m := range b.users {
			m.noted, m.known = now, false
			b.users[user] = m
		}
	}
}

// tellAll has all that is in the book told anew. mu is held.
func (d *desk) tellAll() {
	d.again, d.steps = d.again[:0], nil
	for at := range d.book {
		d.again = append(d.again, at)
	}
}

// script runs one of those for this desk on a link.
func (d *desk) script(l *link, s *script, more ...string) reply {
	ctx, cancel := l.context()
	defer cancel()
	return d.scriptWith(ctx, l, s, more...)
}

func (d *desk) scriptWith(ctx context.Context, l *link, s *script, more ...string) reply {
	args := append(l.args(), d.p.c.backlog())
	return s.on(ctx, l.line.wire, []string{d.p.tag.state()}, append(args, more...))
}

// tell tells a batch. The answer comes among the frames.
func (d *desk) tell(l *link, b *slip) {
	args := make([]string, 0, 5+11*len(b.steps))
	args = append(args, d.p.own, b.seat, strconv.FormatUint(b.number, 10), b.old, strconv.Itoa(rulingBytes))
	d.mu.Lock()
	for _, s := range b.steps {
		args = s.args(args)
	}
	d.mu.Unlock()
	answer, err := d.script(l, deskScript, args...).AsStrSlice()
	if err != nil || len(answer) != 2 {
		err = fmt.Errorf("who is in rooms: %w", errors.Join(err, notAnswer(len(answer) != 2)))
		var givenUp []*step
		d.mu.Lock()
		b.link = 0
		if d.doubt == b && refused(err) {
			givenUp = d.takeBack(b, err)
		}
		d.mu.Unlock()
		d.failed(l, err)
		for _, s := range givenUp {
			d.giveUp(s, err)
		}
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.retry = time.Time{}
	if !b.leaves {
		d.full, d.saidNo = false, false
	}
	if answer[0] != "ok" && d.seat.name == b.seat && !d.seat.lost {
		d.lose()
	}
}

func notAnswer(is bool) error {
	if is {
		return errNotAnswer
	}
	return nil
}

// leaseNow is under what lease the table has this node, and how often it has been said to be there.
func (c *Cluster) leaseNow() (lease string, beats uint64) {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	if !c.table.entered {
		return "", 0
	}
	return c.table.lease(c.name), c.table.beats.Load()
}

func (c *Cluster) hearsAny() bool {
	c.hears.mu.Lock()
	defer c.hears.mu.Unlock()
	return len(c.hears.of) > 0
}
