package pusher_test

import (
	"errors"
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

// A lateRegistry answers after a while, some sooner than others, from goroutines of
// its own. It knows who it has let in.
type lateRegistry struct {
	mu     sync.Mutex // guards what follows
	rnd    *rand.Rand
	inside int
}

func (r *lateRegistry) Enter(_, channel, _ string, answer func(error)) {
	if channel == "no" {
		time.AfterFunc(time.Millisecond, func() { answer(errors.New("not here")) })
		return
	}
	r.later(answer)
}

func (r *lateRegistry) later(answer func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	time.AfterFunc(time.Duration(r.rnd.IntN(5_000_000)), func() {
		r.mu.Lock()
		r.inside++
		r.mu.Unlock()
		answer(nil)
	})
}

func (r *lateRegistry) Leave(_, _, _ string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside--
}

func (r *lateRegistry) SignIn(_, _ string, answer func(error)) { r.later(answer) }
func (r *lateRegistry) SignOut(app, user string)               { r.Leave(app, "", user) }

func (r *lateRegistry) left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inside
}

// TestLateAnswers has clients say everything at once while each answer takes its time:
// what they see is in the order of what they said, to the byte what they see without.
func TestLateAnswers(t *testing.T) {
	pushertest.Alone(t, "it has a registry")
	app := pushertest.App()
	app.Watchlist = true
	r := &lateRegistry{rnd: rand.New(rand.NewPCG(1, 1))}
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}, Registry: r})
	var all sync.WaitGroup
	for n := range 20 {
		p := s.Dial()
		all.Go(func() {
			own := "presence-own" + strconv.Itoa(n)
			user := `{"id":"u` + strconv.Itoa(n) + `","watchlist":["nobody"]}`
			p.Subscribe(own, `{"user_id":"1"}`)
			p.Send(`{"event":"pusher:ping","data":{}}`)
			p.Subscribe("shared", "")
			p.Subscribe("no", "")
			p.SignIn(user)
			p.Send(`{"event":"pusher:unsubscribe","data":{"channel":"shared"}}`)
			p.Subscribe("cache-c"+strconv.Itoa(n), "")
			p.Send(`{"event":"pusher:ping","data":{}}`)
			p.Expect(
				succeeded+own+`","data":"{\"presence\":{\"ids\":[\"1\"],\"hash\":{\"1\":{}},\"count\":1}}"}`,
				pong,
				succeeded+`shared","data":"{}"}`,
				`{"event":"pusher:error","data":{"code":4100,"message":"not here"}}`,
				`{"event":"pusher:subscription_error","channel":"no","data":{"type":"LimitReached","error":"not here","status":401}}`)
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
	if n := r.left(); n != 0 {
		t.Errorf("%d are left in the registry", n)
	}
}

// TestLateComeAndGo cuts connections in the midst of what they asked for.
func TestLateComeAndGo(t *testing.T) {
	pushertest.Alone(t, "it has a registry")
	r := &lateRegistry{rnd: rand.New(rand.NewPCG(2, 2))}
	s := pushertest.New(t, pusher.Config{Registry: r})
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
	if n := r.left(); n != 0 {
		t.Errorf("%d are left in the registry", n)
	}
}
