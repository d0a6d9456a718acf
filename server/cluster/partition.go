package cluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"poosh/server/guard"
	"poosh/server/hub"
)

// A partition is a part of all rooms, with an order of its own. It is away, or has a link.
//
// Its goroutines are run, which keeps a link, handle, which handles what came, and its
// desk's; its [Cluster] owns them.
type partition struct {
	c     *Cluster
	index int
	tag   tag
	own   string   // the channel of this node, for answers
	kept  []string // apps whose events the engine keeps here; set before it starts

	fills   []*fill // of these apps, until they are filled; run's
	started bool    // it had a link before, so its logs are filled; run's
	again   refill  // of them; run's

	subs  subscriptions
	holds holdings
	inbox inbox
	desk  *desk // nil for the nodes' own partition

	crowded atomic.Int64 // when something was handed to many clients at once last, in nanoseconds of Unix time

	first     chan struct{} // closed when it had a link for the first time
	firstOnce sync.Once
	wake      chan struct{}          // has run look at what is wanted
	writer    atomic.Pointer[writer] // who writes what it has; nil before Join

	mu    sync.Mutex // guards what follows
	link  *link      // nil while the partition is away
	since time.Time  // when it went away
	err   error      // why
	over  bool
	queue []*item // to be published, in order
	doubt *batch  // was written and not answered
	seq   uint64  // of the last item that is or was in a batch

	reading bool // what it missed, from an engine that is there: who waits goes on waiting

	refused bool // the engine takes nothing, and that is in the log; the writer's

	place sync.Mutex // guards what follows; held for moments
	at    hub.Position
	// Of the log before this one, when a link was made across the two: its epoch and how far it
	// was had here; and which subscriptions were there before.
	before  hub.Position
	beforeG uint64
}

func newPartition(c *Cluster, index int, t tag) *partition {
	p := &partition{
		c: c, index: index, tag: t, own: t.node(c.name),
		first: make(chan struct{}), wake: make(chan struct{}, 1), since: time.Now(),
	}
	p.subs.of = make(map[string]*subscription)
	p.holds.init(p)
	p.inbox.ready = sync.NewCond(&p.inbox.mu)
	p.inbox.total = &c.arriving
	if index < partitions {
		p.desk = newDesk(p)
	}
	return p
}

// start starts its goroutines, which end with [partition.stop].
func (p *partition) start() {
	p.since = time.Now() // which nobody else reads yet
	p.c.running.Go(p.run)
	p.c.running.Go(p.handle)
	if p.desk != nil {
		p.c.running.Go(p.desk.run)
	}
	p.c.running.Go(p.holds.work)
}

// stop has its goroutines end, and answers who waits. The cluster's context is over already.
func (p *partition) stop() {
	p.mu.Lock()
	p.over = true
	waiting := p.takeQueue()
	var lost []*item
	if b := p.doubt; b != nil && !b.underWay {
		p.doubt, lost = nil, b.items
	}
	p.mu.Unlock()
	p.inbox.close()
	p.refuse(lost, hub.ErrUncertain)
	p.refuse(waiting, hub.ErrAway)
	p.failEntries(time.Time{})
	p.desk.stop()
	p.holds.stop()
}

// errStopped is why a link ends when the cluster does.
var errStopped = errors.New("the cluster is left")

// run keeps a link as long as there is an engine, and ends with the cluster.
func (p *partition) run() {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 50*time.Millisecond, time.Second
	wait.RandomizationFactor = 0.5 // nodes are not to come back all at once
	for generation := uint64(1); ; generation++ {
		l := newLink(p, generation)
		err := l.open()
		if err == nil {
			wait.Reset()
			err = p.live(l)
		}
		l.cut(err)
		p.lose(err)
		opened := p.c.lines.opened()
		l.close(err)
		next := wait.NextBackOff()
		if refused(err) {
			opened = nil // which says nothing of this partition
		}
		select {
		case <-p.c.over.Done():
			return
		case <-time.After(next):
		case <-opened:
		}
	}
}

// found begins the use of a link.
func (p *partition) found(l *link) {
	p.mu.Lock()
	p.link, p.reading = l, false
	p.mu.Unlock()
	p.worked()
	p.c.lines.tellOpened()
	p.desk.wakeUp()
	p.firstOnce.Do(func() { close(p.first) })
	if p == p.c.own {
		p.c.beatNow() // the desks may wait for one, and the last may have been without a link
	}
}

// lose ends the use of the link, if there is one.
func (p *partition) lose(why error) {
	p.mu.Lock()
	was := p.link != nil
	if was {
		p.link, p.since = nil, time.Now()
		p.c.count.lost.Add(1)
	}
	p.err, p.reading = why, false
	p.mu.Unlock()
	p.subs.lose()
	if was && !errors.Is(why, errStopped) {
		if unsaid, say := p.c.losses.May(sayLost); say {
			p.c.log.Warn("a connection to the cluster's engine ended, and is made anew", "partition", p.index, "err", why, "others before", unsaid)
		}
	}
}

// sayLost is how often the log has a line about a link that ended: all of them do when the
// engine goes.
const sayLost = time.Minute

func (p *partition) lastError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// fenceEvery is how often the engine is asked where the log is.
const fenceEvery = time.Second

// live serves a link until it ends, and reports why it did.
func (p *partition) live(l *link) error {
	// Not all partitions, and nodes, at the same moment.
	next := time.NewTimer(rand.N(fenceEvery))
	defer next.Stop()
	// The first fence that was asked for in time, and of which nothing is known to have come.
	var asked time.Duration
	for {
		beat := false
		select {
		case <-p.c.over.Done():
			return errStopped
		case <-l.line.ended:
			return l.line.err
		case <-l.failed:
			return l.why()
		case <-p.wake:
		case <-next.C:
			beat = true
			next.Reset(fenceEvery)
			if asked > 0 && l.silent(asked, 3*fenceEvery) {
				return errors.New("the subscription brings nothing, though the engine answers")
			}
			if err := p.unsubscribe(l); err != nil {
				return err
			}
		}
		if err := p.subscribe(l); err != nil {
			return err
		}
		p.holds.wakeUp()
		if request, some := p.fenceEntries(); some || beat {
			now := time.Since(l.began)
			if err := l.fence(request); err != nil {
				return err
			}
			if asked == 0 || l.heardSince(asked) {
				asked = now
			}
		}
	}
}

// wakeUp has run look at what is wanted.
func (p *partition) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default: // it will
	}
}

// current is the link there is; nil while the partition is away.
func (p *partition) current() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link
}

// exec runs a script of others on the link there is.
func (p *partition) exec(ctx context.Context, s *script, keys, args []string) (reply, error) {
	l := p.current()
	if l == nil {
		return reply{}, hub.ErrAway
	}
	answer := s.on(ctx, l.line.wire, keys, args)
	return answer, answer.Error()
}

// do runs one command on the link there is.
func (p *partition) do(ctx context.Context, words ...string) error {
	l := p.current()
	if l == nil {
		return hub.ErrAway
	}
	return l.line.do(ctx, words...).Error()
}

// isAway reports that the engine is gone for longer than anybody is to wait for it. p.mu is held.
func (p *partition) isAway() bool {
	return p.link == nil && !p.reading && time.Since(p.since) > p.c.cfg.Timeout
}

// expire answers who has waited too long, and reports for how long the partition has been
// away, and why.
func (p *partition) expire() (away time.Duration, why error) {
	p.mu.Lock()
	now := time.Now()
	if p.link == nil {
		away, why = now.Sub(p.since), p.err
	}
	limit := now.Add(-p.c.cfg.Timeout)
	var late []*item
	gone := p.isAway()
	if gone {
		late = p.takeQueue()
	} else {
		for len(p.queue) > 0 && p.queue[0].since.Before(limit) {
			late = append(late, p.queue[0])
			p.queue = p.queue[1:]
		}
	}
	var lost []*item
	if b := p.doubt; b != nil && !b.underWay && b.since.Before(limit) {
		p.doubt, lost = nil, b.items
	}
	here := local{rest: late}
	if p.link == nil {
		here = p.deliverHere(late)
	}
	p.mu.Unlock()
	p.settleHere(here)
	p.refuse(lost, hub.ErrUncertain)
	p.failEntries(limit)
	p.desk.expire(limit)
	p.holds.expire(limit, gone)
	return away, why
}

// position is how far the log was had here.
func (p *partition) position() hub.Position {
	p.place.Lock()
	defer p.place.Unlock()
	return p.at
}

// missed says of what was subscribed to before a link that something may be missing up to a place; of some apps it is in
// the log all the same.
func (p *partition) missed(generation uint64, at hub.Position, why string, filled []string) {
	p.desk.lookAgain()
	list := p.subs.before(generation)
	for _, app := range p.c.togetherIn(p) {
		if !slices.Contains(filled, app) {
			p.begin(app, at)
		}
	}
	if len(list) == 0 {
		return
	}
	p.c.count.missed.Add(uint64(len(list)))
	p.c.log.Warn("events may have been missed while the engine was away: clients are closed, so that they know", "partition", p.index, "rooms", len(list), "why", why)
	for _, s := range list {
		if p.index == partitions {
			continue // of what nodes tell each other; their table is put right by itself
		}
		guard.Call(p.c.log, "clients are told that they missed something", func() { p.c.opt.Missed(s.app, s.room, s.everyone, at) })
	}
}

// begin has the log of an app begin anew behind a place.
func (p *partition) begin(app string, at hub.Position) {
	if p.c.opt.Begin != nil {
		guard.Call(p.c.log, "a history begins anew", func() { p.c.opt.Begin(app, at) }, "partition", p.index)
	}
}
