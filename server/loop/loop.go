// Package loop puts bytes on sockets and takes them off: it accepts connections, reads
// for all of them, and owns the outgoing side of each, the outbox. It knows bytes and
// no meaning: what those of a connection mean is its [Protocol].
//
// Each connection belongs to one shard of a [Loop]. A shard has a reader, which
// waits for all its sockets at once, and a flusher, which writes all that waits on a
// socket in one system call. Neither ever waits for one socket: what the kernel does
// not take stays in the outbox until the socket is writable. Protocols run on a
// shard's reader; [Protocol.Closed] runs on the loop's reaper.
//
// # Why
//
// A goroutine for reading and one for writing would cost each idle connection
// several kilobytes, and each delivery a wake-up. What waits together leaves
// together, so under load a delivery costs a fraction of a system call.
//
// Where the operating system has no epoll, and for connections that are not
// plain TCP, a connection has a goroutine for reading and one for writing while
// something waits; the rules are the same.
package loop

import (
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Config holds what all connections of a loop share. Zero fields mean the
// defaults named here.
type Config struct {
	Outbox       int           // what may wait on one connection, in bytes of Cost; 1 MiB
	Stuck        int64         // what may wait for all sockets that take nothing; 512 MiB
	WriteTimeout time.Duration // a socket that takes nothing for so long is closed; 30 s
	CloseTimeout time.Duration // how long a peer has for its part of the end; 2 s

	Log *slog.Logger // panics of protocols; slog.Default()

	// Goroutines makes every connection use goroutines, also where epoll is to
	// be had.
	Goroutines bool
}

func (c Config) withDefaults() Config {
	if c.Outbox == 0 {
		c.Outbox = 1 << 20
	}
	if c.Stuck == 0 {
		c.Stuck = 512 << 20
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 30 * time.Second
	}
	if c.CloseTimeout == 0 {
		c.CloseTimeout = 2 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// A Reason names why a connection ended. Reasons are constants: the loop counts
// closed connections by them.
type Reason string

// Error returns the reason's name.
func (r Reason) Error() string { return string(r) }

// The reasons that a loop itself closes connections for, and those that its protocols
// share.
const (
	ErrSlow         Reason = "slow consumer"    // the outbox is full
	ErrWriteTimeout Reason = "write timeout"    // the socket takes nothing
	ErrReset        Reason = "transport error"  // reading or writing failed
	ErrGone         Reason = "transport close"  // the peer closed
	ErrTooMuch      Reason = "too much input"   // of all connections together
	ErrPanic        Reason = "handler panic"    // a bug of ours; logged
	ErrClosed       Reason = "closed by server" // in order
	ErrShutdown     Reason = "server shutdown"  // Loop.Close
)

// ErrTooMany is what those who bound connections say of one for which there is no
// place.
var ErrTooMany = errors.New("too many connections")

// A Loop serves connections. Make one with [New]; its methods may be called
// from any goroutine.
type Loop struct {
	cfg    Config
	shards []*shard
	wheel  *wheel
	reaper reaper
	turn   atomic.Uint32 // of the shard that gets the next connection

	catchUp    catchUp
	conns      atomic.Int64
	goroutines atomic.Int64 // of conns, those that have goroutines
	mu         sync.Mutex   // guards closed
	closed     map[Reason]uint64
}

// New starts the goroutines of a loop: two for each shard, and two.
// They end with [Loop.Close].
func New(cfg Config) (*Loop, error) {
	l := &Loop{cfg: cfg.withDefaults(), closed: make(map[Reason]uint64)}
	l.reaper.init(l)
	for range shardCount() {
		s, err := newShard(l)
		if err != nil {
			for _, s := range l.shards {
				s.stop()
			}
			l.reaper.stop()
			return nil, err
		}
		l.shards = append(l.shards, s)
	}
	l.wheel = newWheel()
	return l, nil
}

// shardCount leaves every second processor to those who publish. A flusher that
// is busy looks at nothing else; with one on each processor a publisher would
// wait for milliseconds to be heard, and frames that could leave together would
// leave one by one.
func shardCount() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// Close aborts every connection with [ErrShutdown], calls what handlers are
// due, and ends the loop's goroutines. Call it once, when nothing is accepted
// any more.
func (l *Loop) Close() {
	for _, s := range l.shards {
		for _, c := range s.all() {
			c.Abort(ErrShutdown)
		}
	}
	l.reaper.drain()
	l.wheel.stop()
	for _, s := range l.shards {
		s.stop()
	}
	l.reaper.stop()
}

// Schedule sets t to fire after d, not earlier and up to two tenths of a second
// later, whether it was scheduled before or not.
func (l *Loop) Schedule(t *Timer, d time.Duration) { l.wheel.schedule(t, d) }

// Cancel keeps t from firing. It does not wait for a Fire that has begun.
func (l *Loop) Cancel(t *Timer) { l.wheel.cancel(t) }

// Now is the loop's clock, in steps of a tenth of a second: it never jumps, and does
// not count the time during which the process did not run.
func (l *Loop) Now() time.Duration { return time.Duration(l.wheel.ticks.Load()) * tick }

// Stats describe a loop.
type Stats struct {
	Conns      int64             // open connections
	Goroutines int64             // of those, the ones that cost goroutines
	Queued     int64             // what waits in outboxes whose sockets take bytes, in bytes of Cost
	Stuck      int64             // what waits in outboxes whose sockets take none now
	Closed     map[Reason]uint64 // connections closed since the start
}

// Stats returns the counts of this moment.
func (l *Loop) Stats() Stats {
	st := Stats{Conns: l.conns.Load(), Goroutines: l.goroutines.Load(), Closed: make(map[Reason]uint64)}
	for _, s := range l.shards {
		st.Queued += s.queued.Load()
		st.Stuck += s.stuck.Load()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for r, n := range l.closed {
		st.Closed[r] = n
	}
	return st
}

// Backlog returns how many bytes wait for the loop itself to write them, not
// for a slow peer: a measure of whether publishers are ahead of the server.
func (l *Loop) Backlog() int64 {
	var n int64
	for _, s := range l.shards {
		n += s.queued.Load()
	}
	return n
}

// Behind reports whether the loop does not keep up: a connection whose socket
// takes bytes has more than half its outbox full. Whoever publishes then should
// wait a moment, or clients that do nothing wrong are closed as slow. Slow
// clients themselves do not count.
func (l *Loop) Behind() bool {
	for _, s := range l.shards {
		if s.strained.Load() > 0 {
			return true
		}
	}
	return false
}

// CaughtUp returns nil while whoever publishes may go on, or a channel that is
// closed when it is worth asking again. Publishers have to wait while [Loop.Behind]
// is true, or while more waits to be written than Config.Stuck.
func (l *Loop) CaughtUp() <-chan struct{} {
	if !l.late() {
		return nil
	}
	again := l.catchUp.wait()
	if !l.late() {
		l.catchUp.tell()
	}
	return again
}

func (l *Loop) late() bool { return l.Behind() || l.Backlog() > l.cfg.Stuck }

// caughtUp tells those who wait for the loop, if there are any and it is time.
func (l *Loop) caughtUp() {
	if l.catchUp.awaited.Load() && !l.late() {
		l.catchUp.tell()
	}
}

// catchUp is where publishers wait for the loop.
type catchUp struct {
	awaited atomic.Bool
	mu      sync.Mutex    // guards again
	again   chan struct{} // nil while nobody waits
}

func (u *catchUp) wait() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.again == nil {
		u.again = make(chan struct{})
	}
	u.awaited.Store(true)
	return u.again
}

func (u *catchUp) tell() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.again != nil {
		close(u.again)
		u.again = nil
	}
	u.awaited.Store(false)
}

func (l *Loop) count(r Reason) {
	l.mu.Lock()
	l.closed[r]++
	l.mu.Unlock()
}

// reaper closes the sockets of ended connections and tells their protocols, away
// from the goroutines that read and write.
type reaper struct {
	loop  *Loop
	mu    sync.Mutex // guards what follows
	wake  *sync.Cond
	list  []*Conn
	idle  bool
	over  bool
	ended sync.WaitGroup
}

func (r *reaper) init(l *Loop) {
	r.loop = l
	r.wake = sync.NewCond(&r.mu)
	r.ended.Go(r.run) // ends with stop
}

// add takes over a dead connection that nobody reads or writes any more.
func (r *reaper) add(c *Conn) {
	r.mu.Lock()
	r.list = append(r.list, c)
	r.mu.Unlock()
	r.wake.Broadcast()
}

func (r *reaper) run() {
	var batch []*Conn
	for {
		r.mu.Lock()
		for len(r.list) == 0 && !r.over {
			r.idle = true
			r.wake.Broadcast()
			r.wake.Wait()
		}
		r.idle = false
		if len(r.list) == 0 {
			r.mu.Unlock()
			return
		}
		batch, r.list = r.list, batch[:0]
		r.mu.Unlock()
		for i, c := range batch {
			c.bury()
			batch[i] = nil
		}
	}
}

// drain waits until no connection is left.
func (r *reaper) drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.loop.conns.Load() > 0 || len(r.list) > 0 || !r.idle {
		r.wake.Wait()
	}
}

func (r *reaper) stop() {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	r.wake.Broadcast()
	r.ended.Wait()
}
