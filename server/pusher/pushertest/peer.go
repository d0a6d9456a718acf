package pushertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/pusher/protocol"
)

// A Peer is a client that speaks the protocol frame by frame.
type Peer struct {
	T        testing.TB // who is told of what is wrong; may be changed between calls
	WS       *websocket.Conn
	SocketID string // set by Established
}

// Open connects without looking at what comes first.
func (s *Site) Open(path string, header http.Header) *Peer {
	s.T.Helper()
	ws, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.Server.URL, "http")+path, header)
	if err != nil {
		if resp != nil {
			err = fmt.Errorf("%w: %s", err, resp.Status)
		}
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { _ = ws.Close() })
	return &Peer{T: s.T, WS: ws}
}

// Dial connects to the test app.
func (s *Site) Dial() *Peer {
	s.T.Helper()
	p := s.Open("/app/"+Key+"?protocol=7&client=js&version=8.4.0&flash=false", nil)
	p.Established()
	return p
}

// Established takes the first frame of a connection that is taken.
func (p *Peer) Established() {
	p.T.Helper()
	var data struct {
		SocketID        string `json:"socket_id"`
		ActivityTimeout int    `json:"activity_timeout"`
	}
	f := p.Read()
	if f.Event != "pusher:connection_established" || json.Unmarshal([]byte(f.Text()), &data) != nil ||
		!protocol.ValidSocketID(data.SocketID) || data.ActivityTimeout < 1 {
		p.T.Fatalf("first frame %s", f)
	}
	p.SocketID = data.SocketID
}

// A Frame is what a peer is sent.
type Frame struct {
	Raw     string
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
}

// String is the frame as it came.
func (f Frame) String() string { return f.Raw }

// Text is the string that data is.
func (f Frame) Text() string {
	var s string
	if json.Unmarshal(f.Data, &s) != nil {
		return "not a string: " + string(f.Data)
	}
	return s
}

// Read takes the next frame.
func (p *Peer) Read() Frame {
	p.T.Helper()
	_ = p.WS.SetReadDeadline(time.Now().Add(Patience))
	_, data, err := p.WS.ReadMessage()
	if err != nil {
		p.T.Fatalf("reading: %v", err)
	}
	f := Frame{Raw: string(data)}
	if err := json.Unmarshal(data, &f); err != nil {
		p.T.Fatalf("%v in %q", err, data)
	}
	return f
}

// Send sends a message as it stands.
func (p *Peer) Send(text string) {
	p.T.Helper()
	if err := p.WS.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		p.T.Fatal(err)
	}
}

// Expect reads frames and compares them whole.
func (p *Peer) Expect(want ...string) {
	p.T.Helper()
	for _, w := range want {
		if got := p.Read(); got.Raw != w {
			p.T.Fatalf("received\n %s\nwant\n %s", got, w)
		}
	}
}

// Quiet makes sure that nothing is on its way, by asking for a pong.
func (p *Peer) Quiet() {
	p.T.Helper()
	p.Send(`{"event":"pusher:ping","data":{}}`)
	p.Expect(`{"event":"pusher:pong","data":"{}"}`)
}

// Closed waits for the connection's end and returns its code.
func (p *Peer) Closed() int {
	p.T.Helper()
	_ = p.WS.SetReadDeadline(time.Now().Add(Patience))
	for {
		_, data, err := p.WS.ReadMessage()
		if err == nil {
			p.T.Logf("before the close: %s", data)
			continue
		}
		if ce, ok := err.(*websocket.CloseError); ok {
			return ce.Code
		}
		p.T.Fatalf("ended by %v", err)
	}
}

// Subscribe asks for a channel, with a signature where it needs one.
func (p *Peer) Subscribe(channel, channelData string) {
	p.T.Helper()
	p.SubscribeWith(channel, channelData, "")
}

// SubscribeWith is Subscribe with more members of the data, such as "rewind":2.
func (p *Peer) SubscribeWith(channel, channelData, more string) {
	p.T.Helper()
	data := `{"channel":` + Quoted(channel)
	if more != "" {
		data += "," + more
	}
	if protocol.KindOf(channel).Private {
		text := p.SocketID + ":" + channel
		if channelData != "" {
			text += ":" + channelData
			data += `,"channel_data":` + Quoted(channelData)
		}
		data += `,"auth":"` + Key + ":" + auth.PusherSign(Secret, text) + `"`
	} else {
		data += `,"auth":""`
	}
	p.Send(`{"event":"pusher:subscribe","data":` + data + `}}`)
}

// Join subscribes and takes the confirmation.
func (p *Peer) Join(channels ...string) {
	p.T.Helper()
	for _, c := range channels {
		p.Subscribe(c, "")
		p.Expect(`{"event":"pusher_internal:subscription_succeeded","channel":"` + c + `","data":"{}"}`)
	}
}

// SignIn signs in with user_data.
func (p *Peer) SignIn(userData string) {
	p.T.Helper()
	token := Key + ":" + auth.PusherSign(Secret, p.SocketID+"::user::"+userData)
	p.Send(`{"event":"pusher:signin","data":{"auth":"` + token + `","user_data":` + Quoted(userData) + `}}`)
}
