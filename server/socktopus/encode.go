package socktopus

import (
	"encoding/json"
	"net/http"

	"poosh/server/hub"
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
	writeJSON(w, status, errorBody{status, message})
}

// writeJSON answers with a value that cannot fail to become JSON.
func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}
