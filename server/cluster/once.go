package cluster

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/seldom"
)

// Messages of a source outside, which every node reads, are taken by one node at a time: it leads the
// source. That it does is a lease in the engine. But a lease alone does not keep a node that was paused
// from publishing what another one has taken meanwhile, and says nothing of how far it came. So in each
// partition is noted, in the slot where the publications are, whose turn it is, as a token that grows, how
// many publications were taken, and what the last of them were. A script that publishes looks at the token
// and notes what it took, at once.
//
// Whoever begins to lead writes its token in all partitions. From then on the one before can take nothing,
// and what it took is known: each node keeps what it has read, finds in it where that ended, and goes on
// behind. Each node counts what it has read as the engine counts what was taken, and the difference of both
// stays the same for as long as it reads. So messages that are all equal are told apart by their number.
//
// What is taken twice rather than not at all: what a node had under way when the engine forgot everything,
// and what was taken in the last second or two before that, if the node that took it is gone as well.
type source struct {
	c    *Cluster
	name string
	key  string        // of its lease
	kick chan struct{} // has run look at once

	over    context.Context // done when it is to end
	end     context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // guards what follows, and the tapes
	joined   bool
	tapes    []*tape   // by partition; none before
	early    []early   // what was before
	reads    bool      // this node reads the source
	since    time.Time // when that began, or ended
	resigned bool
	lapsed   time.Time // this node led as it lost the source: what it read since it leaves to others; zero for no
	token    uint64    // this node leads with it; 0 while it does not
	higher   uint64    // a token that another node was seen to have
	renewed  time.Time // when the engine was asked last that confirmed the lease
	led      time.Time // when this node began to lead last
	theirs   time.Time // when the lease of another node is over, as the engine said it last
	absent   time.Time // since when nobody has had the lease
	there    bool      // the engine has answered ever since it knew of a lease
	last     bool      // nobody else has led since this node did, and it has no gap since
	asks     bool      // the engine may know this node as one that asks for the lease
	whole    wholeness
	bytes    int                 // of all tapes
	before   [contextSize]uint64 // the digests of the messages in front of the next
	knows    int                 // how many of these were read

	leads     atomic.Bool // token is not 0
	takeovers atomic.Uint64
	taken     atomic.Uint64
	late      atomic.Uint64
	full      atomic.Uint64
	failed    atomic.Uint64
	failing   seldom.Word

	unanswered time.Time // since when the lease is asked for in vain; zero for not. Owned by run
}

// sources are those of a node.
type sources struct {
	mu     sync.Mutex // guards what follows
	list   []*source
	joined bool // this process is one of the cluster
}

// begin is for when it is.
func (o *sources) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.joined = true
	for _, s := range o.list {
		s.open()
	}
}

var _ presence.Once = (*Cluster)(nil)

const (
	// onceKeep is how long a node keeps at least what it has read and may have to take; see
	// [Cluster.onceKeep].
	onceKeep = 30 * time.Second
	// onceDrain is how long a node that is to lead no more may take to publish what it has read.
	onceDrain = 500 * time.Millisecond
)

// onceKeep is how long what was read may have to be taken. It is longer than a lease and the time in
// which a connection to a source is found dead, so that who takes over has it.
func (c *Cluster) onceKeep() time.Duration { return max(onceKeep, 3*c.cfg.Lease) }

// onceBeat is how often the engine is asked about a source.
func (c *Cluster) onceBeat() time.Duration { return min(c.cfg.Lease/5, time.Second) }

// Source implements [presence.Once]. Call it once for a name. What is read before [Cluster.Join] is kept.
func (c *Cluster) Source(name string) presence.Source {
	s := &source{c: c, name: name, key: string(c.nodes) + ":once:" + name, kick: make(chan struct{}, 1), since: time.Now()}
	s.over, s.end = context.WithCancel(c.over)
	c.once.mu.Lock()
	defer c.once.mu.Unlock()
	c.once.list = append(c.once.list, s)
	if c.once.joined {
		s.open()
	}
	return s
}

// open is for when the process is one of the cluster: before that nobody can say where rooms are.
func (s *source) open() {
	s.mu.Lock()
	s.joined = true
	for _, p := range s.c.rooms() {
		s.tapes = append(s.tapes, &tape{part: p})
	}
	for _, e := range s.early {
		s.bytes -= e.size
		e.do()
	}
	s.early = nil
	s.mu.Unlock()
	s.running.Go(s.run)
}

// heardOnce is told by a node that a source has nobody who leads it.
func (c *Cluster) heardOnce(name string) {
	c.once.mu.Lock()
	defer c.once.mu.Unlock()
	for _, s := range c.once.list {
		if s.name == name {
			s.lookNow()
		}
	}
}

// lookNow has run look at once.
func (s *source) lookNow() {
	select {
	case s.kick <- struct{}{}:
	default: // it is about to
	}
}

// Read implements [presence.Source].
func (s *source) Read(digest uint64, list []*hub.Publication, handed func(*hub.Publication, hub.Handed)) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.joined {
		s.keep(digest, list, handed, now)
		return
	}
	e := early{do: func() { s.keep(digest, list, handed, now) }}
	for _, p := range list {
		e.size += sizeOf(p)
	}
	s.wait(e)
}

// An early thing is to be done when the process is one of the cluster.
type early struct {
	do   func()
	size int // what its publications count for
}

// earlyMost is how many messages are kept until then.
const earlyMost = 1000

// wait keeps one, and drops the oldest if there are too many: what is in front of the first nobody counts, but
// between two of them none may be missing. mu is held.
func (s *source) wait(e early) {
	s.early = append(s.early, e)
	s.bytes += e.size
	for len(s.early) > earlyMost || s.bytes > s.c.cfg.QueueBytes {
		oldest := s.early[0]
		s.early[0] = early{}
		s.early = s.early[1:]
		s.bytes -= oldest.size
		if oldest.size > 0 {
			s.full.Add(1)
		}
	}
}

// keep notes what was read. mu is held.
func (s *source) keep(digest uint64, list []*hub.Publication, handed func(*hub.Publication, hub.Handed), now time.Time) {
	front := s.front()
	copy(s.before[:], s.before[1:])
	s.before[contextSize-1], s.knows = digest, min(s.knows+1, contextSize)
	for i, p := range list {
		t := s.tapes[s.c.partition(p.App, p.Room, p.Everyone).index]
		text := digest + uint64(i)*0x9e3779b97f4a7c15
		s.bytes += t.put(played{seen: seen{mark: text>>32<<32 | front, at: now}, pub: p, handed: handed})
		s.write(t)
	}
	for s.bytes > s.c.cfg.QueueBytes && s.dropOldest() {
		continue
	}
}

// front stands for the messages in front of the next, see [mark]. mu is held.
func (s *source) front() uint64 {
	if s.knows < contextSize {
		return 0
	}
	sum := uint64(0)
	for _, before := range s.before {
		sum = (sum ^ before) * 0x9e3779b97f4a7c15
		sum ^= sum >> 29
	}
	return max(sum>>32, 1)
}

// dropOldest makes room, if it can. mu is held.
func (s *source) dropOldest() bool {
	var oldest *tape
	for _, t := range s.tapes {
		if e := t.front(); e != nil && (oldest == nil || e.at.Before(oldest.front().at)) {
			oldest = t
		}
	}
	if oldest == nil {
		return false
	}
	s.bytes -= oldest.drop()
	if s.token != 0 {
		s.full.Add(1)
	}
	return true
}

// expire drops what is too old to be published. mu is held.
func (s *source) expire(now time.Time) {
	limit := now.Add(-s.c.onceKeep())
	for _, t := range s.tapes {
		for e := t.front(); e != nil && e.at.Before(limit); e = t.front() {
			s.bytes -= t.drop()
			if s.token != 0 {
				s.late.Add(1)
			}
		}
	}
}

// Reads implements [presence.Source].
func (s *source) Reads(yes bool) {
	s.mu.Lock()
	if s.reads != yes {
		s.reads, s.since, s.last = yes, time.Now(), false
		s.whole.gap()
		if !yes && s.token != 0 && s.lapsed.IsZero() {
			s.lapsed = s.since
		}
		if s.joined {
			s.gap()
		} else {
			s.wait(early{do: s.gap})
		}
	}
	s.mu.Unlock()
	s.lookNow()
}

// gap notes that messages may be missing behind what was read. mu is held.
func (s *source) gap() {
	s.knows = 0
	for _, t := range s.tapes {
		t.gap()
	}
}

// Resign implements [presence.Source].
func (s *source) Resign() {
	s.mu.Lock()
	s.resigned, s.since = true, time.Now()
	s.mu.Unlock()
	s.lookNow()
}

// Stop implements [presence.Source].
func (s *source) Stop(ctx context.Context) {
	s.Resign()
	_ = wait(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.token == 0 && !s.asks || s.c.over.Err() != nil
	})
	s.end()
	s.running.Wait()
	s.c.once.mu.Lock()
	defer s.c.once.mu.Unlock()
	s.c.once.list = slices.DeleteFunc(s.c.once.list, func(other *source) bool { return other == s })
}

// Leads implements [presence.Source].
func (s *source) Leads() bool { return s.leads.Load() && s.c.Up() }

// Stats implements [presence.Source].
func (s *source) Stats() presence.SourceStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return presence.SourceStats{Leads: s.token != 0, Takeovers: s.takeovers.Load(), Waiting: s.bytes,
		Taken: s.taken.Load(), Late: s.late.Load(), Full: s.full.Load(), Failed: s.failed.Load()}
}
