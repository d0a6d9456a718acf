package client

import (
	"strconv"

	"poosh/server/closed"
	"poosh/server/hub"
)

var _ hub.Describer = (*client)(nil)

// Describe says what kind of connection the client has, such as "protocol 7"; nothing
// waits for a client to ask for it. See [hub.Describer].
func (c *client) Describe() (kind string, waits bool) {
	return "protocol " + strconv.Itoa(int(c.version)), false
}

// Ending says why the connection takes nothing any more; see [hub.Describer].
func (c *client) Ending() (why string, slow bool) {
	if why := closed.Reason(c.why.Load()); why != closed.None {
		return why.String(), why == closed.Slow || why == closed.WriteTimeout
	}
	return c.conn.Ending()
}
