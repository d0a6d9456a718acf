package pusher_test

import (
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/pusher"
	"poosh/server/pusher/app"
	"poosh/server/pusher/pushertest"
)

const (
	succeeded = `{"event":"pusher_internal:subscription_succeeded","channel":"`
	pong      = `{"event":"pusher:pong","data":"{}"}`
)

// onOneLoop has one goroutine read for all connections of the site.
func onOneLoop(t *testing.T) *pushertest.Site {
	before := runtime.GOMAXPROCS(2)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	app := pushertest.App()
	app.MaxMembers = 1000
	return pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
}

// A turn that does not end is waited for by who wants it and by nobody else: others on
// the same loop subscribe, publish and go, and who waits is answered in the order of
// what it said.
func TestStuckTurn(t *testing.T) {
	pushertest.Alone(t, "among several a channel without members has no turn")
	s := onOneLoop(t)
	stuck := s.Hub.Open(app.HubName(pushertest.ID), "stuck")
	waits, gone := s.Dial(), s.Dial()
	for _, p := range []*pushertest.Peer{waits, gone} {
		p.Subscribe("stuck", "")
		p.Send(`{"event":"pusher:ping","data":{}}`)
		p.Subscribe("free", "")
		p.Send(`{"event":"pusher:unsubscribe","data":{"channel":"stuck"}}`)
		p.Subscribe("private-last", "")
		p.Send(`{"event":"client-e","channel":"private-last","data":"1"}`)
	}
	for range 5 {
		p := s.Dial()
		p.Join("free", "private-last")
		p.Quiet()
		s.Trigger("free", "e", "1")
		p.Expect(`{"event":"e","channel":"free","data":"1"}`)
		_ = p.WS.Close()
	}
	// Nobody is kept from going by who cannot go, and who asked and went is not let in.
	_ = gone.WS.Close()
	pushertest.Eventually(t, "who is gone to be gone", func() bool { return s.App().Len() == 2 && s.Loop.Open() == 1 })
	listener := s.Dial()
	listener.Join("private-last")
	if c, _ := s.App().Count("free"); c != 0 {
		t.Errorf("%d subscribers of who is not at it yet", c)
	}

	stuck.Close()
	waits.Expect(succeeded+`stuck","data":"{}"}`, pong, succeeded+`free","data":"{}"}`, succeeded+`private-last","data":"{}"}`)
	listener.Expect(`{"event":"client-e","channel":"private-last","data":"1"}`)
	waits.Quiet()
	if c, _ := s.App().Count("stuck"); c != 0 {
		t.Errorf("%d subscribers are left", c)
	}
	if st := s.Dialect.Stats(); st.Connections != 2 || st.Counts["subscribe refused"] > 0 {
		t.Errorf("%+v", st)
	}
}

// A connection that is in a stuck channel goes too: it is out of everything else at
// once, and of that channel when it may.
func TestStuckTurnIsLeft(t *testing.T) {
	pushertest.Alone(t, "among several a channel without members has no turn")
	s := onOneLoop(t)
	p, other := s.Dial(), s.Dial()
	p.Join("stuck", "free")
	other.Join("free")
	stuck := s.Hub.Open(app.HubName(pushertest.ID), "stuck")
	_ = p.WS.Close()
	pushertest.Eventually(t, "the other channel to be left", func() bool {
		c, _ := s.App().Count("free")
		return c == 1
	})
	if c, _ := s.App().Count("stuck"); c != 1 || s.Dialect.Stats().Connections != 2 {
		t.Errorf("%d connections in the channel, %d in all", c, s.Dialect.Stats().Connections)
	}
	_ = other.WS.Close() // behind it, for the same goroutine to see to
	pushertest.Eventually(t, "the second to be gone", func() bool { return s.Dialect.Stats().Connections == 1 })
	stuck.Close()
	pushertest.Eventually(t, "the first to be gone", func() bool { return s.Dialect.Stats().Connections == 0 })
}

// What waits for an answer is bounded: the rest stays at the client until there is one,
// and then nothing is lost.
func TestFloodBehindACommand(t *testing.T) {
	pushertest.Alone(t, "among several a channel without members has no turn")
	s := onOneLoop(t)
	stuck := s.Hub.Open(app.HubName(pushertest.ID), "stuck")
	p, other := s.Dial(), s.Dial()
	p.Subscribe("stuck", "")
	ping := `{"event":"pusher:ping","data":"` + strings.Repeat("x", 10_000) + `"}`
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	sent := 0
	for range 10_000 {
		_ = p.WS.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		if err := p.WS.WriteMessage(websocket.TextMessage, []byte(ping)); err != nil {
			if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
				t.Fatal(err)
			}
			break
		}
		sent++
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if sent == 10_000 {
		t.Fatal("100 MB were read of who waits for an answer")
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("%d bytes are kept of who waits for an answer", grown)
	}
	other.Quiet()
	stuck.Close()
	p.Expect(succeeded + `stuck","data":"{}"}`)
	for range sent {
		p.Expect(pong)
	}
	_ = p.WS.NetConn().(*net.TCPConn).Close()
}

// A newcomer to a crowd is told of everybody, in order with what else it said, and
// others do not wait for that.
func TestCrowdIsToldInOrder(t *testing.T) {
	s := onOneLoop(t)
	const crowd = 300 // more than are told on the loop
	for i := range crowd {
		p := s.Dial()
		p.Subscribe("presence-crowd", `{"user_id":`+strconv.Itoa(i)+`}`)
		p.Send(`{"event":"pusher:ping","data":{}}`)
		f := p.Read()
		if want := `\"count\":` + strconv.Itoa(i+1) + `}}`; !strings.HasPrefix(f.Raw, succeeded+"presence-crowd") || !strings.Contains(f.Raw, want) {
			t.Fatalf("number %d is told %.100s", i+1, f)
		}
		p.Expect(pong)
	}
}
