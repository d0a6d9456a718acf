package client

import (
	"strconv"

	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/standing"
)

var _ hub.Describer = (*client)(nil)

// Describe says what kind of connection the client has, such as "protocol 7"; nothing
// waits for a client to ask for it. See [hub.Describer].
func (c *client) Describe() (kind string, waits bool) {
	return Version(int(c.version)), false
}

// Version is what a version of the protocol is called, to operators.
func Version(n int) string { return "protocol " + strconv.Itoa(n) }

// Standing is what an operator is told of the client; see [standing.Stander].
func (c *client) Standing() standing.Client {
	why, _ := c.Ending()
	who := standing.Client{
		Transport: "websocket", Version: Version(int(c.version)), Remote: c.RemoteAddr(),
		Since: standing.Since(c.now() - c.opened), Waiting: c.conn.Waiting(), Ending: why,
	}
	if user := c.place.User(); user != nil {
		who.User = user.ID
	}
	return who
}

// Waiting returns how many bytes wait to be written to the client.
func (c *client) Waiting() int { return c.conn.Waiting() }

// Ending says why the connection takes nothing any more; see [hub.Describer].
func (c *client) Ending() (why string, slow bool) {
	if why := closed.Reason(c.why.Load()); why != closed.None {
		return why.String(), why == closed.Slow || why == closed.WriteTimeout
	}
	return c.conn.Ending()
}
