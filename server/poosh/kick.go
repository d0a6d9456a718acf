package poosh

import (
	"poosh/server/dialect"
	"poosh/server/hub"
	"poosh/server/socketio"
)

// kick closes clients for an operator; see [dialect.Running].
func kick(h *hub.Hub, server *socketio.Server, whom dialect.Whom) int {
	if !whom.Has(appID) {
		return 0
	}
	there := make(map[hub.Receiver]bool)
	if whom.Room != nil {
		for _, r := range h.Receivers(App, *whom.Room) {
			there[r] = true
		}
		if len(there) == 0 {
			return 0
		}
	}
	return server.KickAll(func(s *socketio.Session) bool {
		return whom.Is(s.ID(), s.RemoteAddr(), func(string) bool { return there[s] })
	})
}
