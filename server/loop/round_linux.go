package loop

import (
	"io"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// ahead is how long a reader may read on while something waits to be written. What
	// comes meanwhile for the same sockets leaves with it in one write.
	ahead = time.Millisecond
	// few connections are written to at once: little could come together for them.
	few = 8
	// looks is how often a reader looks for more before it takes the turns that wait: whoever was just answered
	// may say the next thing meanwhile, and a turn that has it too is one less.
	looks = 2
	// turnTime is how long a reader stays the same in the eyes of Go's scheduler. After ten
	// milliseconds that would take it for one who does not let others run, and look at it
	// fifty times a millisecond.
	turnTime = 8 * time.Millisecond
)

// round reads from the first n of p.events, and from what else is there then, and writes
// what came of it.
func (p *poller) round(s *shard, n int) {
	l := s.loop
	began := time.Now()
	if p.file == nil && began.Sub(p.yielded) > turnTime {
		runtime.Gosched()
		began = time.Now()
		p.yielded = began
	}
	for more := 0; n > 0; more++ {
		l.readers.Add(1)
		began = p.read(s, n, began)
		l.readers.Add(-1)
		p.writer.help(l)
		n = 0
		if l.turns.some.Load() && more < looks {
			n = p.wait(0)
		}
	}
	l.takeTurns()
}

// read reads from the first n of p.events, and from what else is there then, and returns since when it reads on.
func (p *poller) read(s *shard, n int, began time.Time) time.Time {
	l := s.loop
	for n > 0 {
		for i := range p.events[:n] {
			if c := p.of(&p.events[i]); c != nil {
				l.events.Add(1)
				p.ready(c, p.events[i].Events)
			}
			if now := time.Now(); now.Sub(began) > ahead {
				// Of any shard: while somebody is on a round, no flusher is called.
				l.readers.Add(-1)
				p.writer.help(l)
				l.takeTurns()
				l.readers.Add(1)
				began = now
			}
		}
		if s.waiting() <= few {
			break
		}
		n = p.wait(0)
	}
	return began
}

// ready handles what the kernel says of one socket.
func (p *poller) ready(c *Conn, events uint32) {
	if events&unix.EPOLLOUT != 0 {
		c.writable()
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	corked, ok := c.beginReading()
	if !ok {
		c.peerEnded(events)
		return
	}
	defer c.endReading()
	n, again, err := readOnce(int(c.fd), p.buf)
	switch {
	case again:
		c.received(nil, p.scratch, corked, nil)
	case err != nil:
		c.received(nil, p.scratch, corked, err)
	case n == 0:
		c.received(nil, p.scratch, corked, io.EOF)
	default:
		c.received(p.buf[:n], p.scratch, corked, nil)
	}
}

// peerEnded handles the end of a connection that is not being read for now.
func (c *Conn) peerEnded(events uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&watched == 0 || c.flags&(paused|deaf) == 0 && c.life != detaching {
		return
	}
	if ended := uint32(unix.EPOLLHUP | unix.EPOLLERR); events&ended != 0 || c.life != detaching && events&unix.EPOLLRDHUP != 0 {
		c.kill(ErrPeerClosed)
	}
}
