package cluster

import (
	"errors"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// A line is a connection to the engine. Where that is one server the links of all partitions go over one
// line: under load what they say is written together, and so is what comes back, which costs the engine
// and this process a fraction of what a connection for each does. In a Redis Cluster each link has a line
// of its own, as partitions are on different servers.
//
// A link that ends has its line end, and with it the others: what is on its way on a connection
// cannot be called back. But where the engine says no to one partition alone, the others stay.
type line struct {
	*wire
	c    *Cluster
	made time.Time
	only *link // in a Redis Cluster; nil for a line that links share

	links [partitions + 1]atomic.Pointer[link] // by partition; nil for none
	came  uint32                               // for which of these the read that is being handled brought messages; guarded by reading
}

// lines are those of a process.
type lines struct {
	mu  sync.Mutex // guards now; held while a connection is made
	now *line      // that links share; nil for none yet

	made chan struct{} // closed when a link was opened, for those that wait before they try again; nil while none does
}

// opened is closed when a link is opened next: then the engine is there.
func (s *lines) opened() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil {
		s.made = make(chan struct{})
	}
	return s.made
}

// tellOpened has those try again who wait.
func (s *lines) tellOpened() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made != nil {
		close(s.made)
		s.made = nil
	}
}

// close ends the line that all links may have left. Whoever leaves one later ends it: the cluster is over.
func (s *lines) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		s.now.close(errStopped)
	}
}

// errEnded is for a connection that ended without a reason.
var errEnded = errors.New("the connection was closed")

// line finds a line for a link, and has what comes by it for the link's partition put there. It waits
// no longer than a connection takes.
func (c *Cluster) line(l *link) *line {
	if !c.isShared() {
		return c.newLine(l)
	}
	began := time.Now()
	c.lines.mu.Lock()
	defer c.lines.mu.Unlock()
	n := c.lines.now
	// One that could not be made while this link waited would not be made for it either.
	if n == nil || n.isOver() && n.made.Before(began) {
		n = c.newLine(l)
		c.lines.now = n
		return n
	}
	n.links[l.p.index].Store(l)
	return n
}

func (c *Cluster) newLine(l *link) *line {
	n := &line{c: c}
	n.links[l.p.index].Store(l)
	if !c.isShared() {
		n.only = l
	}
	n.wire = c.dialWire(l.p.tag, n)
	n.made = time.Now()
	return n
}

// of is the link that a channel is for; nil for none.
func (n *line) of(channel string) *link {
	if n.only != nil {
		return n.only
	}
	return n.linkOf(n.c.partitionIn(channel))
}

// message implements [incoming].
func (n *line) message(channel, text string) {
	if l := n.of(channel); l != nil {
		n.came |= 1 << l.p.index
		l.message(text)
	}
}

// subscription implements [incoming].
func (n *line) subscription(kind, channel string) {
	if l := n.of(channel); l != nil {
		l.subscription(kind, channel)
	}
}

// brought implements [incoming]: what came is handled at once where that is little, see [inbox.grab].
func (n *line) brought() (woke bool) {
	for ; n.came != 0; n.came &= n.came - 1 {
		if l := n.links[bits.TrailingZeros32(n.came)].Load(); l != nil && l.p.handleNow() {
			woke = true
		}
	}
	return woke
}

// linkOf is the link of a partition that the line has; nil for none.
func (n *line) linkOf(partition int) *link {
	if partition < 0 {
		return nil
	}
	return n.links[partition].Load()
}

// isOver reports that nothing can be said over it any more.
func (n *line) isOver() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.over != nil
}

// leave has nothing more come for a link, and reports whether that was possible.
func (n *line) leave(l *link) bool {
	n.links[l.p.index].CompareAndSwap(l, nil)
	for list := range slices.Chunk(append(l.p.subs.askedOf(l.generation), l.p.own), subscribeAtOnce) {
		ctx, cancel := l.context()
		err := n.subscribe(ctx, noteUnsubscribe, list)
		cancel()
		if err != nil {
			return false
		}
	}
	return true
}

// isShared reports whether all partitions are at one server.
func (c *Cluster) isShared() bool { return c.client.Mode() != rueidis.ClientModeCluster }

// partitionIn is which partition a channel is of, by its name; -1 for none.
func (c *Cluster) partitionIn(channel string) int {
	// All names are as long up to the number, see [tags].
	nodes := string(c.nodes)
	const last = "nodes}"
	start := len(nodes) - len(last)
	if len(channel) <= start || channel[:start] != nodes[:start] {
		return -1
	}
	rest := channel[start:]
	if strings.HasPrefix(rest, last) {
		return partitions
	}
	n := 0
	for i := 0; i < len(rest) && i < 3; i++ {
		if rest[i] == '}' && i > 0 && n < partitions {
			return n
		}
		if rest[i] < '0' || rest[i] > '9' {
			break
		}
		n = 10*n + int(rest[i]-'0')
	}
	return -1
}
