package wire

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A shard is the part of a loop's connections that share a reader and a
// flusher.
type shard struct {
	loop     *Loop
	poll     *poller // set once; nil where connections have goroutines
	maxStuck int64   // set once; of stuck

	queued atomic.Int64 // bytes that wait for the flusher
	stuck  atomic.Int64 // bytes that wait for a socket to be writable

	// strained counts connections whose outboxes are more than half full although
	// their sockets take bytes: the flusher does not keep up.
	strained atomic.Int64

	mu     sync.Mutex // guards what follows; taken with a Conn's mu held
	wake   *sync.Cond
	dirty  []*Conn    // have frames for the flusher
	spare  [][][]byte // empty outboxes
	held   int        // frames that spare has room for
	loners map[*Conn]struct{}
	over   bool

	ended sync.WaitGroup
}

const (
	// spareFrames bounds the room kept in empty outboxes, in frames: 16 MB.
	spareFrames = 16 << 20 / 24
	// scratchSize is how many bytes of small frames are put together for one
	// write.
	scratchSize = 64 << 10
)

func newShard(l *Loop) (*shard, error) {
	s := &shard{loop: l, maxStuck: l.cfg.Stuck / int64(shardCount()), loners: make(map[*Conn]struct{})}
	s.wake = sync.NewCond(&s.mu)
	if !l.cfg.Goroutines {
		p, err := newPoller()
		if err != nil {
			return nil, err
		}
		s.poll = p
	}
	if s.poll != nil {
		s.ended.Go(func() { s.poll.run(s) }) // ends with stop
		s.ended.Go(s.flush)                  // ends with stop
	}
	return s, nil
}

// stop ends the shard's goroutines. No connection is left.
func (s *shard) stop() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.wake.Broadcast()
	if s.poll != nil {
		s.poll.stop()
	}
	s.ended.Wait()
}

// all returns the shard's connections.
func (s *shard) all() []*Conn {
	var list []*Conn
	if s.poll != nil {
		list = s.poll.all()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.loners {
		list = append(list, c)
	}
	return list
}

// enqueue puts a connection on the flusher's list and gives it an outbox to
// fill. The connection's mu is held.
func (s *shard) enqueue(c *Conn) {
	if c.nc != nil {
		go c.drain() // ends when the outbox is empty or the connection dead
		return
	}
	s.mu.Lock()
	if n := len(s.spare); c.frames == nil && n > 0 {
		c.frames = s.spare[n-1]
		s.spare[n-1] = nil
		s.spare = s.spare[:n-1]
		s.held -= cap(c.frames)
	}
	s.dirty = append(s.dirty, c)
	first := len(s.dirty) == 1
	s.mu.Unlock()
	if first {
		s.wake.Signal()
	}
}

// flush is the flusher: it goes round the connections that have frames.
func (s *shard) flush() {
	var batch []*Conn
	var empty [][][]byte
	scratch := make([]byte, 0, scratchSize)
	for {
		s.mu.Lock()
		for _, frames := range empty {
			if s.held+cap(frames) > spareFrames {
				break
			}
			s.held += cap(frames)
			s.spare = append(s.spare, frames)
		}
		for len(s.dirty) == 0 && !s.over {
			s.wake.Wait()
		}
		if len(s.dirty) == 0 {
			s.mu.Unlock()
			return
		}
		batch, s.dirty = s.dirty, batch[:0]
		s.mu.Unlock()

		clear(empty)
		empty = empty[:0]
		for i, c := range batch {
			batch[i] = nil
			frames := c.take()
			if frames == nil {
				continue
			}
			n, rest, full, err := writeFrames(c.fd, frames, scratch)
			c.wrote(n, rest, full, err)
			if rest == nil {
				clear(frames)
				empty = append(empty, frames[:0])
			}
		}
		s.loop.caughtUp()
	}
}

// writeFrames writes as much as the socket takes, small frames together. rest
// is what did not leave.
func writeFrames(fd int, frames [][]byte, scratch []byte) (n int, rest [][]byte, full bool, err error) {
	for len(frames) > 0 {
		chunk, count := frames[0], 1
		if len(frames) > 1 && len(chunk)+len(frames[1]) <= cap(scratch) {
			scratch = append(scratch[:0], chunk...)
			for ; count < len(frames) && len(scratch)+len(frames[count]) <= cap(scratch); count++ {
				scratch = append(scratch, frames[count]...)
			}
			chunk = scratch
		}
		wrote, again, err := writeOnce(fd, chunk)
		n += wrote
		if err != nil {
			return n, nil, false, err
		}
		if wrote == len(chunk) {
			frames = frames[count:]
			continue
		}
		// Drop the whole frames that left, and the part of one.
		for wrote >= len(frames[0]) {
			wrote -= len(frames[0])
			frames = frames[1:]
		}
		rest = append([][]byte{frames[0][wrote:]}, frames[1:]...)
		if again {
			return n, rest, true, nil
		}
		frames = rest
	}
	return n, nil, false, nil
}

// arm tells the poller what to wait for on a connection. Its mu is held.
func (s *shard) arm(c *Conn) {
	if c.nc == nil && c.flags&watched != 0 {
		s.poll.modify(c.fd, c.flags&blocked != 0)
	}
}

// interrupt gets a connection's goroutines out of their system calls.
func (s *shard) interrupt(c *Conn) { _ = c.nc.SetDeadline(time.Unix(1, 0)) }

// remove closes a connection's socket and forgets it.
func (s *shard) remove(c *Conn) {
	if c.nc == nil {
		s.poll.close(c.fd)
		return
	}
	s.mu.Lock()
	delete(s.loners, c)
	s.mu.Unlock()
	_ = c.nc.Close()
}

// drain writes the outbox of a connection that has goroutines.
func (c *Conn) drain() {
	for {
		frames := c.take()
		if frames == nil {
			return
		}
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.shard.loop.cfg.WriteTimeout))
		buffers := net.Buffers(frames)
		n, err := buffers.WriteTo(c.nc)
		c.wrote(int(n), nil, false, err)
	}
}

// pull reads for a connection that has goroutines.
func (c *Conn) pull() {
	defer c.end(reading)
	buf := make([]byte, 4<<10)
	for {
		n, err := c.nc.Read(buf)
		c.received(buf[:n], err)
		if err != nil {
			return
		}
	}
}
