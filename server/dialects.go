package server

import (
	"poosh/server/dialect"
	"poosh/server/echo"
	"poosh/server/poosh"
	"poosh/server/pusher"
	"poosh/server/pushsocket"
	"poosh/server/socktopus"
)

// dialects lists what is spoken, in the order in which a person wants to read the
// settings. A dialect is its folder and its line here.
func (c *Config) dialects() []*dialect.Dialect {
	return []*dialect.Dialect{
		poosh.Declare(&c.Network, &c.SocketIO, &c.History),
		pusher.Declare(&c.Network),
		socktopus.Declare(),
		echo.Declare(&c.Network, &c.SocketIO, &c.History),
		pushsocket.Declare(&c.Network, &c.SocketIO),
	}
}
