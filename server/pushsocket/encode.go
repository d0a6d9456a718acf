package pushsocket

import (
	"strconv"
	"time"

	"poosh/auth"
	"poosh/server/pushsocket/store"
	"poosh/server/socketio"
)

// The events of the protocol, spelled as in the wiki.
const (
	eventAuthentication = "authentication"
	eventAuthorized     = "authorized"
	eventNotAuthorized  = "not authorized"
	eventMessage        = "message"
	eventReceived       = "recieved"
)

// A reason is why credentials are refused, in the words of the wiki and, for
// registered, of the original's HTTP API.
type reason string

const (
	reasonBadlyFormed   reason = "badly formed credentials"
	reasonNotRegistered reason = "not registered"
	reasonRegistered    reason = "registered"
	reasonRevoked       reason = "revoked"
	reasonTime          reason = "time"
	reasonSignature     reason = "signature"
)

// authorizedFrame is 42["authorized",null].
var authorizedFrame = socketio.EventFrame(eventAuthorized, nil)

// notAuthorizedFrame tells why; with [reasonTime] it carries the server's time, a
// string of milliseconds that may be signed as it is.
func notAuthorizedFrame(why reason, now time.Time) []byte {
	data := `{"message":"` + string(why) + `"}`
	if why == reasonTime {
		data = `{"message":"time","serverTime":"` + strconv.FormatInt(now.UnixMilli(), 10) + `"}`
	}
	return socketio.EventFrame(eventNotAuthorized, []byte(data))
}

// messageFrame carries header and body as they were posted.
func messageFrame(m store.Message) []byte {
	data := make([]byte, 0, len(m.Header)+len(m.Body)+64)
	data = append(data, `{"id":"`...)
	data = append(data, m.ID...)
	data = append(data, `","header":`...)
	data = append(data, m.Header...)
	data = append(data, `,"body":`...)
	data = append(data, m.Body...)
	return socketio.EventFrame(eventMessage, append(data, '}'))
}

// A credential is the data of an authentication event.
type credential struct{ username, password string }

// maxCredential bounds the data of an authentication event, in bytes.
const maxCredential = 4096

var (
	credentialMembers = []string{"username", "password"}
	receivedMembers   = []string{"messageId"}
)

// decodeCredential reads the first argument of an authentication event. Anything
// else than an object with two strings is an empty one, and so badly formed; the
// original did not answer at all.
func decodeCredential(args [][]byte) credential {
	var m [2]auth.Value
	if len(args) == 0 || len(args[0]) > maxCredential || auth.Pick(args[0], credentialMembers, m[:]) != nil ||
		m[0].Kind() != auth.String || m[1].Kind() != auth.String {
		return credential{}
	}
	return credential{m[0].String(), m[1].String()}
}

// decodeReceived reads the message's id from the data of a recieved event.
func decodeReceived(args [][]byte) string {
	var m [1]auth.Value
	if len(args) == 0 || len(args[0]) > maxCredential || auth.Pick(args[0], receivedMembers, m[:]) != nil ||
		m[0].Kind() != auth.String || len(m[0].Bytes()) > maxMessageID {
		return ""
	}
	return m[0].String()
}

// maxMessageID bounds an id as it is written, in bytes.
const maxMessageID = 64

// A report answers the sender of messages: the wiki's members, which the original
// meant to send, and three of what its store had no bounds for. Lists hold
// recipients as they were written, each once.
type report struct {
	MessagesQueued  int      `json:"messagesQueued"`
	KeysNotFound    []string `json:"keysNotFound"`
	RevokedKeys     []string `json:"revokedKeys"`
	MissingDevices  []string `json:"missingDevices"`
	FullDevices     []string `json:"fullDevices"`     // a message was refused: no room, or no more for this sender or all like it
	DroppedFor      []string `json:"droppedFor"`      // older messages made room
	MessagesDropped int      `json:"messagesDropped"` // how many
}
