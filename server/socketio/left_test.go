package socketio

import (
	"testing"

	"poosh/server/closed"
)

// A session counts as what it was closed for, where the transport alone would know that
// the server closed it in order; and what it says of itself wins over what comes later.
func TestLeavesForWhatItWasClosedFor(t *testing.T) {
	for _, row := range []struct {
		cause, reason, want closed.Reason
	}{
		{closed.None, closed.ByServer, closed.ByServer},
		{closed.Kicked, closed.ByServer, closed.Kicked},
		{closed.Kicked, closed.Forced, closed.Kicked},
		{closed.Shutdown, closed.ByServer, closed.Shutdown},
		{closed.Kicked, closed.WriteTimeout, closed.WriteTimeout}, // it did not take the end of it
		{closed.None, closed.ByPeer, closed.ByPeer},
	} {
		s := &Session{cause: row.cause}
		if got := s.countedAs(row.reason); got != row.want {
			t.Errorf("asked to close for %v, ended for %v: counts as %v, want %v", row.cause, row.reason, got, row.want)
		}
	}
}
