package api

import (
	"poosh/server/closed"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
)

// terminate closes the connections of a user for good.
func (c *call) terminate() (reply, error) {
	return c.closeUser(func(conn *app.Connection) {
		conn.Expel(closed.ByApp, protocol.CodeUnauthorized, "the app has ended this user's connections")
	})
}

// forceReconnect closes the connections of a user, who is to come back, as Sockudo
// does.
func (c *call) forceReconnect() (reply, error) {
	return c.closeUser(func(conn *app.Connection) {
		conn.Expel(closed.Reconnect, protocol.CodeReconnect, "the app asks to reconnect")
	})
}

func (c *call) closeUser(end func(*app.Connection)) (reply, error) {
	id := c.of
	if !protocol.ValidUserID(id) {
		return nil, answer.Invalid("a user id has 1 to %d characters", protocol.MaxUserID)
	}
	list := c.app.OfUser(id, c.conf.TerminateMembers)
	for _, conn := range list {
		end(conn)
	}
	c.api.answer.Log.Debug("connections closed", "app", c.app.ID(), "connections", len(list))
	return empty, nil
}
