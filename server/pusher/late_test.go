package pusher_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
)

// TestLateAnswers has clients say everything at once, in one process alone, and where each answer
// is another process's to give: what they see is in the order of what they said, to the byte the same.
func TestLateAnswers(t *testing.T) {
	app := pushertest.App()
	app.Watchlist = true
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	var all sync.WaitGroup
	for n := range 20 {
		p := s.Dial()
		all.Go(func() {
			own := "presence-own" + strconv.Itoa(n)
			user := `{"id":"u` + strconv.Itoa(n) + `","watchlist":["nobody"]}`
			p.Subscribe(own, `{"user_id":"1"}`)
			p.Send(`{"event":"pusher:ping","data":{}}`)
			p.Subscribe("shared", "")
			p.SignIn(user)
			p.Send(`{"event":"pusher:unsubscribe","data":{"channel":"shared"}}`)
			p.Subscribe("cache-c"+strconv.Itoa(n), "")
			p.Send(`{"event":"pusher:ping","data":{}}`)
			p.Expect(
				succeeded+own+`","data":"{\"presence\":{\"ids\":[\"1\"],\"hash\":{\"1\":{}},\"count\":1}}"}`,
				pong,
				succeeded+`shared","data":"{}"}`)
			if f := p.Read(); f.Event != "pusher:signin_success" {
				t.Errorf("received %s", f)
			}
			p.Expect(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"nobody\"]}]}"}`)
			for _, want := range []string{"subscription_succeeded", "cache_miss"} {
				if f := p.Read(); !strings.Contains(f.Event, want) {
					t.Errorf("received %s, want %s", f, want)
				}
			}
			p.Expect(pong)
			_ = p.WS.Close()
		})
	}
	all.Wait()
	pushertest.Eventually(t, "all to be gone", func() bool { return s.Dialect.Stats().Connections == 0 })
}

// TestLateComeAndGo cuts connections in the midst of what they asked for.
func TestLateComeAndGo(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	var all sync.WaitGroup
	for n := range uint64(8) {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(3, n))
			for range 20 {
				p := s.Dial()
				for range 4 {
					c := strconv.Itoa(rnd.IntN(3))
					p.Subscribe("presence-"+c, `{"user_id":`+strconv.Itoa(rnd.IntN(3))+`}`)
					p.Subscribe(c, "")
					p.SignIn(`{"id":"1"}`)
					p.Send(`{"event":"pusher:unsubscribe","data":{"channel":"` + c + `"}}`)
				}
				time.Sleep(time.Duration(rnd.IntN(10)) * time.Millisecond)
				if rnd.IntN(2) == 0 {
					_ = p.WS.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(pushertest.Patience))
				}
				_ = p.WS.Close()
			}
		})
	}
	all.Wait()
	pushertest.Eventually(t, "all to be gone", func() bool { return s.Dialect.Stats().Connections == 0 })
}
