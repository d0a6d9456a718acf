package client

import (
	"time"

	"poosh/server/closed"
	"poosh/server/pusher/protocol"
)

// firstTick is when the clock first matters.
func (c *client) firstTick() time.Duration {
	d := time.Duration(c.app().Conf().ActivityTimeout)
	if c.app().Conf().Authorize {
		d = min(d, time.Duration(c.app().Conf().AuthorizeTimeout))
	}
	return d
}

// inactivity is after how long a silent client of version 4 is closed, which
// cannot be asked for a pong (Pusher Channels protocol, close code 4202).
const inactivity = 24 * time.Hour

// tick looks whether the client is still there, and sets the timer again. It runs
// on the goroutine of all timers.
func (c *client) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	if c.line.Busy() || c.conn.Unheard() {
		c.seen.Store(int64(c.now())) // a sign of life may wait unread
	}
	now, seen := c.now(), time.Duration(c.seen.Load())
	silent, activity := now-seen, time.Duration(c.app().Conf().ActivityTimeout)
	next := activity - silent

	if seen >= c.probed { // it was silent for longer than a step of the clock before
		c.probed = 0
	}
	switch {
	case next > 0:
	case c.version == protocol.OldestVersion:
		if silent >= inactivity {
			c.close(closed.Inactive, protocol.CodeInactive, "nothing was heard for 24 hours")
			return
		}
		c.conn.Push(protocol.WirePing)
		next = activity
	case c.probed == 0:
		// A page that the browser has put to sleep answers the second one alone.
		c.conn.Push(c.own(protocol.PingFrame))
		c.conn.Push(protocol.WirePing)
		c.probed, next = now, c.server.cfg().PongTimeout
	default:
		if next = c.probed + c.server.cfg().PongTimeout - now; next <= 0 {
			c.close(closed.PingTimeout, protocol.CodeNoPong, "no answer to a ping")
			return
		}
	}
	if c.app().Conf().Authorize && !c.place.Trusted() {
		left := c.opened + time.Duration(c.app().Conf().AuthorizeTimeout) - now
		if left <= 0 {
			c.Expel(closed.NotInTime, protocol.CodeUnauthorized, "connections must be authorized, and this one was not in time")
			return
		}
		next = min(next, left)
	}
	c.server.loop.Schedule(&c.timer, next)
}
