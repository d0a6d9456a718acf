// Package closed says why connections left: every close has a [Reason] of one list, is
// counted by it, and the last few thousand stand in a [Book] that an operator can ask
// about one of them.
//
// # Why
//
// A close costs a lock and the copy of a few words, which is nothing beside the system
// call that closes a socket; nothing here is called for an event. The reasons of all
// layers and dialects are one list, so that a counter by reason has no name that somebody
// made up, and the same thing is called the same everywhere.
package closed

import "errors"

// A Reason is why a connection ended. It is an error, for those who are told of ends. The
// zero Reason is none.
type Reason uint8

// The reasons. Their texts are told to clients in places and are labels of metrics, so
// they stay as they are.
const (
	None Reason = iota

	// Of the loop, whatever is spoken.
	Slow         // the outbox is full, or too much waits for sockets that take nothing
	WriteTimeout // the socket takes nothing
	Failed       // reading or writing failed
	ByPeer       // the peer closed
	TooMuchInput // of all connections together
	Panic        // a bug of ours; logged
	ByServer     // in order, and nobody said why
	Shutdown     // the server ends

	// Of HTTP.
	Idle    // a request that did not come
	Evicted // its place went to somebody with something to say

	// Of WebSocket, RFC 6455.
	Protocol       // a breach of it
	TooBig         // a message of more bytes than one may have
	MessageTimeout // a message that has begun and does not end

	// Of clients, in all dialects.
	PingTimeout // no sign of life
	Malformed   // what was said is not understood
	Forced      // by the server, for what the client did or left undone
	Unfinished  // a polling client that did not come back after its handshake
	NotInTime   // no authorization within the time for it
	ByApp       // its application ended it
	Reconnect   // its application asked it to connect anew
	Kicked      // an operator closed it, or its application keeps its id out
	Replaced    // another connection has its id
	Asked       // it asked to be closed
	Inactive    // nothing was heard for a day, of who cannot be asked
	Waiting     // too much waited for the answer to a message before it

	// What a client wanted too much of.
	TooManyRooms
	RoomName
	RoomsFull
	TooManyTries
	TooManyEvents
	TooManyRequests
	StoreFailed // what it wants needs the store, which is not available

	Missed // a node of a cluster was cut off, and events may have passed it by

	reasons // how many there are
)

var names = [reasons]string{
	None: "none",

	Slow:         "slow consumer",
	WriteTimeout: "write timeout",
	Failed:       "transport error",
	ByPeer:       "transport close",
	TooMuchInput: "too much input",
	Panic:        "handler panic",
	ByServer:     "closed by server",
	Shutdown:     "server shutdown",

	Idle:    "idle timeout",
	Evicted: "port is full",

	Protocol:       "protocol error",
	TooBig:         "message too big",
	MessageTimeout: "message timeout",

	PingTimeout: "ping timeout",
	Malformed:   "parse error",
	Forced:      "forced server close",
	Unfinished:  "handshake without a request",
	NotInTime:   "not authorized in time",
	ByApp:       "ended by the app",
	Reconnect:   "asked to reconnect by the app",
	Kicked:      "kicked",
	Replaced:    "replaced",
	Asked:       "asked to close",
	Inactive:    "inactive",
	Waiting:     "too much waits for an answer",

	TooManyRooms:    "too many rooms",
	RoomName:        "room name refused",
	RoomsFull:       "rooms are full",
	TooManyTries:    "too many tries",
	TooManyEvents:   "too many events",
	TooManyRequests: "too many requests",
	StoreFailed:     "store is not available",

	Missed: "may have missed events",
}

// Error is the reason's name.
func (r Reason) Error() string { return names[r] }

// String is the reason's name.
func (r Reason) String() string { return names[r] }

// MarshalText is String, for JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(names[r]), nil }

// ReasonOf finds the reason in an error; [Failed] for one that has none.
func ReasonOf(err error) Reason {
	var r Reason
	if errors.As(err, &r) && r != None {
		return r
	}
	return Failed
}

// Reasons yields all but [None], in order.
func Reasons(yield func(Reason) bool) {
	for r := None + 1; r < reasons; r++ {
		if !yield(r) {
			return
		}
	}
}

// Named returns the reason that has a name.
func Named(name string) (Reason, bool) {
	for r := range Reasons {
		if names[r] == name {
			return r, true
		}
	}
	return None, false
}
