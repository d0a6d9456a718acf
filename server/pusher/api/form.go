package api

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
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
	sum := md5.Sum(body)
	path := "/apps/" + url.PathEscape(f.App) + "/events"
	query := url.Values{ // in the order in which they are signed
		"auth_key": {of.Conf().Key}, "auth_timestamp": {strconv.FormatInt(time.Now().Unix(), 10)}, "auth_version": {"1.0"},
		"body_md5": {hex.EncodeToString(sum[:])}, "explain": {"1"},
	}
	text := "POST\n" + path + "\n" + plain(query)
	query.Set("auth_signature", auth.PusherSign(f.Secret, text))
	return &dialect.Request{Method: http.MethodPost, Target: path + "?" + query.Encode(), Body: body,
		Header: http.Header{"Content-Type": {"application/json"}}}, nil
}

// plain is a query as it is signed: values are not escaped.
func plain(query url.Values) (text string) {
	for _, name := range []string{"auth_key", "auth_timestamp", "auth_version", "body_md5", "explain"} {
		text += "&" + name + "=" + query.Get(name)
	}
	return text[1:]
}
