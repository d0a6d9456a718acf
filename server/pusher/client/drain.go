package client

import (
	"context"
	"fmt"

	"poosh/server/closed"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
)

// A Leaver is a connection of a server that goes away.
type Leaver struct{ conn *app.Connection }

// Leave closes the connection with 4200, after which its client connects anew at once:
// Pysher only when pusher:error comes before.
func (l Leaver) Leave() { l.conn.Expel(closed.Shutdown, protocol.CodeReconnect, goingAway) }

// Missed closes the connection with 4200, since events may have passed it by; see [hub.Misser].
func (c *client) Missed() {
	c.Expel(closed.Missed, protocol.CodeReconnect, "events may have been missed, connect anew")
}

// Leave takes no connection any more, and returns those that are open. One that comes
// meanwhile closes itself.
func (s *Server) Leave() []Leaver {
	s.open.Close()
	open := s.apps.Connections()
	list := make([]Leaver, len(open))
	for i, c := range open {
		list[i] = Leaver{c}
	}
	return list
}

// Close closes the connections that are left, all of them at once, and waits until they
// are gone.
func (s *Server) Close(ctx context.Context) error {
	for _, c := range s.Leave() {
		c.Leave()
	}
	if err := s.open.Wait(ctx); err != nil {
		return fmt.Errorf("%d connections are left: %w", s.Len(), err)
	}
	return nil
}
