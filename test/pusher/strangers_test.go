package pusher_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A stranger is a client of no library that knows the app's key and a place in its log, but
// nobody signs for it. It asks for what is in channels that it may not enter.
type stranger struct {
	*raw
	at    string // a place
	stop  chan struct{}
	ended chan struct{}
	asked int
	bad   []string // what came that should not have
}

// strange opens one, which asks until [stranger.end].
func strange(t *testing.T, s *server) *stranger {
	t.Helper()
	x := &stranger{raw: dialRaw(t, s, "?protocol=2"), stop: make(chan struct{}), ended: make(chan struct{})}
	x.send(`{"event":"sockudo:subscribe","data":{"channel":"` + channelOf['a'] + `"}}`)
	var ack struct {
		StreamID string `json:"stream_id"`
		Serial   uint64
	}
	if text := x.read(); json.Unmarshal([]byte(text), &ack) != nil || ack.StreamID == "" {
		t.Fatalf("confirmed by %s", text)
	}
	x.at = fmt.Sprintf(`{"stream_id":%q,"serial":%d}`, ack.StreamID, ack.Serial)
	go func() { // ends with end
		defer close(x.ended)
		x.ask()
	}()
	return x
}

// ask asks for both channels, in each way that there is, and looks at what comes.
func (x *stranger) ask() {
	for answered := 0; ; {
		select {
		case <-x.stop:
			return
		default:
		}
		var asks []string
		for _, channel := range []string{channelOf['b'], channelOf['p']} {
			asks = append(asks,
				`{"event":"sockudo:resume","data":{"channel_positions":{"`+channel+`":`+x.at+`}}}`,
				`{"event":"sockudo:subscribe","data":{"channel":"`+channel+`","resume":`+x.at+`}}`,
				`{"event":"sockudo:subscribe","data":{"channel":"`+channel+`","auth":"`+appKey+`:`+strings.Repeat("0", 64)+`","channel_data":"{\"user_id\":\"x\"}","rewind":100}}`)
		}
		for _, ask := range asks {
			if err := x.ws.WriteMessage(1, []byte(ask)); err != nil {
				x.bad = append(x.bad, err.Error())
				return
			}
		}
		for x.asked += len(asks); answered < x.asked; {
			_ = x.ws.SetReadDeadline(time.Now().Add(patience))
			_, text, err := x.ws.ReadMessage()
			if err != nil {
				x.bad = append(x.bad, err.Error())
				return
			}
			if x.answers(string(text)) {
				answered++
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// answers reports whether a frame is a refusal of what was asked for.
func (x *stranger) answers(text string) bool {
	var f struct{ Event, Channel string }
	if json.Unmarshal([]byte(text), &f) != nil {
		x.bad = append(x.bad, text)
	}
	switch {
	case f.Channel == channelOf['a'], f.Event == "sockudo:error", f.Event == "sockudo:resume_success" && strings.Contains(text, `\"recovered\":[],`):
		return false
	case f.Event == "sockudo:resume_failed" && strings.Contains(text, `\"code\":\"unauthorized\"`), f.Event == "sockudo:subscription_error":
		return true
	}
	x.bad = append(x.bad, text)
	return false
}

// end has it ask no more, and tells whether it was given anything.
func (x *stranger) end(t *testing.T) {
	t.Helper()
	close(x.stop)
	<-x.ended
	if len(x.bad) > 0 {
		t.Errorf("who may not enter channels was told\n%s", strings.Join(x.bad[:min(len(x.bad), 5)], "\n"))
	}
	if x.asked == 0 {
		t.Error("nobody asked for what is not for them")
	}
	t.Logf("asked for channels that it may not enter %d times", x.asked)
}

// TestResumeWithoutRights has a page come back to whom nobody signs for its channels any more,
// and then one with signatures that are wrong: it gets what it missed of the public channel, and
// nothing of those, and neither who is there. Once it may enter them again it has all.
func TestResumeWithoutRights(t *testing.T) {
	s := start(t, "PUSHER_HISTORY=5m")
	d := drive(t, s)
	closed := []string{"private-x", "presence-x"}
	n := 0
	send := func() {
		t.Helper()
		for _, channel := range append(closed, "x") { // that which it gets in any case comes last
			if r := d.call("trigger", channel, "e", n); r.Name != "200" {
				t.Fatalf("trigger: %+v", r)
			}
		}
		n++
	}
	var all []*client
	for _, w := range ways {
		more := map[string]any{"resume": true, "activityTimeout": activity.Milliseconds(), "activity_timeout": activity.Milliseconds()}
		c := d.open(s, w, w.name, "1", more)
		c.wait("connected", "", 1)
		c.join(append(closed, "x")...)
		all = append(all, c)
	}
	look := func(c *client, channel string, want int) {
		t.Helper()
		got := d.wait(c.id, "channel", "e", channel, want)
		for i, r := range got {
			if i >= want || r.Text != fmt.Sprint(i) {
				t.Fatalf("%s has in %s %v, want %d events from 0 on", c.id, channel, got, want)
			}
		}
	}
	send()
	for _, c := range all {
		look(c, "private-x", n)
		look(c, "presence-x", n)
		look(c, "x", n)
	}
	had := n
	for i, as := range []string{"nobody", "forger"} {
		d.do(map[string]any{"op": "sign", "user": "1", "as": as})
		again(all, i+1, send)
		for _, c := range all {
			for _, channel := range closed {
				d.wait(c.id, "channel", "pusher:subscription_error", channel, i+1)
			}
		}
		send()
		for _, c := range all {
			look(c, "x", n)
			for _, channel := range closed {
				look(c, channel, had)
				if who := d.seen(c.id, "members", "", channel); len(who) > 1 {
					t.Errorf("%s was told who is there: %+v", c.id, who)
				}
			}
		}
	}
	d.do(map[string]any{"op": "sign", "user": "1", "as": "1"})
	again(all, 3, send)
	for _, c := range all {
		for _, channel := range append(closed, "x") {
			look(c, channel, n)
		}
	}
}

// again has clients leave, and come back when f has returned; it is so often that they have left
// with that.
func again(all []*client, times int, f func()) {
	time.Sleep(3 * activity) // or outside a browser pusher-js gives its transport up
	for _, c := range all {
		c.op("disconnect")
		c.wait("state", "disconnected", times)
	}
	f()
	for _, c := range all {
		c.op("connect")
		c.connections(times + 1)
	}
}
