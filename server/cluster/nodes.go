package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	mrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/guard"
	"poosh/server/hub"
)

// A table is who is there, as the engine said it last.
type table struct {
	mu      sync.Mutex // guards what follows
	started time.Time  // of this node
	addr    string
	number  uint64 // of this node's lease
	entered bool   // the engine has that
	told    string // the lease and what goes with it, as the others were told of last
	drains  bool
	nodes   map[string]Node // by name
	leases  []string        // in the engine, sorted
	changed []func()
	seen    map[string]time.Time // when nodes were there last, within a lease
	missing missing

	beats atomic.Uint64 // that the engine has taken
	next  time.Time     // when the first lease is over, unless it is renewed
}

// newSecret is a secret for a cluster whose operator set none.
func newSecret() string { return hex.EncodeToString([]byte(rand.Text())) }

// Addr is where a node is reached, as the engine said it last. ok is false for one that is not
// there, and without an address.
func (c *Cluster) Addr(name string) (addr string, ok bool) {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	n, ok := c.table.nodes[name]
	return n.Addr, ok && n.Addr != ""
}

// Nodes lists who is there, as the engine said it last, by name; this node too.
func (c *Cluster) Nodes() []Node {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	return byName(c.table.nodes)
}

// Changed has f called whenever a node has come or gone, on a goroutine of the cluster; f must not
// wait. Register before others may come.
func (c *Cluster) Changed(f func()) {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	c.table.changed = append(c.table.changed, f)
}

// Reach says where others reach this node, once it listens.
func (c *Cluster) Reach(addr string) {
	c.table.mu.Lock()
	c.table.addr = addr
	c.table.mu.Unlock()
	c.beatNow()
}

// Drain tells the others that this node is about to leave.
func (c *Cluster) Drain() {
	c.table.mu.Lock()
	c.table.drains = true
	c.table.mu.Unlock()
	c.beatNow()
}

// beatNow has the engine told at once what this node tells of itself.
func (c *Cluster) beatNow() {
	select {
	case c.kick <- struct{}{}:
	default: // it is about to
	}
}

// beats renews this node's lease, four times within one, until the cluster is over.
func (c *Cluster) beats() {
	quarter := c.cfg.Lease / 4
	failing := false // and the log says so
	for {
		select {
		case <-c.beating.Done():
			return
		case <-c.kick:
		case <-time.After(c.untilBeat(quarter - mrand.N(quarter/5+1))):
		}
		ctx, cancel := context.WithTimeout(c.beating, c.cfg.Timeout)
		err := c.beat(ctx)
		cancel()
		switch {
		case err == nil:
			if failing {
				c.log.Info("the cluster's engine takes again that this node is there", "node", c.name)
			}
			failing = false
			c.refuses.Store(nil)
		case c.beating.Err() != nil: // by that it failed
		default:
			c.count.beatsFailed.Add(1)
			if refused(err) {
				c.refuses.Store(&err)
			}
			// An engine that is away is said to be so elsewhere.
			if !failing && c.Up() && !errors.Is(err, hub.ErrAway) {
				failing = true
				c.log.Error("the cluster's engine does not take that this node is there: the others will give it up", "node", c.name, "err", err)
			}
		}
	}
}

// untilBeat is how long it is until the next beat, not longer than wait: it comes as soon as the
// lease of a node that says nothing is over.
func (c *Cluster) untilBeat(wait time.Duration) time.Duration {
	c.table.mu.Lock()
	next := c.table.next
	c.table.mu.Unlock()
	if d := time.Until(next); d > 0 {
		wait = min(wait, d+10*time.Millisecond+mrand.N(50*time.Millisecond))
	}
	return wait
}

// lease is what this node is called in the engine until it is given up: a name and a number. mu
// is held.
func (t *table) lease(name string) string { return name + "." + strconv.FormatUint(t.number, 10) }

// beat tells the engine that this node is there, and hears who else is. A node that was given
// up enters under another lease: what it had under the last one may be cleaned up meanwhile.
func (c *Cluster) beat(ctx context.Context) error {
	t := &c.table
	t.mu.Lock()
	if t.started.IsZero() {
		t.started = time.Now()
	}
	self := Node{Name: c.name, Addr: t.addr, Version: c.opt.Version, Started: t.started, Draining: t.drains, Keeps: c.keeps()}
	lease, isNew := t.lease(c.name), !t.entered
	t.mu.Unlock()
	news, err := json.Marshal(self) // a load is none: it is another one each time
	if err != nil {
		return err
	}
	if c.opt.Load != nil {
		load := c.opt.Load()
		self.Load = &load
	}
	info, err := json.Marshal(self)
	if err != nil {
		return err
	}
	joins := "0"
	if isNew {
		joins = "1"
	}
	args := []string{lease, string(info), strconv.FormatInt(c.cfg.Lease.Milliseconds(), 10), joins}
	answer, err := c.own.exec(ctx, beatScript, c.leaseKeys(), args)
	if err != nil {
		return err
	}
	status, infos, over, next, err := parseBeat(answer)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.next = time.Now().Add(next)
	t.mu.Unlock()
	if status == "gone" {
		c.count.givenUp.Add(1)
		c.log.Warn("the cluster had given this node up, and has it back", "node", c.name)
		if err := c.agreeAgain(ctx); err != nil {
			return err
		}
		t.mu.Lock()
		t.number++
		t.entered = false
		t.missing.add(t.nodes, c.cfg.Lease/2)
		t.mu.Unlock()
		c.beatNow()
		return nil
	}
	c.learn(infos, over)
	c.tellNews(lease + "\n" + string(news))
	for _, dead := range over[:min(len(over), 8)] {
		c.reap(ctx, dead, lease)
	}
	return nil
}

// tellNews has the others look at the table when what the engine has of this node is new to them.
func (c *Cluster) tellNews(now string) {
	c.table.mu.Lock()
	isNew := now != c.table.told
	c.table.told = now
	c.table.mu.Unlock()
	if isNew {
		c.Tell(kindNode, nil)
	}
}

func (c *Cluster) leaseKeys() []string {
	return []string{c.nodes.leases(), c.nodes.info(), c.nodes.reaping(), c.nodes.meta()}
}

// parseBeat reads the answer of the script: what it was, a lease and what is told of it in
// turns, the leases that are over, and how long until the next one is.
func parseBeat(answer reply) (status string, infos, over []string, next time.Duration, err error) {
	list, err := answer.ToArray()
	if err != nil {
		return "", nil, nil, 0, err
	}
	if len(list) != 4 {
		return "", nil, nil, 0, errors.New("beat: not an answer")
	}
	status, err = list[0].ToString()
	infos, wrong := list[1].AsStrSlice()
	over, wrongToo := list[2].AsStrSlice()
	ms, wrongAsWell := list[3].AsInt64()
	return status, infos, over, time.Duration(ms) * time.Millisecond, errors.Join(err, wrong, wrongToo, wrongAsWell)
}

// learn takes over who is there. infos are a lease and what is told of it, in turns; of those in over
// nobody has cleaned up behind yet.
func (c *Cluster) learn(infos, over []string) {
	nodes := make(map[string]Node, len(infos)/2)
	var leases []string
	for i := 0; i+1 < len(infos); i += 2 {
		name, ok := nodeOf(infos[i])
		var n Node
		if !ok || slices.Contains(over, infos[i]) || json.Unmarshal([]byte(infos[i+1]), &n) != nil {
			continue // or of a later version
		}
		n.Name = name
		nodes[name] = n
		leases = append(leases, infos[i])
	}
	slices.Sort(leases)
	c.learnKeeping(nodes)
	t := &c.table
	t.mu.Lock()
	t.entered = true
	moved := !sameNodes(t.nodes, nodes)
	t.nodes, t.leases = nodes, leases
	t.missing.found(nodes)
	t.saw(nodes, c.cfg.Lease)
	var tell []func()
	if moved {
		tell = slices.Clone(t.changed)
	}
	t.mu.Unlock()
	t.beats.Add(1)
	c.wakeDesks()
	for _, f := range tell {
		guard.Call(c.log, "telling that a node has come or gone", f)
	}
}

// nodeOf is the name in a lease.
func nodeOf(lease string) (name string, ok bool) {
	name, number, ok := strings.Cut(lease, ".")
	_, err := strconv.ParseUint(number, 10, 64)
	return name, ok && err == nil && len(name) == nameSize
}

// reapTime is how long one node may take to clean up behind another.
const reapTime = 30 * time.Second

// jitter is a part of a lease, so that nodes do not do the same at the same time.
func (c *Cluster) jitter() int64 { return mrand.Int64N(int64(c.cfg.Lease)/4 + 1) }

// reap cleans up behind a lease that is over, unless somebody else does.
func (c *Cluster) reap(ctx context.Context, dead, lease string) {
	args := []string{dead, lease, strconv.FormatInt(reapTime.Milliseconds(), 10)}
	answer, err := c.own.exec(ctx, claimScript, c.leaseKeys(), args)
	if err != nil {
		return
	}
	if mine, err := answer.AsInt64(); err != nil || mine != 1 {
		return
	}
	c.running.Go(func() { c.cleanUp(dead) })
}

// cleanUp does what reap began. It may take its time; past reapTime another node does it too, which
// does no harm.
func (c *Cluster) cleanUp(dead string) {
	ctx, cancel := context.WithTimeout(c.beating, reapTime)
	defer cancel()
	if err := c.takeAway(ctx, dead); err != nil {
		return // whoever finds the claim over goes on
	}
	name, ok := nodeOf(dead)
	if ok && !c.alive(name) {
		c.log.Warn("a node of the cluster is gone: its lease is over", "node", name)
		for _, p := range c.parts {
			// What was written is written again within one timeout, and may be one more on its way.
			if !p.giveUp(ctx, name, 2*c.cfg.Timeout) || !p.free(ctx, name) {
				return // whoever finds the claim over goes on
			}
		}
	}
	c.count.reaped.Add(1)
	_ = c.own.do(ctx, "HDEL", c.nodes.reaping(), dead)
	c.Tell(kindNode, nil)
}

// alive reports whether a node has a lease, as far as this one heard.
func (c *Cluster) alive(name string) bool {
	if name == c.name {
		return true
	}
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	return slices.ContainsFunc(c.table.leases, func(lease string) bool {
		other, _ := nodeOf(lease)
		return other == name
	})
}

// forget drops what a partition has of a node: how far its publications were taken.
func (p *partition) forget(ctx context.Context, name string) error {
	return p.do(ctx, "HDEL", p.tag.state(), "s:"+name)
}

// giveUp is forget for a node that may still be there. It reports false where that may yet write
// something once more, since it did less than quiet ago, or nobody can say.
func (p *partition) giveUp(ctx context.Context, name string, quiet time.Duration) bool {
	args := []string{name, strconv.FormatInt(quiet.Milliseconds(), 10)}
	answer, err := p.exec(ctx, forgetScript, []string{p.tag.state()}, args)
	if err != nil {
		return false
	}
	done, err := answer.AsInt64()
	return err == nil && done == 1
}

// leave gives the lease back, so that nobody waits for it to be over.
func (c *Cluster) leave(ctx context.Context) {
	c.table.mu.Lock()
	// A beat without an answer may have entered it too.
	lease, never := c.table.lease(c.name), c.table.started.IsZero()
	c.table.mu.Unlock()
	if never {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	c.stopHolding(ctx)
	p := c.own
	for _, part := range c.parts {
		if part.desk.giveBack(ctx) != nil {
			return // the others clean up, when the lease is over
		}
	}
	// The lease goes last: nobody would clean up what is there without one.
	if p.do(ctx, "HDEL", c.nodes.info(), lease) != nil || p.do(ctx, "ZREM", c.nodes.leases(), lease) != nil {
		return // the others clean up, when the lease is over
	}
	c.Tell(kindNode, nil)
	_ = c.Flush(ctx)
	// Nothing is published behind this.
	for _, p := range c.parts {
		if p.forget(ctx, c.name) != nil {
			return
		}
	}
}
