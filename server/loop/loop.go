// Package loop puts bytes on sockets and takes them off: it accepts connections, reads
// for all of them, and owns the outgoing side of each, the outbox. It knows bytes and
// no meaning: what those of a connection mean is its [Protocol].
//
// Each connection belongs to one shard of a [Loop]. A shard has a reader, which
// waits for all its sockets at once, and a flusher. What waits on a socket is written in
// one system call: by a reader, at the end of its round or after about a millisecond, on
// whatever shard it is; by the flusher when it is for a crowd, and when no reader is on
// its round. Neither ever waits for one socket: what the kernel does not take stays in
// the outbox until the socket is writable. Protocols run on a shard's reader;
// [Protocol.Closed] runs on the loop's reaper.
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
	"cmp"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/closed"
)

// What holds where a [Config] says nothing. Settings of the same meaning begin with it.
const (
	DefaultOutbox       = 1 << 20
	DefaultMaxBlocked   = 512 << 20
	DefaultWriteTimeout = time.Minute
)

// Config holds what all connections of a loop share. Zero fields mean the
// defaults above, or those named here.
type Config struct {
	Outbox       int           // what may wait on one connection, in bytes of Cost
	MaxBlocked   int64         // what may wait for all sockets that take nothing
	WriteTimeout time.Duration // a socket that takes nothing for so long is closed
	CloseTimeout time.Duration // how long a peer has for its part of the end; 2 s

	Log *slog.Logger // panics of protocols and timers; slog.Default()

	// Goroutines makes every connection use goroutines, also where epoll is to
	// be had.
	Goroutines bool
}

func (c Config) withDefaults() Config {
	c.Outbox = cmp.Or(c.Outbox, DefaultOutbox)
	c.MaxBlocked = cmp.Or(c.MaxBlocked, DefaultMaxBlocked)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, DefaultWriteTimeout)
	c.CloseTimeout = cmp.Or(c.CloseTimeout, 2*time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// A Reason says why a connection ended. It is of the one list of all layers: the loop
// counts closed connections by it.
type Reason = closed.Reason

// The reasons that a loop itself closes connections for, and those that its protocols
// share.
const (
	ErrSlow         = closed.Slow         // the outbox is full
	ErrWriteTimeout = closed.WriteTimeout // the socket takes nothing
	ErrReset        = closed.Failed       // reading or writing failed
	ErrPeerClosed   = closed.ByPeer       // the peer closed
	ErrTooMuch      = closed.TooMuchInput // of all connections together
	ErrPanic        = closed.Panic        // a bug of ours; logged
	ErrClosed       = closed.ByServer     // in order
	ErrShutdown     = closed.Shutdown     // Loop.Close
)

// ErrTooMany is what those who bound connections say of one for which there is no
// place.
var ErrTooMany = errors.New("too many connections")

// A Loop serves connections. Make one with [New]; its methods may be called
// from any goroutine.
type Loop struct {
	cfg    Config
	outbox atomic.Int64 // Config.Outbox, see SetOutbox
	shards []*shard
	wheel  *wheel
	reaper reaper
	turn   atomic.Uint32 // of the shard that gets the next connection
	// readers counts those on their round: what is pushed meanwhile, and no flusher was
	// called for, is theirs to write before they wait again, whoever pushed it and to
	// whichever shard.
	readers atomic.Int32
	events  atomic.Uint32 // that readers have taken up: tells a crowd of one from many small ones

	turns      turns
	catchUp    catchUp
	pressing   pressing
	conns      atomic.Int64
	goroutines atomic.Int64 // of conns, those that have goroutines
	mu         sync.Mutex   // guards closed
	closed     map[Reason]uint64
}

// SetOutbox is [Config].Outbox from now on: for connections that come, and where it is more
// than before for those that are there too.
func (l *Loop) SetOutbox(bytes int) { l.outbox.Store(int64(bytes)) }

// New starts the goroutines of a loop: two for each shard, and two.
// They end with [Loop.Close].
func New(cfg Config) (*Loop, error) {
	l := &Loop{cfg: cfg.withDefaults(), closed: make(map[Reason]uint64)}
	l.SetOutbox(l.cfg.Outbox)
	l.reaper.init(l)
	for range shardCount() {
		s, err := newShard(l)
		if err != nil {
			for _, s := range l.shards {
				s.discard()
			}
			l.reaper.stop()
			return nil, err
		}
		l.shards = append(l.shards, s)
	}
	for _, s := range l.shards {
		s.start()
	}
	l.wheel = newWheel(l.cfg.Log)
	return l, nil
}

// shardCount leaves every second processor to those who publish. A flusher that
// is busy looks at nothing else; with one on each processor a publisher would
// wait for milliseconds to be heard, and buffers that could leave together would
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
	l.pressing.stop(l)
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
	Blocked    int64             // what waits in outboxes whose sockets take none now
	Sent       uint64            // bytes written since the start
	Received   uint64            // bytes read since the start
	Closed     map[Reason]uint64 // connections closed since the start

	// ByReaders and ByFlushers are how many outboxes were written since the start by
	// readers beside their reading, and by flushers, who have to be woken for it.
	ByReaders, ByFlushers uint64

	// Presses is how often since the start publishers waited for who presses: rounds of 20 ms
	// at the most, see [Loop.Press].
	Presses uint64

	// Panics are those of timers since the start.
	Panics uint64
}

// Stats returns the counts of this moment.
func (l *Loop) Stats() Stats {
	st := Stats{Conns: l.conns.Load(), Goroutines: l.goroutines.Load(), Panics: l.wheel.panics.Load(), Presses: l.pressing.rounds.Load(), Closed: make(map[Reason]uint64)}
	for _, s := range l.shards {
		st.Queued += s.queuedBytes.Load()
		st.Blocked += s.blockedBytes.Load()
		st.Sent += s.sentBytes.Load()
		st.Received += s.receivedBytes.Load()
		st.ByReaders += s.byReaders.Load()
		st.ByFlushers += s.byFlusher.Load()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for r, n := range l.closed {
		st.Closed[r] = n
	}
	return st
}

func (l *Loop) count(r Reason) {
	l.mu.Lock()
	l.closed[r]++
	l.mu.Unlock()
}
