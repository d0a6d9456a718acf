package echo

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"poosh/server/dialect"
	"poosh/server/respond"
)

// fill makes the request with which a sender that has the key of an app of ECHO_KEYS sends an event
// to the HTTP API.
func (d *Dialect) fill(f dialect.Form) (*dialect.Request, error) {
	apps := d.api.Apps()
	switch {
	case f.App != appID:
		return nil, errors.New("app: want " + appID)
	case len(apps) == 0:
		return nil, errors.New("secret: ECHO_KEYS has none: without a key there is no API to send by")
	case f.Room == nil:
		return nil, errors.New("room: want a channel")
	}
	id := apps[0].ID // with a wrong key the API refuses any
	for _, a := range apps {
		if subtle.ConstantTimeCompare([]byte(a.Key), []byte(f.Secret)) == 1 {
			id = a.ID
		}
	}
	body := respond.Express.Body(struct {
		Channel string          `json:"channel"`
		Name    string          `json:"name"`
		Data    json.RawMessage `json:"data,omitempty"`
	}{*f.Room, f.Event, f.Payload})
	return &dialect.Request{Port: portSetting, Method: http.MethodPost, Target: "/apps/" + url.PathEscape(id) + "/events?explain=1", Body: body, Wrong: http.StatusForbidden,
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + f.Secret}}}, nil
}
