package commandline

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"poosh/auth"
	"poosh/server/doctor"
)

// pushSocket is a message that a device of the Push Socket Protocol sends to itself. Unlike
// other dialects it is looked at through the proxy alone: devices register and send where
// they listen.
func (e *examination) pushSocket(at *url.URL) doctor.Canary {
	d := &device{at: at, client: clientFor(false), event: doctor.NewName()} // of certificates the examination tells
	d.key, d.name = newDevice()
	return doctor.Canary{
		Name: "the Push Socket Protocol", Event: d.event,
		Begin: func(ctx context.Context) (func(), error) {
			return func() { e.forget(d) }, d.register(ctx)
		},
		At:     func() *url.URL { return d.socketIO.address(*at) },
		Listen: listenAs(d), Send: d.send,
	}
}

// forget removes a device, and where the operators' token is known everything of it: what
// remains of a device that removes itself is that its key is revoked.
func (e *examination) forget(d *device) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	token, _ := e.cfg.Value("PUSH_SOCKET_OPERATOR_TOKEN").(string)
	if host, err := e.cfg.Near("PUSH_SOCKET_PORT"); err == nil && token != "" {
		at := url.URL{Scheme: e.cfg.Scheme("PUSH_SOCKET_PORT"), Host: host, Path: "/operator/store/identities"}
		key, _, _ := strings.Cut(d.name, "|")
		at.RawQuery = url.Values{"key": {key}}.Encode()
		req, err := http.NewRequestWithContext(ctx, http.MethodDelete, at.String(), nil)
		if err != nil {
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if status, _, _, err := tell(d.client, req); err == nil && status == http.StatusOK {
			return
		}
	}
	_, _ = d.ask(ctx, http.MethodDelete, "/key/", nil) // the server forgets it some day
}

// A device speaks the Push Socket Protocol: sockets as socket.io, everything else by HTTP,
// both with credentials that are good for a minute.
type device struct {
	socketIO
	at     *url.URL
	client *http.Client
	key    ed25519.PrivateKey
	name   string // as it is written: the key, and the device's id
	event  string // is what it sends to itself
}

func newDevice() (key ed25519.PrivateKey, name string) {
	public, key, _ := ed25519.GenerateKey(rand.Reader) // it never fails
	return key, auth.Address{Key: string(public), Device: "1"}.String()
}

// password signs the time.
func (d *device) password() string {
	digits := strconv.FormatInt(time.Now().UnixMilli(), 10)
	return digits + "|" + base64.StdEncoding.EncodeToString(ed25519.Sign(d.key, []byte(digits)))
}

// message authorizes the device when it is connected, and takes the body of a message for
// the name of an event, which it confirms.
func (d *device) message(w *wire, text []byte) (*event, error) {
	if strings.HasPrefix(string(text), "40") {
		return nil, w.send(`42["authentication",{"username":` + jsonText(d.name) + `,"password":` + jsonText(d.password()) + "}]")
	}
	e, err := d.socketIO.message(w, text)
	if e == nil || err != nil {
		return nil, err
	}
	var said struct {
		ID, Body, Message string
	}
	_ = json.Unmarshal(e.Data, &said) // of what is none of these nothing is said
	switch e.Event {
	case "authorized":
		w.up()
	case "not authorized":
		return nil, fmt.Errorf("not authorized: %s", said.Message)
	case "message":
		return &event{At: e.At, Event: said.Body}, w.send(`42["recieved",{"messageId":` + jsonText(said.ID) + "}]")
	}
	return nil, nil
}

// ask sends a request as the device, and returns what a good answer says.
func (d *device) ask(ctx context.Context, method, path string, body any) (answer []byte, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	at := *d.at
	at.Path += "/api/v1" + path
	req, err := http.NewRequestWithContext(ctx, method, at.String(), strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(d.name, d.password())
	status, _, answer, err := tell(d.client, req)
	if err != nil {
		return nil, err
	}
	return answer, refusedDevice(status, answer, method+" "+at.Path)
}

// refusedDevice says why a device is refused; nil for one that is not.
func refusedDevice(status int, answer []byte, asked string) error {
	var said struct{ Error string }
	ours := json.Unmarshal(answer, &said) == nil && said.Error != ""
	switch text := string(answer); {
	case status == http.StatusOK, status == http.StatusResetContent: // without prekeys
		return nil
	case status == http.StatusUnauthorized && text == "badly formed credentials":
		return fmt.Errorf("%s: %w", asked, doctor.ErrNoAuthorization)
	case status == http.StatusUnauthorized && text == "time":
		return fmt.Errorf("%s: %w", asked, doctor.ErrClock)
	case status == http.StatusUnauthorized && (text == "signature" || text == "not registered"):
		return fmt.Errorf("%s: not authorized: %s", asked, text)
	case ours && status != http.StatusNotFound && status != http.StatusMethodNotAllowed:
		return fmt.Errorf("%s: the server answers %s", asked, saidBy(status, answer))
	}
	return fmt.Errorf("%s: %d %s: %w", asked, status, http.StatusText(status), doctor.ErrNotPassed)
}

func (d *device) register(ctx context.Context) error {
	answer, err := d.ask(ctx, http.MethodPost, "/key/initial", map[string]any{"lastResortKey": map[string]int{"id": 1}, "prekeys": []map[string]int{{"id": 2}}})
	if err == nil && string(answer) != "OK" {
		return fmt.Errorf("POST %s/api/v1/key/initial: %w", d.at.Path, doctor.ErrNotPassed)
	}
	return err
}

// send sends a message to the device itself.
func (d *device) send(ctx context.Context) (delivered int, err error) {
	type header struct {
		Recipient string `json:"recipient"`
		Header    string `json:"messageHeader"`
	}
	type message struct {
		Headers []header `json:"headers"`
		Body    string   `json:"body"`
	}
	answer, err := d.ask(ctx, http.MethodPost, "/message/", map[string][]message{"messages": {{[]header{{d.name, "poosh-doctor"}}, d.event}}})
	if err != nil {
		return 0, err
	}
	var report struct{ MessagesQueued int }
	if err := json.Unmarshal(answer, &report); err != nil || report.MessagesQueued != 1 {
		return 0, errors.New("the server kept no message of a device to itself")
	}
	return report.MessagesQueued, nil
}
