package socketio

// A turnedAway says why somebody got no session, or was not heard.
type turnedAway uint8

const (
	refusedSessions   turnedAway = iota // as many sessions as there may be
	refusedAddress                      // of one address
	refusedUnfinished                   // of one address, without a request
	refusedOrigin                       // of a page
	refusedHandshake                    // of WebSocket
	refusedBody                         // too much is held of requests
)

var turnedAwayNames = [...]string{
	refusedSessions:   "too many sessions",
	refusedAddress:    "too many sessions of one address",
	refusedUnfinished: "too many unfinished handshakes of one address",
	refusedOrigin:     "origin refused",
	refusedHandshake:  "handshake failed",
	refusedBody:       "too much input",
}
