package pusher_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A raw client reads and writes frames as they are.
type raw struct {
	t        *testing.T
	ws       *websocket.Conn
	socketID string
}

func dialRaw(t *testing.T, s *server, query string) *raw {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(fmt.Sprintf("ws://127.0.0.1:%d/app/%s%s", s.port, appKey, query), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	p := &raw{t: t, ws: ws}
	var first struct{ Event, Data string }
	var data struct{ Socket_id string }
	if text := p.read(); json.Unmarshal([]byte(text), &first) != nil || json.Unmarshal([]byte(first.Data), &data) != nil || data.Socket_id == "" {
		t.Fatalf("first frame %s", text)
	}
	p.socketID = data.Socket_id
	return p
}

func (p *raw) read() string {
	p.t.Helper()
	_ = p.ws.SetReadDeadline(time.Now().Add(patience))
	_, data, err := p.ws.ReadMessage()
	if err != nil {
		p.t.Fatalf("reading: %v", err)
	}
	return string(data)
}

func (p *raw) send(text string) {
	p.t.Helper()
	if err := p.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *raw) join(channel string) {
	p.t.Helper()
	p.send(`{"event":"pusher:subscribe","data":{"channel":"` + channel + `"}}`)
	if got, want := p.read(), `{"event":"pusher_internal:subscription_succeeded","channel":"`+channel+`","data":"{}"}`; got != want {
		p.t.Fatalf("received %s", got)
	}
}

// closed waits for the end and returns its code.
func (p *raw) closed() int {
	p.t.Helper()
	_ = p.ws.SetReadDeadline(time.Now().Add(patience))
	for {
		if _, _, err := p.ws.ReadMessage(); err != nil {
			if ce, ok := err.(*websocket.CloseError); ok {
				return ce.Code
			}
			p.t.Fatalf("ended by %v", err)
		}
	}
}
