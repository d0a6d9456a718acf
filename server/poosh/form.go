package poosh

import (
	"encoding/json"
	"errors"
	"net/http"

	"poosh/auth"
	"poosh/server/dialect"
	"poosh/server/respond"
)

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
	return &dialect.Request{Port: "SERVER_PORT", Method: http.MethodPost, Target: sendPath + "?explain=1", Body: body,
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {auth.PooshSign(f.Secret, f.Payload)}}}, nil
}
