package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// reapAtOnce is how many of what a seat has are taken away in one command.
const reapAtOnce = 256

// leaveBehind takes away what is left of this node's seats before, and reports whether there were any.
func (d *desk) leaveBehind(l *link) bool {
	d.mu.Lock()
	if len(d.old) == 0 || len(d.again) > 0 || len(d.steps) > 0 {
		d.mu.Unlock()
		return false
	}
	old := d.old[0]
	d.mu.Unlock()
	left, err := d.script(l, reapScript, old, strconv.Itoa(reapAtOnce)).AsInt64()
	if err != nil {
		d.failed(l, err)
		return false
	}
	if left == 0 {
		d.mu.Lock()
		d.old = d.old[1:]
		d.mu.Unlock()
	}
	return true
}

// giveBack takes away all that this node has, as it leaves.
func (d *desk) giveBack(ctx context.Context) error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	d.over = true
	name := d.seat.name
	names := append(slices.Clone(d.old), name)
	d.mu.Unlock()
	for _, name := range names {
		if name == "" {
			continue
		}
		if err := d.reap(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// reap takes away all that a seat has, a part at a time. Several nodes may do so at once.
func (d *desk) reap(ctx context.Context, seat string) error {
	for {
		l := d.p.current()
		if l == nil {
			return fmt.Errorf("partition %d: the engine is away", d.p.index)
		}
		step, cancel := context.WithTimeout(ctx, d.p.c.cfg.Timeout)
		n, err := d.scriptWith(step, l, reapScript, seat, strconv.Itoa(reapAtOnce)).AsInt64()
		cancel()
		if err != nil {
			return err
		}
		if n == 0 {
			d.dueNow() // it may have been telling the applications of something
			return nil
		}
	}
}

// seatsOf lists the seats of a partition that are somebody's.
func (d *desk) seatsOf(ctx context.Context, whose func(lease string) bool) (list []string, err error) {
	l := d.p.current()
	if l == nil {
		return nil, fmt.Errorf("partition %d: the engine is away", d.p.index)
	}
	all, err := l.line.do(ctx, "HKEYS", d.p.tag.seats()).AsStrSlice()
	for _, seat := range all {
		if i := strings.LastIndexByte(seat, '.'); i > 0 && whose(seat[:i]) {
			list = append(list, seat)
		}
	}
	return list, err
}

// takeAway takes away all that a lease has, in all partitions at once: one after the other they would wait
// for an answer each time.
func (c *Cluster) takeAway(ctx context.Context, lease string) error {
	var taking sync.WaitGroup
	var failed [partitions]error
	for i, p := range c.rooms() {
		taking.Go(func() { failed[i] = p.desk.takeAway(ctx, lease) })
	}
	taking.Wait()
	return errors.Join(failed[:]...)
}

func (d *desk) takeAway(ctx context.Context, lease string) error {
	list, err := d.seatsOf(ctx, func(of string) bool { return of == lease })
	if err != nil {
		return err
	}
	for _, seat := range list {
		if err := d.reap(ctx, seat); err != nil {
			return err
		}
	}
	return nil
}

// sweep looks, once in a lease, for seats of leases that nobody has: whoever cleaned up behind such a
// one ended too early, or it was taken too late. Twice in a row is proof. It ends with the cluster.
func (c *Cluster) sweep() {
	var before map[string]bool
	for {
		select {
		case <-c.beating.Done():
			return
		case <-time.After(c.cfg.Lease + time.Duration(c.jitter())):
		}
		if !c.Up() {
			before = nil
			continue
		}
		now := make(map[string]bool)
		for _, p := range c.rooms() {
			ctx, cancel := context.WithTimeout(c.over, c.cfg.Timeout)
			list, err := p.desk.seatsOf(ctx, func(lease string) bool { return !c.hasLease(lease) })
			cancel()
			if err != nil {
				continue
			}
			for _, seat := range list {
				at := strconv.Itoa(p.index) + " " + seat
				if !before[at] {
					now[at] = true
				} else if err := p.desk.reap(c.over, seat); err != nil {
					now[at] = true
				}
			}
		}
		before = now
	}
}

// hasLease reports whether a lease is somebody's, as far as this node heard.
func (c *Cluster) hasLease(lease string) bool {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	return lease == c.table.lease(c.name) || slices.Contains(c.table.leases, lease)
}
