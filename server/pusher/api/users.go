package api

import (
	"context"

	"poosh/server/pusher/answer"
	"poosh/server/pusher/protocol"
)

// terminate closes the connections of a user for good.
func (c *call) terminate() (reply, error) { return c.closeUser(c.app.TerminateUser) }

// forceReconnect closes the connections of a user, who is to come back, as Sockudo
// does.
func (c *call) forceReconnect() (reply, error) { return c.closeUser(c.app.ReconnectUser) }

func (c *call) closeUser(end func(ctx context.Context, id string, members bool) (int, error)) (reply, error) {
	id := c.of
	if !protocol.ValidUserID(id) {
		return nil, answer.Invalid("a user id has 1 to %d characters", protocol.MaxUserID)
	}
	if c.app.Joined() && c.aside() {
		return nil, errElsewhere
	}
	n, err := end(c.ctx, id, c.conf.TerminateMembers)
	if err != nil {
		return nil, err
	}
	c.api.answer.Log.Debug("connections closed", "app", c.app.ID(), "connections", n)
	return empty, nil
}
