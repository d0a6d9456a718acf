package loop

import (
	"errors"
	"fmt"
	"time"
)

// How often Check looks at sums that do not agree, and how long it waits in between.
const (
	checkTries = 10
	checkPause = 10 * time.Millisecond
)

// Check looks for a connection that disagrees with itself, and for counts of the loop
// that are not those of its connections, and returns the first it finds: a fault of
// ours, for a log. It may be called from any goroutine while the loop is at work, and
// locks one connection at a time. Counts that move while they are added up seldom
// agree, so what differs is added up again: only a difference that stays is returned,
// a tenth of a second later.
func (l *Loop) Check() error {
	for _, s := range l.shards {
		for _, c := range s.all() {
			if remote, err := c.check(); err != nil {
				return fmt.Errorf("connection of %s: %w", remote, err)
			}
		}
	}
	stays := l.differences()
	for range checkTries {
		if stays == (sums{}) {
			return nil
		}
		time.Sleep(checkPause)
		stays.keep(l.differences())
	}
	return stays.err()
}

// sums are what a loop counts of its connections.
type sums struct{ conns, goroutines, queued, stuck, strained int64 }

// differences is by how much each count is more than what the connections come to.
func (l *Loop) differences() sums {
	d := sums{conns: l.conns.Load(), goroutines: l.goroutines.Load()}
	for _, s := range l.shards {
		d.queued += s.queued.Load()
		d.stuck += s.stuck.Load()
		d.strained += s.strained.Load()
		for _, c := range s.all() {
			d.conns--
			if c.nc != nil {
				d.goroutines--
			}
			c.mu.Lock()
			switch {
			case c.flags&dead != 0: // its bytes count no more
			case c.flags&blocked != 0:
				d.stuck -= int64(c.size)
			default:
				d.queued -= int64(c.size)
			}
			if c.flags&strained != 0 {
				d.strained--
			}
			c.mu.Unlock()
		}
	}
	return d
}

// keep forgets each difference that is another one now.
func (d *sums) keep(now sums) {
	for _, pair := range [][2]*int64{{&d.conns, &now.conns}, {&d.goroutines, &now.goroutines},
		{&d.queued, &now.queued}, {&d.stuck, &now.stuck}, {&d.strained, &now.strained}} {
		if *pair[0] != *pair[1] {
			*pair[0] = 0
		}
	}
}

// err says what differs.
func (d sums) err() error {
	if d == (sums{}) {
		return nil
	}
	return fmt.Errorf("the loop counts %+d connections, %+d with goroutines, %+d bytes that wait, %+d for sockets that take none, %+d outboxes that fill up, more than there are",
		d.conns, d.goroutines, d.queued, d.stuck, d.strained)
}

// check looks at all that a connection's lock guards. remote is whose it is.
func (c *Conn) check() (remote string, err error) {
	c.mu.Lock()
	p := c.protocol
	err = c.checkLocked()
	c.mu.Unlock()
	if err != nil {
		remote = p.RemoteAddr()
	}
	return remote, err
}

// checkLocked is check. c.mu is held.
func (c *Conn) checkLocked() error {
	cost := 0
	for _, frame := range c.queue {
		cost += Cost(frame)
	}
	busy := c.flags&writing != 0 // the writer holds a part of what size counts
	switch {
	case c.flags&dead != 0:
		if c.flags&(reading|writing|buried) == 0 {
			return errors.New("has ended and nobody lets it go")
		}
	case int(c.size) < cost, !busy && int(c.size) != cost:
		return fmt.Errorf("counts %d bytes that wait, and %d do", c.size, cost)
	case (c.size > c.limit/2 && c.flags&blocked == 0) != (c.flags&strained != 0):
		return fmt.Errorf("has %d bytes of %d waiting, and whether that is too much is not as it counts", c.size, c.limit)
	case c.nc == nil && cost > 0 && c.flags&started != 0 && c.flags&(queued|blocked|corked) == 0 && !busy:
		return fmt.Errorf("has %d bytes waiting, and nobody will write them", cost)
	}
	return nil
}
