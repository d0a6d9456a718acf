package app

import (
	"context"
	"sync"
	"time"

	"poosh/server/guard"
	"poosh/server/presence"
)

// askWithin bounds a question to the other processes that nobody waits for.
const askWithin = 5 * time.Second

// settleAfter is how long after a channel's number was told it is looked at again.
const settleAfter = time.Second

// A settling is a number that was told of a channel, and is looked at again: what two processes
// tell at once comes in one order, and what they were told in another.
type settling struct {
	channel string
	told    int
	due     time.Time
}

// settlings are those of an app. One goroutine looks at them, one after the other, and ends when
// there are none, or soon after stop.
type settlings struct {
	of    map[string]*settling
	queue []*settling // in the order in which they are due
	ctx   context.Context
	stop  context.CancelFunc
	busy  bool // the goroutine is there
	work  sync.WaitGroup
}

// settle notes what was told of a channel, in a cluster.
func (c *counter) settle(channel string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	l := &c.settling
	if s := l.of[channel]; s != nil {
		s.told = n
		return
	}
	if l.of == nil {
		l.of = make(map[string]*settling)
		l.ctx, l.stop = context.WithCancel(context.Background())
	}
	s := &settling{channel, n, time.Now().Add(settleAfter)}
	l.of[channel] = s
	l.queue = append(l.queue, s)
	if !l.busy {
		l.busy = true
		l.work.Go(func() {
			for c.settleNext(l.ctx) {
			}
		})
	}
}

// settleNext looks at the next channel once that is due, and reports whether it did.
func (c *counter) settleNext(ctx context.Context) bool {
	c.mu.Lock()
	l := &c.settling
	if c.over || len(l.queue) == 0 {
		l.busy, l.queue = false, nil
		c.mu.Unlock()
		return false
	}
	next := l.queue[0]
	c.mu.Unlock()
	wait := time.NewTimer(time.Until(next.due))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return true
	}
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return true
	}
	l.queue[0], l.queue = nil, l.queue[1:]
	delete(l.of, next.channel)
	told := next.told
	c.mu.Unlock()
	guard.Call(c.app.shared.Log, "looking how many subscribe", func() { c.settled(ctx, next.channel, told) }, "app", c.app.ID())
	return true
}

// settled tells the number of a channel once more, if this process has told another one.
func (c *counter) settled(ctx context.Context, channel string, told int) {
	if n, ok := c.ask(ctx, channel); ok && n > 0 && n != told && ctx.Err() == nil {
		c.tell(channel, n, noNetwork)
	}
}

// ask asks how many connections are in a channel; not ok where nobody knows.
func (c *counter) ask(ctx context.Context, channel string) (n int, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	n, _, err := c.app.CountAll(ctx, channel)
	return n, err == nil
}

// connection is a connection of the app among all of them, as the desk is told it.
func (x *across) connection(c *Connection, most int) presence.Entry {
	return presence.Entry{App: x.own, Room: countRoom, Socket: c.sub.ID(), Counted: true, MaxConnections: most}
}

// count counts a connection among those of all processes, and tells whether it may be there: no
// more than most may, or any number for 0. While the others cannot be asked it may, and counts
// later: nobody that was let in is sent away for that.
func (x *across) count(c *Connection, most int, answer func(may bool)) {
	at := x.connection(c, most)
	x.Desk.Enter(at, func(_ presence.Seated, err error) {
		c.socket.Guard(func() {
			defer c.done()
			switch {
			case x.heard(err):
				x.later(c, func() {
					if c.begin() {
						x.count(c, 0, func(bool) {})
					}
				})
			case err != nil:
				answer(false)
				return
			case c.isGone():
				x.Desk.Leave(at)
			default:
				x.mu.Lock()
				x.counted[c] = most
				x.mu.Unlock()
			}
			answer(true)
		})
	})
}

// uncount takes back what count did.
func (x *across) uncount(c *Connection) {
	x.mu.Lock()
	most, is := x.counted[c]
	delete(x.counted, c)
	x.pull(c)
	x.mu.Unlock()
	if is {
		x.Desk.Leave(x.connection(c, most))
	}
}

// Limited reports whether [Connection.Count] may say no.
func (a *App) Limited() bool { return a.across != nil && a.Conf().MaxConnections > 0 }

// Count counts an open connection among those of all processes. answer is told whether it may be
// there, on any goroutine and maybe before Count returns, unless the connection is gone; in one
// process alone it has been asked by [App.Admit]. Call it once.
func (c *Connection) Count(answer func(may bool)) {
	x := c.app.across
	if x == nil {
		answer(true)
		return
	}
	if c.sub != nil && c.begin() {
		x.count(c, c.app.Conf().MaxConnections, answer)
	}
}
