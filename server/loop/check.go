package loop

import (
	"errors"
	"fmt"
)

// Check compares what the loop counts of all connections with what each of them has,
// and returns every difference, or nil. It may be called at any time from any
// goroutine, and holds up all connections of one shard at a time, for about a
// millisecond for each ten thousand.
func (l *Loop) Check() error {
	var wrong []error
	for i, s := range l.shards {
		if err := s.check(); err != nil {
			wrong = append(wrong, fmt.Errorf("shard %d: %w", i, err))
		}
	}
	return errors.Join(wrong...)
}

// check is the part of Check for one shard. All that is counted is counted with a
// connection's lock held, so with all of them held the sums stand still.
func (s *shard) check() error {
	s.inserting.Lock()
	defer s.inserting.Unlock()
	conns := s.all()
	for _, c := range conns {
		c.mu.Lock()
		defer c.mu.Unlock()
	}
	var wrong []error
	var queued, blocked, congested int64
	for _, c := range conns {
		if err := c.check(); err != nil {
			wrong = append(wrong, err)
		}
		switch size := int64(c.size); {
		case c.life >= ended: // counts no more
		case c.counter() == &s.blockedBytes:
			blocked += size
		default:
			queued += size
		}
		if c.isCongested() {
			congested++
		}
	}
	for _, sum := range []struct {
		of        string
		got, want int64
	}{
		{"bytes are queued", s.queuedBytes.Load(), queued},
		{"bytes are blocked", s.blockedBytes.Load(), blocked},
		{"connections are congested", s.congested.Load(), congested},
	} {
		if sum.got != sum.want {
			wrong = append(wrong, fmt.Errorf("%d %s by the shard's count, %d by its connections'", sum.got, sum.of, sum.want))
		}
	}
	return errors.Join(wrong...)
}

// check compares what a connection counts with what it has. c.mu is held.
func (c *Conn) check() error {
	cost := 0
	for _, buffer := range c.queue {
		cost += Cost(buffer)
	}
	switch {
	case c.life >= ended && len(c.queue) > 0:
		return fmt.Errorf("a connection that has ended has %d buffers", len(c.queue))
	case c.life < ended && c.flags&writing == 0 && int(c.size) != cost, int(c.size) < cost:
		return fmt.Errorf("a connection counts %d bytes and has %d", c.size, cost)
	case c.isCongested() != (c.flags&congested != 0):
		return fmt.Errorf("a connection with %d of %d bytes is wrong about being congested", c.size, c.limit)
	case (c.marks != nil) != (c.flags&marked != 0), c.marks != nil && c.life >= ended:
		return errors.New("a connection that has ended carries marks, or one is wrong about carrying some")
	case c.flags&writing == 0 && c.marks != nil && int32(c.marks.at-c.moved) > c.size:
		return fmt.Errorf("a mark waits for %d bytes, of which a connection has %d", c.marks.at-c.moved, c.size)
	case c.flags&deaf != 0 && c.flags&owes == 0, c.life < ended && c.flags&writing == 0 && c.flags&owes != 0 && int32(c.owedTo-c.moved) > c.size:
		return fmt.Errorf("a connection with %d bytes is wrong about what it owes", c.size)
	case int(c.latest) > len(c.queue):
		return fmt.Errorf("a connection of %d buffers says that one waits as number %d", len(c.queue), c.latest)
	}
	return nil
}
