package socktopus

import (
	"net/http"

	"poosh/server/hub"
	"poosh/server/respond"
	"poosh/server/websocket"
)

// The frames of /recieve, all of them text (the original, its read and write
// loops).
const (
	pingText  = "PING"  // client: I am here; renews the read deadline
	pongText  = "PONG"  // server: the answer
	closeText = "CLOSE" // either: this connection ends
	dataText  = "DATA:" // server: what follows is the content of a message
)

var (
	pongFrame  = websocket.TextFrame([]byte(pongText))
	closeFrame = websocket.TextFrame([]byte(closeText))
)

// encoder makes DATA: frames.
type encoder struct{}

// Encode returns the frame for a content.
func (encoder) Encode(p *hub.Publication) []byte {
	b := make([]byte, websocket.HeaderSpace+len(dataText)+len(p.Data))
	copy(b[websocket.HeaderSpace:], dataText)
	copy(b[websocket.HeaderSpace+len(dataText):], p.Data)
	return websocket.FrameInPlace(b)
}

// An errorBody is what every error is answered with. There is no line feed behind
// it, as in the original.
type errorBody struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func writeError(w http.ResponseWriter, status int, message string) {
	respond.Go.JSON(w, status, errorBody{status, message})
}
