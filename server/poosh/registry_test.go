package poosh

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/quota"
)

// A heldRegistry has its answers taken by the test, and knows who it has let in.
type heldRegistry struct {
	mu      sync.Mutex // guards what follows
	answers []func(error)
	asked   []string
	inside  map[string]int
}

func (r *heldRegistry) Enter(room string, answer func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, room)
	r.answers = append(r.answers, func(err error) {
		if err == nil {
			r.mu.Lock()
			r.inside[room]++
			r.mu.Unlock()
		}
		answer(err)
	})
}

func (r *heldRegistry) Leave(room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside[room]--; r.inside[room] == 0 {
		delete(r.inside, room)
	}
}

// take takes the oldest answer.
func (r *heldRegistry) take() func(error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.answers) == 0 {
		return nil
	}
	first := r.answers[0]
	r.answers = r.answers[1:]
	return first
}

// wait takes the oldest answer, once there is one.
func (r *heldRegistry) wait(t *testing.T) func(error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if answer := r.take(); answer != nil {
			return answer
		}
		if time.Now().After(end) {
			t.Fatal("nobody was asked")
		}
	}
}

// A peer is a session that notes why it was closed.
type peer struct {
	inbox
	mu     sync.Mutex // guards closed
	closed string
}

func (p *peer) ID() string         { return "session" }
func (p *peer) RemoteAddr() string { return "192.0.2.1:1" }

func (p *peer) Fits(int, int) bool       { return true }
func (p *peer) Answer(frame []byte) bool { return p.Deliver(frame) }

func (p *peer) Close(_ closed.Reason, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = text
}

// Guard is as a session's: what panics closes it.
func (p *peer) Guard(f func()) {
	defer func() {
		if why := recover(); why != nil {
			p.Close(closed.Panic, fmt.Sprint("panic: ", why))
		}
	}()
	f()
}

func (p *peer) why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// newAsker seats a client that asks a registry.
func newAsker(h *hub.Hub, r Registry, rooms *quota.Quota, id string) (*asker, *peer) {
	c := NewClients(ClientConfig{MaxRooms: 10, MaxRoomNameBytes: 100, Rooms: rooms, Registry: r}, h, slog.New(slog.DiscardHandler))
	p := &peer{}
	a := &asker{clients: c, session: p, listener: seat(h, id, 10, plainEncoder{}, p)}
	a.listener.asks = a
	return a, p
}

// Who names more rooms than it may be in is closed before the registry is asked for any.
func TestTooManyRoomsAreNotAskedFor(t *testing.T) {
	r := &heldRegistry{inside: make(map[string]int)}
	a, p := newAsker(hub.New(), r, nil, "own")
	w := wish{room: "0", since: true}
	for n := range 25_000 {
		w.also = append(w.also, fmt.Sprint(n+1))
	}
	a.want(w)
	if r.take() != nil || p.why() == "" {
		t.Errorf("asked for %d rooms, closed for %q", len(r.asked), p.why())
	}
	a.close()
}

func TestRoomsAreAskedForInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &heldRegistry{inside: make(map[string]int)}
		a, p := newAsker(hub.New(), r, nil, "own")
		for _, room := range []string{"own", "1", "1", "2", "3"} {
			a.want(wish{room: room})
		}
		for _, want := range []string{"1", "1 2", "1 2 3"} {
			synctest.Wait()
			if got := strings.Join(r.asked, " "); got != want || a.listener.sub.In(want[len(want)-1:]) {
				t.Errorf("asked for %s, want %s", got, want)
			}
			r.take()(nil)
		}
		synctest.Wait()
		if n := a.clients.Stats().Joined; n != 5 || p.why() != "" || a.line.Busy() {
			t.Errorf("%d joined, closed for %q", n, p.why())
		}
		a.want(wish{room: "4"})
		r.take()(errors.New("not here"))
		if p.why() != "not here" || a.clients.Stats().Refused != 1 {
			t.Errorf("closed for %q", p.why())
		}
		a.close()
		if len(r.inside) > 0 {
			t.Errorf("left behind: %v", r.inside)
		}
	})
}

// A registry that panics, or whose answer makes us panic, costs its client, and neither the
// program nor what others say.
func TestPanicsAroundTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &heldRegistry{inside: make(map[string]int)}
		a, p := newAsker(hub.New(), r, nil, "own")
		a.want(wish{room: "1"})
		a.want(wish{room: "2"})
		sub := a.listener.sub
		a.listener.sub = nil // a bug of ours
		r.take()(nil)
		synctest.Wait()
		if !strings.HasPrefix(p.why(), "panic: ") {
			t.Errorf("closed for %q", p.why())
		}
		a.listener.sub = sub
		a.close()

		a, p = newAsker(hub.New(), panickingRegistry{r, "2"}, nil, "own")
		a.want(wish{room: "1"})
		a.want(wish{room: "2"}) // is asked for on a goroutine of the line
		r.take()(nil)
		synctest.Wait()
		if p.why() != "panic: asked to" {
			t.Errorf("closed for %q", p.why())
		}
		a.close()
	})
}

// A panickingRegistry panics when it is asked for a room.
type panickingRegistry struct {
	*heldRegistry
	room string
}

func (r panickingRegistry) Enter(room string, answer func(error)) {
	if room == r.room {
		panic("asked to")
	}
	r.heldRegistry.Enter(room, answer)
}

func TestTooManyRoomsWait(t *testing.T) {
	r := &heldRegistry{inside: make(map[string]int)}
	a, p := newAsker(hub.New(), r, nil, "own")
	for i := range 11 { // one is asked for, and as many as it may be in wait
		a.want(wish{room: fmt.Sprint(i)})
	}
	if p.why() != "" {
		t.Errorf("closed for %q", p.why())
	}
	a.want(wish{room: "one more"})
	if p.why() != errTooMuch.Error() {
		t.Errorf("closed for %q", p.why())
	}
	a.close()
	r.take()(nil) // behind its end
	if len(r.inside) > 0 || len(r.asked) != 1 {
		t.Errorf("left behind: %v of %v", r.inside, r.asked)
	}
}

// TestAskersInEveryOrder has clients ask and go, and answers come late and from anywhere.
func TestAskersInEveryOrder(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			h, rooms := hub.New(), quota.New(1<<20)
			r := &heldRegistry{inside: make(map[string]int)}
			var all sync.WaitGroup
			for n := range uint64(20) {
				all.Go(func() {
					rnd := rand.New(rand.NewPCG(seed, n))
					a, _ := newAsker(h, r, rooms, fmt.Sprint("own", n))
					for range rnd.IntN(12) {
						a.want(wish{room: fmt.Sprint(rnd.IntN(5))})
						time.Sleep(time.Duration(rnd.IntN(5)) * time.Millisecond)
					}
					a.close()
				})
			}
			rnd := rand.New(rand.NewPCG(seed, 99))
			for range 2000 {
				if answer := r.take(); answer != nil {
					refusal := []error{nil, nil, nil, errors.New("not here")}[rnd.IntN(4)]
					time.AfterFunc(time.Duration(rnd.IntN(5))*time.Millisecond, func() { answer(refusal) })
				}
				time.Sleep(time.Millisecond)
			}
			all.Wait()
			if len(r.inside) > 0 || rooms.Used() != 0 || h.Len(App) != 0 {
				t.Errorf("seed %d: left behind: %v, %d bytes, %d subscribers", seed, r.inside, rooms.Used(), h.Len(App))
			}
			if slices.Contains(r.asked, "own0") {
				t.Error("asked for a client's own room")
			}
		})
	}
}
