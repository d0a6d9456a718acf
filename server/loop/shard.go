package loop

import (
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

// tooMuchStuck reports whether too much waits for sockets that take nothing.
func (s *shard) tooMuchStuck() bool { return s.stuck.Load() > s.maxStuck }

// insert makes the shard responsible for closing c's socket.
func (s *shard) insert(c *Conn) {
	if c.nc == nil {
		s.poll.insert(c)
		return
	}
	s.mu.Lock()
	s.loners[c] = struct{}{}
	s.mu.Unlock()
}

// enqueue puts a connection on the flusher's list and gives it an outbox to
// fill. The connection's mu is held.
func (s *shard) enqueue(c *Conn) {
	if c.nc != nil {
		go c.drain(nil) // ends when the outbox is empty or the connection dead
		return
	}
	s.mu.Lock()
	if n := len(s.spare); c.queue == nil && n > 0 {
		c.queue = s.spare[n-1]
		s.spare[n-1] = nil
		s.spare = s.spare[:n-1]
		s.held -= cap(c.queue)
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
			w := writeFrames(int(c.fd), frames, scratch)
			c.wrote(w)
			if w.rest == nil {
				clear(frames)
				empty = append(empty, frames[:0])
			}
		}
		s.loop.caughtUp()
	}
}

// writeFrames writes as much as the socket takes, small frames together.
func writeFrames(fd int, frames [][]byte, scratch []byte) (w written) {
	for len(frames) > 0 {
		chunk, count := gather(frames, scratch)
		n, again, err := writeOnce(fd, chunk)
		w.bytes += n
		if err != nil {
			w.err = err
			return w
		}
		if n == len(chunk) {
			w.cost += n + count*frameCost
			frames = frames[count:]
			continue
		}
		w.cost += n
		for n >= len(frames[0]) { // whole frames that left
			n -= len(frames[0])
			w.cost += frameCost
			frames = frames[1:]
		}
		w.rest = append([][]byte{frames[0][n:]}, frames[1:]...)
		if again {
			w.full = true
			return w
		}
		frames, w.rest = w.rest, nil
	}
	return w
}

// gather puts the small frames at the beginning together, and says how many these
// are.
func gather(frames [][]byte, scratch []byte) (chunk []byte, count int) {
	chunk, count = frames[0], 1
	if len(frames) > 1 && len(chunk)+len(frames[1]) <= cap(scratch) {
		scratch = append(scratch[:0], chunk...)
		for ; count < len(frames) && len(scratch)+len(frames[count]) <= cap(scratch); count++ {
			scratch = append(scratch, frames[count]...)
		}
		chunk = scratch
	}
	return chunk, count
}

// arm tells the poller what to wait for on a connection. Its mu is held.
func (s *shard) arm(c *Conn) {
	if c.nc != nil || c.flags&watched == 0 || c.flags&dead != 0 {
		return
	}
	if err := s.poll.modify(int(c.fd), c.flags); err != nil {
		c.kill(ErrReset)
	}
}

// interrupt gets a connection's goroutines out of their system calls.
func (s *shard) interrupt(c *Conn) { _ = c.nc.SetDeadline(time.Unix(1, 0)) }

// closeWrite tells the peer that nothing more comes.
func (s *shard) closeWrite(c *Conn) {
	if c.nc == nil {
		shutdownWrite(int(c.fd))
	} else if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// remove closes a connection's socket and forgets it.
func (s *shard) remove(c *Conn) {
	if c.nc == nil {
		s.poll.close(int(c.fd))
		return
	}
	s.mu.Lock()
	delete(s.loners, c)
	s.mu.Unlock()
	_ = c.nc.Close()
}

const (
	// pieceSize is how much is written at a time to a connection with goroutines:
	// each piece has WriteTimeout to leave, as a socket on the loop has to take
	// something.
	pieceSize = 64 << 10
	// slowAfter is when a socket counts as one that takes nothing for now.
	slowAfter = 20 * time.Millisecond
)

// drain writes the outbox of a connection that has goroutines, frames first.
func (c *Conn) drain(frames [][]byte) {
	var scratch []byte
	for {
		if frames == nil {
			if frames = c.take(); frames == nil {
				return
			}
		}
		if scratch == nil && len(frames) > 1 {
			scratch = make([]byte, 0, 4<<10)
		}
		c.wrote(c.writePiece(frames, scratch))
		c.shard.loop.caughtUp()
		frames = nil
	}
}

// writePiece writes a part of frames and may wait for the socket.
func (c *Conn) writePiece(frames [][]byte, scratch []byte) (w written) {
	chunk, count := gather(frames, scratch)
	if len(chunk) > pieceSize {
		chunk, count = chunk[:pieceSize], 0
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.shard.loop.cfg.WriteTimeout))
	slow := time.AfterFunc(slowAfter, c.slow)
	n, err := c.nc.Write(chunk)
	slow.Stop()
	w = written{bytes: n, cost: n, err: err}
	switch {
	case err != nil:
	case count == 0:
		w.rest = append([][]byte{frames[0][n:]}, frames[1:]...)
	default:
		w.cost += count * frameCost
		w.rest = frames[count:]
	}
	return w
}

// slow says that the write under way does not end: the socket takes nothing.
func (c *Conn) slow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&(writing|dead) == writing {
		c.setBlocked(true)
		if c.shard.tooMuchStuck() {
			c.kill(ErrSlow)
		}
	}
}
