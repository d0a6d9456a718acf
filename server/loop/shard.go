package loop

import (
	"sync"
	"sync/atomic"
	"time"
)

// A shard is the part of a loop's connections that share a reader and a
// flusher.
type shard struct {
	loop       *Loop
	poll       *poller // set once; nil where connections have goroutines
	maxBlocked int64   // set once; of blockedBytes

	queuedBytes  atomic.Int64 // that wait to be written to sockets that take bytes
	blockedBytes atomic.Int64 // that wait for a socket to be writable

	// sentBytes and receivedBytes are what has left and come. The flusher adds once a round,
	// not once a write.
	sentBytes, receivedBytes atomic.Uint64

	// congested counts connections whose outboxes are more than half full although
	// their sockets take bytes: the flusher does not keep up.
	congested atomic.Int64

	byReaders, byFlusher atomic.Uint64 // outboxes of the shard that these wrote

	some atomic.Bool // whether anything is pending; changed under mu

	inserting sync.Mutex // held while a connection is added; taken before a Conn's mu

	mu           sync.Mutex // guards what follows; taken with a Conn's mu held
	wake         *sync.Cond
	pending      []*Conn            // have something to be written
	since        time.Time          // the first of pending is so old
	event        uint32             // of Loop.events, when something was pending last
	before       int                // how many were pending before that event
	called       bool               // the flusher, for what is pending
	flushing     bool               // the flusher is on its way round a crowd
	spare        [][][]byte         // empty outboxes
	held         int                // buffers that spare has room for
	onGoroutines map[*Conn]struct{} // of all connections, those that have goroutines
	over         bool

	ended sync.WaitGroup
}

const (
	// spareBuffers bounds the room kept in empty outboxes, in buffers: 16 MB.
	spareBuffers = 16 << 20 / 24
	// crowd is how many connections are too many for a reader to write to for one event
	// that arrived: about a millisecond's worth.
	crowd = 512
	// manyEvents is how many connections are too many whatever they are for, such as a
	// crowd that comes together while other readers take up events.
	manyEvents = 16 * crowd
	// late is how long something may wait for the flusher before a reader writes it, who
	// then does not read on meanwhile: publishers are not ahead of the loop for longer.
	late = 10 * time.Millisecond
	// scratchSize is how many bytes of small buffers are put together for one
	// write.
	scratchSize = 64 << 10
)

func newShard(l *Loop) (*shard, error) {
	s := &shard{loop: l, maxBlocked: l.cfg.MaxBlocked / int64(shardCount()), onGoroutines: make(map[*Conn]struct{})}
	s.wake = sync.NewCond(&s.mu)
	if !l.cfg.Goroutines {
		p, err := newPoller()
		if err != nil {
			return nil, err
		}
		s.poll = p
	}
	return s, nil
}

// start starts the shard's goroutines, when all shards of the loop are there.
func (s *shard) start() {
	if s.poll != nil {
		s.ended.Go(func() { s.poll.run(s) }) // ends with stop
		s.ended.Go(s.flush)                  // ends with stop
	}
}

// discard closes what a shard has open, when nothing of it runs.
func (s *shard) discard() {
	if s.poll != nil {
		s.poll.close()
	}
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
	s.discard()
}

// all returns the shard's connections.
func (s *shard) all() []*Conn {
	var list []*Conn
	if s.poll != nil {
		list = s.poll.all()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.onGoroutines {
		list = append(list, c)
	}
	return list
}

// tooMuchBlocked reports whether too much waits for sockets that take nothing.
func (s *shard) tooMuchBlocked() bool { return s.blockedBytes.Load() > s.maxBlocked }

// insert makes the shard responsible for closing c's socket.
func (s *shard) insert(c *Conn) {
	s.inserting.Lock()
	defer s.inserting.Unlock()
	if !c.onGoroutines() {
		s.poll.insert(c)
		return
	}
	s.mu.Lock()
	s.onGoroutines[c] = struct{}{}
	s.mu.Unlock()
}

// schedule sees to it that what a connection has is written: at the end of its round by
// a reader, if one is on its way and there is little, and by the flusher otherwise. While
// that is writing to a crowd, everything is left to it: what comes meanwhile leaves
// together, and who reads goes on reading. It gives the connection an outbox to fill. The
// connection's mu is held.
func (s *shard) schedule(c *Conn) {
	if c.onGoroutines() {
		go c.writeLoop(nil) // ends when the outbox is empty or the connection dead
		return
	}
	s.mu.Lock()
	if n := len(s.spare); c.queue == nil && n > 0 {
		c.queue = s.spare[n-1]
		s.spare[n-1] = nil
		s.spare = s.spare[:n-1]
		s.held -= cap(c.queue)
	}
	s.pending = append(s.pending, c)
	if len(s.pending) == 1 {
		s.since = time.Now()
		s.some.Store(true) // before readers is asked: a reader that is done looks here
	}
	if now := s.loop.events.Load(); now != s.event {
		s.event, s.before = now, len(s.pending)-1
	}
	n := len(s.pending)
	call := !s.called && (n-s.before >= crowd || n >= manyEvents || s.flushing || s.loop.readers.Load() == 0)
	s.called = s.called || call
	s.mu.Unlock()
	if call {
		s.wake.Signal()
		s.spawned()
	}
}

// spawned says that a goroutine became ready to run, for a reader that it may have become
// so on.
func (s *shard) spawned() {
	if s.poll != nil {
		s.poll.noteSpawned()
	}
}

// flush is the flusher: it goes round the connections that are too many for a reader, or
// that somebody pushed to while no reader was on its way.
func (s *shard) flush() {
	w := newWriter()
	for {
		s.mu.Lock()
		s.flushing = false
		for !s.called && !s.over {
			s.wake.Wait()
		}
		if !s.called {
			s.mu.Unlock()
			return
		}
		w.take(s)
		s.flushing = len(w.batch) >= crowd
		s.mu.Unlock()
		s.byFlusher.Add(w.write(s))
	}
}

// waiting is how many connections wait for the shard's reader to write to them.
func (s *shard) waiting() int {
	if !s.some.Load() {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.called {
		return 0
	}
	return len(s.pending)
}

// keep takes outboxes that are empty.
func (s *shard) keep(empty [][][]byte) {
	if len(empty) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, buffers := range empty {
		if s.held+cap(buffers) > spareBuffers {
			return
		}
		s.held += cap(buffers)
		s.spare = append(s.spare, buffers)
	}
}

// updateInterest tells the poller what to wait for on a connection. Its mu is held.
func (s *shard) updateInterest(c *Conn) {
	if c.onGoroutines() || c.flags&watched == 0 || c.life >= ended {
		return
	}
	if err := s.poll.modify(c); err != nil {
		c.kill(ErrReset)
	}
}

// interrupt gets a connection's goroutines out of their system calls.
func (s *shard) interrupt(c *Conn) {
	_ = c.nc.SetDeadline(time.Unix(1, 0))
	c.nc.look()
}

// closeWrite tells the peer that nothing more comes.
func (s *shard) closeWrite(c *Conn) {
	if !c.onGoroutines() {
		shutdownWrite(int(c.fd))
	} else if half, ok := c.nc.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// remove closes a connection's socket and forgets it.
func (s *shard) remove(c *Conn) {
	if !c.onGoroutines() {
		s.poll.closeConn(int(c.fd))
		return
	}
	s.mu.Lock()
	delete(s.onGoroutines, c)
	s.mu.Unlock()
	_ = c.nc.Close()
}
