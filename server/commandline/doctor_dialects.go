package commandline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"poosh/auth"
	"poosh/server/dialect"
	"poosh/server/doctor"
)

// A spoken dialect is one of WebSockets alone, as the doctor tries it.
type spoken struct {
	at       *url.URL // where a flag says that its clients connect; nil for no flag
	upstream string
	address  func(at url.URL) *url.URL // of the WebSocket
	canary   doctor.Canary
}

// others are the dialects of the settings beside those of socket.io.
func (e *examination) others() (list []spoken, err error) {
	for _, make := range []func() (*spoken, error){e.pusher, e.socktopus} {
		d, err := make()
		if err != nil {
			return nil, err
		}
		if d != nil {
			list = append(list, *d)
		}
	}
	return list, nil
}

// clients is where a flag says that clients are.
func (e *examination) clients(flag string) (*url.URL, error) {
	if !e.c.IsSet(flag) {
		return nil, nil
	}
	return e.line.whereBy(e.c, flag, e.cfg, "")
}

// pusher is the first app, or the one of --app: an event on a public channel.
func (e *examination) pusher() (*spoken, error) {
	if !e.isOpen("PUSHER_PORT") {
		return nil, nil
	}
	id := e.c.String("app")
	isOurs := func(a dialect.Application) bool { return a.ID == id }
	if e.octopus(id) != nil && !slices.ContainsFunc(e.cfg.Applications("pusher"), isOurs) {
		id = "" // the other dialect is meant
	}
	a, err := e.line.appOf(e.cfg, id)
	if err != nil {
		return nil, err
	}
	at, err := e.clients("pusher")
	if err != nil {
		return nil, err
	}
	api, err := e.line.whereBy(e.c, "pusher-api", e.cfg, "PUSHER_PORT")
	if err != nil {
		return nil, err
	}
	channel, event := doctor.NewName(), doctor.NewName()
	speak := &pusher{key: a.Key, secret: a.Secret, channels: []string{channel}}
	silence := time.Duration(number(e.cfg.Value("PUSHER_ACTIVITY_TIMEOUT")))
	client := e.client("pusher-api")
	return &spoken{at: at, upstream: e.near("PUSHER_PORT"), address: speak.address, canary: doctor.Canary{
		Name: "Pusher, app " + a.ID, Event: event, Interval: silence, Hint: "say --pusher",
		Listen: listenAs(speak),
		Send:   func(ctx context.Context) (int, error) { return -1, pusherSend(ctx, client, *api, a, channel, event) },
	}}, nil
}

// pusherSend publishes an event by the API of Pusher.
func pusherSend(ctx context.Context, client *http.Client, at url.URL, a dialect.Application, channel, event string) error {
	body, err := json.Marshal(map[string]string{"name": event, "channel": channel, "data": "{}"})
	if err != nil {
		return err
	}
	at.Path += "/apps/" + a.ID + "/events"
	at.RawQuery = auth.SignPusherQuery(a.Key, a.Secret, http.MethodPost, at.EscapedPath(), body, time.Now())
	status, answer, err := post(ctx, client, at, body)
	switch {
	case err != nil:
		return fmt.Errorf("%w; --pusher-api names another address", err)
	case status == http.StatusUnauthorized && strings.Contains(string(answer), "Timestamp"):
		return fmt.Errorf("%s: %w", at.Host, doctor.ErrClock)
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%s, the app's secret: %w", at.Host, doctor.ErrSecret)
	case status != http.StatusOK:
		return fmt.Errorf("%s answers %s", at.Host, saidBy(status, answer))
	}
	return nil
}

// post sends JSON to an API.
func post(ctx context.Context, client *http.Client, at url.URL, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	status, _, answer, err = tell(client, req)
	return status, answer, err
}

// socktopus is the first application, or the one of --app: a message to a connection.
func (e *examination) socktopus() (*spoken, error) {
	if !e.isOpen("SOCKTOPUS_PORT") {
		return nil, nil
	}
	a := e.octopus(e.c.String("app"))
	if a == nil {
		if e.c.IsSet("app") && !e.isOpen("PUSHER_PORT") { // whose app it would be
			return nil, e.line.fail(Failed, "the settings have no application of Socktopus %q", e.c.String("app"))
		}
		a = &e.cfg.Applications("socktopus")[0] // a secret opens the port
	}
	at, err := e.clients("socktopus")
	if err != nil {
		return nil, err
	}
	api, err := e.line.whereBy(e.c, "socktopus-api", e.cfg, "SOCKTOPUS_PORT")
	if err != nil {
		return nil, err
	}
	speak := &socktopus{name: a.ID, secret: a.Secret, id: doctor.NewName()}
	client := e.client("socktopus-api")
	event := doctor.NewName()
	return &spoken{at: at, upstream: e.near("SOCKTOPUS_PORT"), address: speak.address, canary: doctor.Canary{
		Name: "Socktopus, " + a.ID, Event: event, Interval: socktopusPing, Hint: "say --socktopus",
		Listen: listenAs(speak),
		Send:   func(ctx context.Context) (int, error) { return -1, speak.send(ctx, client, *api, event) },
	}}, nil
}

// octopus is the application of Socktopus of a name; nil if there is none.
func (e *examination) octopus(name string) *dialect.Application {
	for _, a := range e.cfg.Applications("socktopus") {
		if strings.EqualFold(a.ID, name) {
			return &a
		}
	}
	return nil
}

// socktopusPing is how often clients of Socktopus say that they are there.
const socktopusPing = 19 * time.Second

// socktopus speaks the protocol of Socktopus as one client.
type socktopus struct{ name, secret, id string }

func (s *socktopus) address(at url.URL) *url.URL {
	at.Path += "/recieve" // which is how it is spelled
	at.RawQuery = url.Values{"token": {auth.NewSocktopus(s.name, s.secret, s.id, time.Now())}}.Encode()
	return &at
}

// begin says that the client is there.
func (s *socktopus) begin(w *wire) error { return w.send("PING") }

// message takes what is sent to the client for the name of an event. It is told that it is
// there by the answer to a PING.
func (s *socktopus) message(w *wire, text []byte) (*event, error) {
	switch data, ok := strings.CutPrefix(string(text), "DATA:"); {
	case ok:
		return &event{At: time.Now(), Event: data}, nil
	case string(text) == "PONG":
		w.up()
	case string(text) == "CLOSE":
		return nil, fmt.Errorf("closed by the server")
	}
	return nil, nil
}

func (s *socktopus) send(ctx context.Context, client *http.Client, at url.URL, content string) error {
	body, err := json.Marshal(map[string]any{"secretName": s.name, "secret": s.secret,
		"messages": []map[string]string{{"recipient": s.id, "content": content}}})
	if err != nil {
		return err
	}
	at.Path += "/send"
	status, answer, err := post(ctx, client, at, body)
	switch {
	case err != nil:
		return fmt.Errorf("%w; --socktopus-api names another address", err)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%s, the application's secret: %w", at.Host, doctor.ErrSecret)
	case status != http.StatusOK:
		return fmt.Errorf("%s answers %s", at.Host, saidBy(status, answer))
	}
	return nil
}
