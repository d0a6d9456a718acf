package commandline

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"poosh/auth"
	"poosh/server"
	"poosh/server/dialect"
)

// pusher speaks the protocol of Pusher Channels, version 7.
type pusher struct {
	key, secret string
	channels    []string
	missing     int // subscriptions that have no answer yet
}

func (p *pusher) address(at url.URL) *url.URL {
	at.Path += "/app/" + p.key
	at.RawQuery = url.Values{"protocol": {"7"}, "client": {agent}, "version": {"1"}}.Encode()
	return &at
}

// A frame is a message of the protocol. Data is a text with JSON in it, or JSON itself.
type frame struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	User    string          `json:"user_id"`
	Data    json.RawMessage `json:"data"`
}

// inner is what is in the data: the JSON in its text, if there is some.
func (f *frame) inner() json.RawMessage {
	var text string
	if json.Unmarshal(f.Data, &text) == nil && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return f.Data
}

func (p *pusher) message(w *wire, text []byte) (*event, error) {
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, errors.New("the server sends a message that is not understood")
	}
	switch f.Event {
	case "pusher:connection_established":
		return nil, p.subscribe(w, f.inner())
	case "pusher:ping":
		return nil, w.send(`{"event":"pusher:pong","data":{}}`)
	case "pusher:pong":
		return nil, nil
	case "pusher:error":
		return nil, p.failed(w, f.inner())
	case "pusher:subscription_error", "pusher_internal:subscription_error":
		var why struct{ Error string }
		_ = json.Unmarshal(f.inner(), &why) // it may say nothing
		return nil, &errFinal{refused, fmt.Sprintf("the server refuses the subscription to %s: %s", f.Channel, why.Error)}
	case "pusher_internal:subscription_succeeded":
		if p.missing--; p.missing == 0 {
			w.up()
		}
	}
	return &event{At: time.Now(), Channel: f.Channel, Event: f.Event, User: f.User, Data: f.inner()}, nil
}

// failed is told of an error of the protocol: a code from 4000 to 4099 says that it is of
// no use to connect anew; with others the server closes the connection, or keeps it.
func (p *pusher) failed(w *wire, data json.RawMessage) error {
	var why struct {
		Code    int
		Message string
	}
	_ = json.Unmarshal(data, &why) // it may say nothing
	if why.Code >= 4000 && why.Code < 4100 {
		return &errFinal{refused, fmt.Sprintf("the server refuses: %d, %s", why.Code, why.Message)}
	}
	w.note("the server says: %d, %s", why.Code, why.Message)
	return nil
}

// subscribe asks for all channels, once the server has said what the connection is called.
func (p *pusher) subscribe(w *wire, data json.RawMessage) error {
	var hello struct {
		SocketID        string `json:"socket_id"`
		ActivityTimeout int64  `json:"activity_timeout"`
	}
	if err := json.Unmarshal(data, &hello); err != nil || hello.SocketID == "" {
		return errors.New("the server's greeting is not understood")
	}
	if n := time.Duration(hello.ActivityTimeout) * time.Second; n > 0 && n < 24*time.Hour {
		w.silence = 2*n + patience // it asks for a sign of life in between
	}
	p.missing = len(p.channels)
	for _, channel := range p.channels {
		ask, err := p.subscription(channel, hello.SocketID)
		if err != nil {
			return err
		}
		if err := w.send(string(ask)); err != nil {
			return err
		}
	}
	return nil
}

func (p *pusher) subscription(channel, socket string) ([]byte, error) {
	data := map[string]string{"channel": channel}
	presence := strings.HasPrefix(channel, "presence-")
	if presence || strings.HasPrefix(channel, "private-") {
		if p.secret == "" {
			return nil, &errFinal{Failed, fmt.Sprintf("%s wants a signature, and the settings have no secret of the app", channel)}
		}
		signed := socket + ":" + channel
		if presence {
			data["channel_data"] = `{"user_id":` + jsonText("poosh-listen-"+socket) + `}`
			signed += ":" + data["channel_data"]
		}
		data["auth"] = p.key + ":" + auth.PusherSign(p.secret, signed)
	}
	return json.Marshal(map[string]any{"event": "pusher:subscribe", "data": data})
}

// pusherApp finds the app in the settings: the one that --app names, or the first that is
// on.
func (l *line) pusherApp(c *cli.Command, cfg *server.Config) (dialect.Application, error) {
	return l.appOf(cfg, c.String("app"))
}

// appOf is pusherApp for an id; without one it is the first that is on.
func (l *line) appOf(cfg *server.Config, id string) (dialect.Application, error) {
	for _, a := range cfg.Applications("pusher") {
		if id == "" && !a.Off || id != "" && a.ID == id {
			return a, nil
		}
	}
	if id != "" {
		return dialect.Application{}, l.fail(Failed, "the settings have no Pusher app %q", id)
	}
	return dialect.Application{}, l.fail(Failed, "the settings have no Pusher app that is on: want PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET, or PUSHER_APPS")
}
