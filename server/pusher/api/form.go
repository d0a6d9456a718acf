package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"poosh/auth"
	"poosh/server/dialect"
	"poosh/server/respond"
)

// Fill makes the request that a server of an app with a secret sends (Pusher Channels,
// HTTP API reference, "Authentication"), to whatever port the API is on.
func (a *API) Fill(f dialect.Form) (*dialect.Request, error) {
	of := a.apps.ID(f.App)
	switch {
	case of == nil:
		return nil, errors.New("app: there is none of this id")
	case f.Room == nil:
		return nil, errors.New("room: want the name of a channel")
	}
	body := respond.Express.Body(struct {
		Name     string          `json:"name"`
		Channels []string        `json:"channels"`
		Data     json.RawMessage `json:"data,omitempty"`
	}{f.Event, []string{*f.Room}, f.Payload})
	path := "/apps/" + url.PathEscape(f.App) + "/events"
	query := auth.SignPusherQuery(of.Conf().Key, f.Secret, http.MethodPost, path, body, time.Now(), "explain=1")
	return &dialect.Request{Method: http.MethodPost, Target: path + "?" + query, Body: body,
		Header: http.Header{"Content-Type": {"application/json"}}}, nil
}
