package poosh

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"

	"poosh/server/dialect"
	"poosh/server/respond"
)

// undefined is what a missing payload is signed as; see [auth.Poosh.Verify].
const undefined = "undefined"

// fill makes the request that a sender with a secret sends.
func fill(f dialect.Form) (*dialect.Request, error) {
	if f.App != appID {
		return nil, errors.New("app: want " + appID)
	}
	// Nothing in it is escaped that is not in what is signed.
	body := respond.Express.Body(struct {
		Room    *string         `json:"room,omitempty"`
		Event   string          `json:"event"`
		Payload json.RawMessage `json:"payload,omitempty"`
	}{f.Room, f.Event, f.Payload})
	signed := string(f.Payload)
	if f.Payload == nil {
		signed = undefined
	}
	sum := sha1.Sum([]byte(f.Secret + signed))
	return &dialect.Request{Port: "SERVER_PORT", Method: http.MethodPost, Target: sendPath + "?explain=1", Body: body,
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {hex.EncodeToString(sum[:])}}}, nil
}
