package attacks_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A device is one of the Push Socket Protocol.
type device struct {
	s        *server
	private  ed25519.PrivateKey
	username string
}

// newDevice makes a device up; nobody knows it yet.
func newDevice(s *server) *device {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err) // there is randomness
	}
	return &device{s, private, base64.StdEncoding.EncodeToString(public) + "|1"}
}

func (d *device) password() string {
	digits := strconv.FormatInt(time.Now().UnixMilli(), 10)
	return digits + "|" + base64.StdEncoding.EncodeToString(ed25519.Sign(d.private, []byte(digits)))
}

// post makes a request as the device.
func (d *device) post(c *http.Client, path, body string) (string, error) {
	return post(c, d.s.url(d.s.pushPort)+path, body, func(r *http.Request) { r.SetBasicAuth(d.username, d.password()) })
}

// register makes the device known.
func (d *device) register(c *http.Client) error {
	_, err := d.post(c, "/api/v1/key/initial", `{"lastResortKey":{"id":1},"prekeys":[{"id":2}]}`)
	return err
}

// mail sends a message and returns an error unless it was queued.
func (d *device) mail(c *http.Client, to *device, text string) error {
	answer, err := d.post(c, "/api/v1/message/", fmt.Sprintf(`{"messages":[{"headers":[{"recipient":%q,"messageHeader":"h"}],"body":%q}]}`, to.username, text))
	if err != nil {
		return err
	}
	if !strings.HasPrefix(answer, `{"messagesQueued":1,`) {
		return fmt.Errorf("answered 200 %s", answer)
	}
	return nil
}

// listen connects, authorizes, and confirms the messages that come.
func (d *device) listen(got func(body string) error, gone func(error)) (io.Closer, error) {
	ws, err := d.s.dialWebSocket(d.s.pushPort, "/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return nil, err
	}
	if err = say(ws, "40"); err == nil {
		_, err = expect(ws, "40")
	}
	if err == nil {
		credentials, _ := json.Marshal(map[string]string{"username": d.username, "password": d.password()})
		err = say(ws, `42["authentication",`+string(credentials)+`]`)
	}
	if err == nil {
		_, err = expect(ws, `42["authorized"`)
	}
	if err != nil {
		_ = ws.Close()
		return nil, err
	}
	go follow(ws, func(text string) error { // ends with ws
		if text == "2" {
			return say(ws, "3")
		}
		text, ok := strings.CutPrefix(text, `42["message",`)
		if !ok {
			return nil
		}
		var m struct{ ID, Body string }
		if err := json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &m); err != nil {
			return err
		}
		if err := say(ws, `42["recieved",{"messageId":"`+m.ID+`"}]`); err != nil {
			return err
		}
		return got(m.Body)
	}, gone)
	return ws, nil
}

// pushDialect is the Push Socket Protocol; a room is a device that is known.
type pushDialect struct {
	sender  *device
	devices map[string]*device
}

func newPushDialect(t *testing.T, s *server) pushDialect {
	t.Helper()
	d := pushDialect{newDevice(s), map[string]*device{ledgerRoom: newDevice(s), newRoom: newDevice(s)}}
	c := newSender()
	defer c.CloseIdleConnections()
	for _, known := range []*device{d.sender, d.devices[ledgerRoom], d.devices[newRoom]} {
		if err := known.register(c); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func (pushDialect) name() string { return "push socket" }

func (d pushDialect) listen(room string, got func(int), gone func(error)) (io.Closer, error) {
	return d.devices[room].listen(func(body string) error {
		if n, err := strconv.Atoi(body); err == nil { // or it is a stranger's
			got(n)
		}
		return nil
	}, gone)
}

func (d pushDialect) send(c *http.Client, room string, n int) error {
	return d.sender.mail(c, d.devices[room], strconv.Itoa(n))
}
