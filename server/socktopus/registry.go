package socktopus

import "poosh/server/command"

// A Registry is asked before a client has its id, in whatever process, and may refuse it.
// In one process alone there is none.
//
// answer is to be called once, from any goroutine, before Claim returns or later, within
// a time that the Registry bounds: until then the client is not sent to, and what it says
// waits. An error ends it as a kick does. Release takes back one yes, of who is gone, has
// lost the id to another, or was gone when the yes came; it must not block. made is the
// time in the client's token, in milliseconds.
type Registry interface {
	Claim(app, id string, made int64, answer func(error))
	Release(app, id string)
}

// join makes c the connection of its id, once everybody who has a say has been asked.
func (c *client) join(made int64) {
	registry := c.dialect.cfg().Registry
	if registry == nil {
		c.seatIn(made)
		return
	}
	c.heard()
	c.line.Begin()
	registry.Claim(c.app.name, c.id, made, func(err error) {
		c.conn.Guard(func() { c.answered(made, err) })
		c.line.End(c)
	})
}

// answered seats a client that the registry lets in, unless it is gone.
func (c *client) answered(made int64, err error) {
	if err != nil {
		c.end(endKicked)
		return
	}
	c.app.mu.Lock()
	c.claimed = true
	c.app.mu.Unlock()
	if !c.isEnded() {
		c.seatIn(made)
	}
	if c.isEnded() { // maybe as it was seated
		c.leave()
	}
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
