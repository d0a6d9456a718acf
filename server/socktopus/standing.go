package socktopus

import (
	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/standing"
)

var _ hub.Describer = (*client)(nil)

// Describe says that there is one kind of connection, for whom nothing waits to be asked
// for; see [hub.Describer].
func (c *client) Describe() (kind string, waits bool) { return "", false }

// Ending says why the connection takes nothing any more; see [hub.Describer].
func (c *client) Ending() (why string, slow bool) {
	c.mu.Lock()
	ended, reason := c.ended, c.why
	c.mu.Unlock()
	if ended {
		return reason.String(), reason == closed.Slow || reason == closed.WriteTimeout
	}
	return c.conn.Ending()
}

// Standing is what an operator is told of the client; see [standing.Stander].
func (c *client) Standing() standing.Client {
	why, _ := c.Ending()
	return standing.Client{
		Transport: "websocket", Remote: c.conn.RemoteAddr(), Since: standing.Since(c.dialect.loop.Now() - c.opened),
		Waiting: c.conn.Waiting(), Ending: why,
	}
}

// Waiting returns how many bytes wait to be written to the client.
func (c *client) Waiting() int { return c.conn.Waiting() }
