package socktopus

import (
	"crypto/rand"
	"errors"
	"time"

	"poosh/server/closed"
	"poosh/server/command"
	"poosh/server/presence"
	"poosh/server/websocket"
)

// Among many processes a [presence.Holder] says who has an id: until it has answered, the
// client is not sent to, and what it says waits. Its room is the id, so it is seated where the
// answer stands among its messages, and gets each once, whatever connection another process has
// for the id.

// endAway ends a client whose id nobody could be asked for. It comes back as after any end.
var endAway = end{closed.Reconnect, "try again", websocket.CloseTryLater, false}

// join makes c the connection of its id, once everybody who has a say has been asked.
func (c *client) join(made int64) {
	holder := c.dialect.cfg().Holder
	if holder == nil {
		c.seatIn(made)
		return
	}
	c.heard()
	c.line.Begin()
	if c.dialect.keepsAcross() {
		c.name = rand.Text()
	}
	c.claim = &presence.Claim{App: c.app.room, ID: c.id, Made: made, Lost: c.lost}
	holder.Claim(c.claim, func(err error) {
		c.conn.Guard(func() { c.answered(made, err) })
		c.line.End(c)
	})
}

// answered seats a client that has its id, unless it is gone.
func (c *client) answered(made int64, err error) {
	switch {
	case errors.Is(err, presence.ErrAway):
		c.end(endAway)
		return
	case err != nil:
		c.end(endKicked)
		return
	}
	c.app.mu.Lock()
	c.claimed = true
	c.app.mu.Unlock()
	if !time.Now().Before(c.until) {
		// Its token is old by now: a bar for such may have been over before the answer was made.
		c.end(endAway)
	}
	if !c.isEnded() {
		if c.name != "" {
			c.mu.Lock()
			c.holding = true
			c.mu.Unlock()
			go c.fetch()
		}
		c.seatIn(made)
	}
	if c.isEnded() { // maybe as it was seated
		c.leave()
	}
}

// lost ends a client whose id another connection has, or that was kicked.
func (c *client) lost(why presence.Lost) {
	c.app.mu.Lock()
	c.claimed = false
	c.app.mu.Unlock()
	how := endReplaced
	if why == presence.Barred {
		how = endKicked
	}
	c.conn.Guard(func() { c.end(how) })
}

func (c *client) isEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// wait puts a message in the line.
func (c *client) wait(binary bool, data []byte) command.Verdict {
	return c.line.Wait(c, len(data), func() {
		c.conn.Guard(func() { c.handle(binary, data) })
	})
}

// Full implements [command.Owner].
func (c *client) Full(messages, bytes int) bool { return command.Full(messages, bytes) }

// Pause implements [command.Owner].
func (c *client) Pause() bool {
	c.conn.Pause()
	return true
}

// Resume implements [command.Owner].
func (c *client) Resume() { c.conn.Resume() }
