package poosh

import (
	"math"

	"poosh/server/dialect"
	"poosh/server/hub"
	"poosh/server/socketio"
)

// kick closes clients for an operator; see [dialect.Running].
func kick(h *hub.Hub, server *socketio.Server, events *streams, whom dialect.Whom) int {
	if !whom.Has(appID) {
		return 0
	}
	there := make(map[hub.Receiver]bool)
	if whom.Room != nil {
		seated, _ := h.Seated(App, *whom.Room, math.MaxInt)
		for _, s := range seated {
			there[s.Receiver()] = true
		}
		if len(there) == 0 {
			return 0
		}
	}
	sessions := server.KickAll(func(s *socketio.Session) bool {
		return whom.Is(s.ID(), s.RemoteAddr(), func(string) bool { return there[s] })
	})
	return sessions + events.KickAll(func(s *stream) bool {
		return whom.Is(s.ID(), s.RemoteAddr(), func(string) bool { return there[s] })
	})
}
