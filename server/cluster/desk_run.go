package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// What one batch has in it, at the most, and how many of its answers have all members of a room.
const (
	slipSteps = 128
	slipBytes = 256 << 10
	slipLists = 8
)

// renewEvery is how often all is told anew: the engine forgets what it was not told for a day.
const renewEvery = 8 * time.Hour

// A slip is a batch of steps.
type slip struct {
	steps  []*step
	number uint64
	seat   string
	link   uint64 // that it was told by last; 0 for none
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
	if l == nil {
		return false
	}
	select {
	case <-l.failed:
		return false // another one will come
	default:
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
	}
	replaces := d.seat.replaces
	d.mu.Unlock()
	if s != nil {
		d.tell(l, s, replaces)
		return false // until there is an answer
	}
	if d.leaveBehind(l) {
		return true
	}
	return d.takeDue(l)
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
	text, err := answer.ToString()
	epoch, ok := parseNumber(text)
	if err != nil || !ok {
		d.failed(l, fmt.Errorf("taking a seat: %w", errors.Join(err, answer.Error())))
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.seat
	d.seat = seat{name: name, lease: lease, epoch: epoch, link: l.generation, number: number, replaces: old, silent: old != "" && epoch != before.epoch}
	d.last = 0
	if old == "" {
		return true
	}
	d.seat.silent = d.seat.silent || before.silent // which was not over
	d.old = append(d.old, old)
	d.p.c.count.seats.Add(1)
	d.requeue()
	d.tellAll()
	if d.seat.silent {
		// When all the others have told what they have. Who is not there by then has gone
		// meanwhile.
		d.lookAt = time.Now().Add(d.p.c.cfg.Lease)
	}
	return true
}

// requeue puts what was in doubt in front of what waits: nothing of it counts. mu is held.
func (d *desk) requeue() {
	if d.doubt == nil {
		return
	}
	var list []*step
	for _, s := range d.doubt.steps {
		if s.kind != stepEnter && s.kind != stepLeave && s.kind != stepDone && s.kind != stepBack {
			continue
		}
		if !s.gone {
			list = append(list, s)
		}
	}
	d.queue, d.doubt = append(list, d.queue...), nil
}

// tellAll has all that is in the book told anew. mu is held.
func (d *desk) tellAll() {
	d.again, d.steps = d.again[:0], nil
	for at := range d.book {
		d.again = append(d.again, at)
	}
}

// script runs one of those for this desk on a link.
func (d *desk) script(l *link, s *script, more ...string) rueidis.RedisResult {
	ctx, cancel := l.context()
	defer cancel()
	return d.scriptWith(ctx, l, s, more...)
}

func (d *desk) scriptWith(ctx context.Context, l *link, s *script, more ...string) rueidis.RedisResult {
	args := append(l.args(), strconv.Itoa(max(d.p.c.cfg.Backlog, 0)))
	return s.on(ctx, l.conn, []string{d.p.tag.state()}, append(args, more...))
}

// failed is for an engine that did not answer, or said no.
func (d *desk) failed(l *link, err error) {
	if !refused(err) {
		l.fail(err)
		return
	}
	d.mu.Lock()
	first := d.retry.IsZero()
	d.retry = time.Now().Add(100 * time.Millisecond)
	d.mu.Unlock()
	if first {
		d.p.c.log.Error("the engine does not take who is in rooms", "partition", d.p.index, "err", err)
	}
}

// tell tells a batch. The answer comes among the frames.
func (d *desk) tell(l *link, b *slip, replaces string) {
	args := make([]string, 0, 4+11*len(b.steps))
	args = append(args, d.p.own, b.seat, strconv.FormatUint(b.number, 10), replaces)
	d.mu.Lock()
	silent := d.seat.silent
	d.mu.Unlock()
	for _, s := range b.steps {
		args = s.args(args, silent && (s.kind == stepCount || s.kind == stepUser))
	}
	answer, err := d.script(l, deskScript, args...).AsStrSlice()
	if err != nil || len(answer) != 2 {
		d.mu.Lock()
		b.link = 0
		d.mu.Unlock()
		d.failed(l, fmt.Errorf("who is in rooms: %w", errors.Join(err, notAnswer(len(answer) != 2))))
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.retry = time.Time{}
	if answer[0] != "ok" && d.seat.name == b.seat && !d.seat.lost {
		d.lose()
	}
}

func notAnswer(is bool) error {
	if is {
		return errors.New("not an answer")
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
