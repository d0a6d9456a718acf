package socktopus

import (
	"encoding/json"
	"errors"
	"net/http"

	"poosh/server/dialect"
	"poosh/server/respond"
)

// fill makes the request that an application with a secret sends: one message, to the
// connection that the form has for a room.
func (d *Dialect) fill(f dialect.Form) (*dialect.Request, error) {
	var content string
	switch {
	case d.rules.Load().apps[f.App] == nil:
		return nil, errors.New("app: there is none of this name")
	case f.Room == nil:
		return nil, errors.New("room: want the id of a connection")
	case f.Event != "":
		return nil, errors.New("event: messages of Socktopus have no name")
	case json.Unmarshal(f.Payload, &content) != nil:
		return nil, errors.New("payload: want a text")
	}
	body := respond.Express.Body(struct {
		SecretName string    `json:"secretName"`
		Secret     string    `json:"secret"`
		Messages   []message `json:"messages"`
	}{f.App, f.Secret, []message{{*f.Room, content}}})
	return &dialect.Request{Port: portSetting, Method: http.MethodPost, Target: "/send", Body: body,
		Header: http.Header{"Content-Type": {"application/json"}}}, nil
}
