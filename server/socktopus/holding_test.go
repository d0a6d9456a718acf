package socktopus

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/presence"
)

// A registry answers when the test says so, or by chance, and knows who it let in.
type registry struct {
	presence.Holder            // of which nothing else is asked for
	mu              sync.Mutex // guards what follows
	answers         chan func(error)
	inside          map[string]int
	wrong           []string
}

func newRegistry() *registry {
	return &registry{answers: make(chan func(error), 1000), inside: make(map[string]int)}
}

func (r *registry) Claim(c *presence.Claim, answer func(error)) {
	app, id := c.App, c.ID
	r.answers <- func(err error) {
		if err == nil {
			r.mu.Lock()
			r.inside[app+id]++
			r.mu.Unlock()
		}
		answer(err)
	}
}

func (r *registry) Release(c *presence.Claim) {
	app, id := c.App, c.ID
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside[app+id]--; r.inside[app+id] < 0 {
		r.wrong = append(r.wrong, id+" is released and was not claimed")
	} else if r.inside[app+id] == 0 {
		delete(r.inside, app+id)
	}
}

// left reports who is still inside.
func (r *registry) left() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.inside)+len(r.wrong) == 0 {
		return ""
	}
	return fmt.Sprint(r.inside, r.wrong)
}

func (r *registry) empty(t *testing.T) {
	t.Helper()
	end := time.Now().Add(patience)
	for r.left() != "" {
		if time.Now().After(end) {
			t.Fatalf("left behind: %s", r.left())
		}
		time.Sleep(time.Millisecond)
	}
}

// dial connects with a token and does not wait until the client is seated.
func (s *site) dial(id string) *websocket.Conn {
	s.t.Helper()
	ws, _, err := s.tryJoin(token(id, 0))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	return ws
}

// Who is not answered yet waits with what it says, and nobody else.
func TestIDIsAskedFor(t *testing.T) {
	r := newRegistry()
	s := newSite(t, Config{Holder: r})
	slow, gone, no := s.dial("slow"), s.dial("gone"), s.dial("no")
	ofSlow, ofGone, ofNo := <-r.answers, <-r.answers, <-r.answers
	write(t, slow, "PING")
	write(t, no, "PING")
	_ = gone.Close()
	quick := s.dial("quick")
	(<-r.answers)(nil)
	s.synced(quick)
	if n := s.dialect.Stats().Connected; n != 1 {
		t.Errorf("%d are connected", n)
	}
	ofSlow(nil)
	want(t, slow, "PONG")
	ofNo(errors.New("not here"))
	wantClosed(t, no, true, websocket.CloseNormalClosure)
	ofGone(nil)
	if n := s.dialect.Stats().Connected; n != 2 {
		t.Errorf("%d are connected", n)
	}
	_, _ = slow.Close(), quick.Close()
	r.empty(t)
}

// Who has an answer only when its token is old may have been kicked by it, so it comes once more with another one.
func TestIDIsGivenTooLate(t *testing.T) {
	r := newRegistry()
	s := newSite(t, Config{Holder: r})
	const left = 300 * time.Millisecond
	ws, _, err := s.tryJoin(token("late", auth.SocktopusLife-left))
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	answer := <-r.answers
	time.Sleep(left)
	answer(nil)
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	wantClosed(t, ws, false, websocket.CloseTryAgainLater)
	if n := s.dialect.Stats().Connected; n != 0 {
		t.Errorf("%d are connected", n)
	}
	r.empty(t)
}

// TestAnswersInEveryOrder has clients come and go while answers come late and from
// anywhere, several of one id too.
func TestAnswersInEveryOrder(t *testing.T) {
	r := newRegistry()
	s := newSite(t, Config{Holder: r})
	var all sync.WaitGroup
	for n := range uint64(8) {
		all.Go(func() { // ends by itself
			rnd := rand.New(rand.NewPCG(1, n))
			for range 25 {
				ws, _, err := s.tryJoin(token(fmt.Sprint(rnd.IntN(3)), 0))
				if err != nil {
					t.Error(err)
					return
				}
				_ = ws.WriteMessage(websocket.TextMessage, []byte("PING"))
				time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
				_ = ws.Close()
			}
		})
	}
	rnd := rand.New(rand.NewPCG(2, 2))
	for range 200 {
		answer := <-r.answers
		refusal := []error{nil, nil, nil, errors.New("not here")}[rnd.IntN(4)]
		time.AfterFunc(time.Duration(rnd.IntN(5))*time.Millisecond, func() { answer(refusal) })
	}
	all.Wait()
	r.empty(t)
}
