package pushsocket_test

import (
	"bytes"
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

	"github.com/gorilla/websocket"

	"poosh/test/process"
)

// A device has an Ed25519 key; the Node scripts have Curve25519 ones.
type device struct {
	p        *process.Process
	private  ed25519.PrivateKey
	username string
}

var client = &http.Client{Timeout: process.Patience, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}

// newDevice makes a device up and registers it.
func newDevice(t testing.TB, p *process.Process) *device {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{p, private, base64.StdEncoding.EncodeToString(public) + "|1"}
	status, answer, err := d.post("/api/v1/key/initial", `{"lastResortKey":{},"prekeys":[{}]}`)
	if status != 200 || err != nil {
		t.Fatalf("%d %s, %v", status, answer, err)
	}
	return d
}

func (d *device) password() string {
	digits := strconv.FormatInt(time.Now().UnixMilli(), 10)
	return digits + "|" + base64.StdEncoding.EncodeToString(ed25519.Sign(d.private, []byte(digits)))
}

func (d *device) post(path, body string) (int, string, error) {
	req, err := http.NewRequest("POST", d.p.URL()+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.SetBasicAuth(d.username, d.password())
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, string(answer), err
}

// mail sends one message and returns the status, and whether it was queued.
func (d *device) mail(to *device, text string) (status int, queued bool, err error) {
	status, answer, err := d.post("/api/v1/message/",
		fmt.Sprintf(`{"messages":[{"headers":[{"recipient":%q,"messageHeader":"h"}],"body":%q}]}`, to.username, text))
	return status, status == 200 && strings.HasPrefix(answer, `{"messagesQueued":1,`), err
}

// A listener is a raw connection of Engine.IO 3 over WebSocket.
type listener struct{ ws *websocket.Conn }

// listen connects and authorizes.
func (d *device) listen() (*listener, error) {
	dialer := websocket.Dialer{HandshakeTimeout: process.Patience}
	ws, _, err := dialer.Dial("ws://"+d.p.Addr()+"/socket.io/?EIO=3&transport=websocket", nil)
	if err != nil {
		return nil, err
	}
	l := &listener{ws}
	data, err := json.Marshal(map[string]string{"username": d.username, "password": d.password()})
	if err != nil {
		return nil, err
	}
	err = l.send(`42["authentication",` + string(data) + `]`)
	for _, want := range []string{"0{", "40", `42["authorized",null]`} {
		var got []byte
		if err == nil {
			if got, err = l.read(process.Patience); err == nil && !bytes.HasPrefix(got, []byte(want)) {
				err = fmt.Errorf("got %q, want %q", got, want)
			}
		}
	}
	if err != nil {
		ws.Close()
		return nil, err
	}
	return l, nil
}

func (l *listener) send(packet string) error {
	return l.ws.WriteMessage(websocket.TextMessage, []byte(packet))
}

func (l *listener) read(limit time.Duration) ([]byte, error) {
	_ = l.ws.SetReadDeadline(time.Now().Add(limit))
	_, data, err := l.ws.ReadMessage()
	return data, err
}

type mail struct{ ID, Header, Body string }

// message reads the next message.
func (l *listener) message(limit time.Duration) (mail, error) {
	var m mail
	data, err := l.read(limit)
	if err != nil {
		return m, err
	}
	text, ok := bytes.CutPrefix(data, []byte(`42["message",`))
	if !ok {
		return m, fmt.Errorf("got %q", data)
	}
	return m, json.Unmarshal(bytes.TrimSuffix(text, []byte("]")), &m)
}

func (l *listener) received(id string) error {
	return l.send(`42["recieved",{"messageId":"` + id + `"}]`)
}
