package server

import (
	"poosh/server/dialect"
	"poosh/server/echo"
	"poosh/server/emitter"
	"poosh/server/poosh"
	"poosh/server/pusher"
	"poosh/server/pushsocket"
	"poosh/server/socktopus"
)

// dialects lists what is spoken, in the order in which a person wants to read the
// settings. A dialect is its folder and its line here.
func (c *Config) dialects() []*dialect.Dialect {
	node := poosh.Declare(&c.Network, &c.SocketIO, &c.History)
	return []*dialect.Dialect{
		node,
		pusher.Declare(&c.Network),
		socktopus.Declare(),
		echo.Declare(&c.Network, &c.SocketIO, &c.History),
		pushsocket.Declare(&c.Network, &c.SocketIO),
		emitter.Declare(poosh.DoorOf(node)),
	}
}
