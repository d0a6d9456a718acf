package app

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/presence/presencetest"
	"poosh/server/pusher/protocol"
	"poosh/server/quota"
)

// visitor does what a client asks for, one thing after the other, until it is closed.
func (s *socket) visit(rnd *rand.Rand, gone <-chan struct{}) {
	channels := []string{"a", "private-c", "presence-d", "cache-e"}
	for {
		id := fmt.Sprint(rnd.IntN(3))
		channel := channels[rnd.IntN(len(channels))]
		answered := make(chan struct{}, 1)
		switch {
		case rnd.IntN(4) == 0:
			s.SignIn(&protocol.User{Member: protocol.Member{ID: id}, Watchlist: []string{"0", "1", "2"}}, func(first bool, err error) {
				if first {
					s.GoOnline(func() { answered <- struct{}{} })
					return
				}
				answered <- struct{}{}
			})
		case s.Asked(channel):
			s.Leave(channel)
		case channel == "presence-d":
			s.Enter(channel, protocol.Member{ID: id, Info: protocol.EmptyObject}, Since{})
		default:
			s.Enter(channel, protocol.Member{}, Since{})
		}
		select {
		case <-answered:
		case <-s.answers:
		case <-gone:
			return
		}
		time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
	}
}

// TestAnswersInEveryOrder has connections come, ask, and go before and behind the
// answers of an engine that is away now and then. Nothing of them is left, here or there, and who
// stays is told of everybody who came and went, once.
func TestAnswersInEveryOrder(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			engine := presencetest.New()
			node := engine.Node("a", nil)
			a := newAppOf(t, Config{SubscriptionCount: true, Watchlist: true}, &Shared{Hub: node.Hub, Across: Across{Desk: node, Census: node, Bus: node}})
			t.Cleanup(engine.Close)
			stay := connect(t, a)
			if err := stay.tryEnter("presence-d", protocol.Member{ID: "stays", Info: protocol.EmptyObject}); err != nil {
				t.Fatal(err)
			}
			over := make(chan struct{})
			var away sync.WaitGroup
			away.Go(func() { // ends with over
				rnd := rand.New(rand.NewPCG(seed, 500))
				for yes := true; ; yes = !yes {
					select {
					case <-over:
						engine.Away(false)
						return
					case <-time.After(time.Duration(rnd.IntN(100)) * time.Millisecond):
						engine.Away(yes)
					}
				}
			})
			var all sync.WaitGroup
			for n := range uint64(40) {
				all.Go(func() {
					rnd := rand.New(rand.NewPCG(seed, n))
					time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
					s := open(t, a)
					s.answers = make(chan error, 100)
					gone := make(chan struct{})
					go s.visit(rand.New(rand.NewPCG(seed, 1000+n)), gone)
					time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
					close(gone)
					s.close()
					if s.In("presence-d") {
						t.Error("a connection has ended and is somewhere")
					}
				})
			}
			all.Wait()
			close(over)
			away.Wait()
			time.Sleep(time.Minute)
			if c, u, err := node.Count(t.Context(), a.hubName, "presence-d"); c != 1 || u != 1 || err != nil {
				t.Errorf("seed %d: %d connections, %d users, %v", seed, c, u, err)
			}
			for r, err := range node.Rooms(t.Context(), a.hubName, "") {
				if r.Room != "presence-d" || err != nil {
					t.Errorf("seed %d: left in the engine: %+v, %v", seed, r, err)
				}
			}
			stay.followed()
		})
	}
}

// followed looks whether what the client was told of members makes sense, and whether
// nobody is left by that.
func (s *socket) followed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := make(map[string]bool)
	for _, frame := range s.got {
		for _, id := range []string{"0", "1", "2"} {
			if !strings.Contains(frame, `\"user_id\":\"`+id+`\"`) {
				continue
			}
			added := strings.Contains(frame, "member_added")
			if added == there[id] {
				s.t.Errorf("told twice: %s", frame)
			}
			there[id] = added
		}
	}
	for id, is := range there {
		if is {
			s.t.Errorf("%s is still there for who was told", id)
		}
	}
	if len(there) != 3 {
		s.t.Errorf("told of %d users", len(there))
	}
}

// Who goes in the very moment in which it is let in has left: what it took is given
// back.
func TestEnterAsItGoes(t *testing.T) {
	room := quota.New(1 << 20)
	a := newTestApp(t, Config{}, room)
	s := open(t, a)
	a.cache.mu.Lock() // which an entry looks at once it is decided
	go s.Enter("cache-c", protocol.Member{}, Since{})
	for {
		r := a.shared.Hub.TryOpen(a.hubName, "cache-c")
		if r == nil {
			break
		}
		r.Close()
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond) // until it is there
	s.Close()
	a.cache.mu.Unlock()
	<-s.ended
	if err := <-s.answers; err != nil && !errors.Is(err, ErrGone) { // which a slow machine makes of it
		t.Errorf("it was not let in: %v", err)
	}
	if n := room.Used(); n != 0 {
		t.Errorf("%d bytes are not given back", n)
	}
}

// Who signs in or goes while somebody else is told of waits for nobody: its news come
// behind the others.
func TestUsersTurnIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestApp(t, Config{}, nil)
		watcher, x := connect(t, a), connect(t, a)
		if _, err := watcher.signIn("2", "1"); err != nil {
			t.Fatal(err)
		}
		watcher.forget()
		if !a.users.turn.Try() {
			t.Fatal("somebody has the turn")
		}
		online := false
		x.SignIn(&protocol.User{Member: protocol.Member{ID: "1"}}, func(bool, error) {
			x.GoOnline(func() { online = true })
		})
		x.once.Do(func() { x.Close() })
		synctest.Wait()
		watcher.took()
		if online || !x.IsUser("1") {
			t.Error("news out of turn")
		}
		a.users.turn.Pass()
		synctest.Wait()
		<-x.ended
		watcher.took(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"1\"]}]}"}`,
			`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"1\"]}]}"}`)
		if !online {
			t.Error("the sign-in has no answer")
		}
	})
}

// Who leaves in the very moment in which it is let in late is not there.
func TestLeaveAsItIsLetInLate(t *testing.T) {
	for _, channel := range []string{"a", "presence-d"} {
		synctest.Test(t, func(t *testing.T) {
			engine := presencetest.New()
			node := engine.Node("a", nil)
			room := quota.New(1 << 20)
			a := newAppOf(t, Config{}, &Shared{Hub: node.Hub, Channels: room, Across: Across{Desk: node, Census: node, Bus: node}})
			t.Cleanup(engine.Close)
			s := connect(t, a)
			who := protocol.Member{}
			if channel == "presence-d" {
				who = protocol.Member{ID: "1", Info: protocol.EmptyObject}
			}
			engine.Away(true)
			if err := s.tryEnter(channel, who); !errors.Is(err, ErrAway) {
				t.Fatal(err)
			}
			var once sync.Once
			s.takes = func() { once.Do(func() { go s.Leave(channel) }) } // ends with its answer, behind the turn
			engine.Away(false)
			time.Sleep(time.Minute)
			<-s.answers
			if s.Asked(channel) || room.Used() != 0 {
				t.Errorf("%s: it is there, and takes %d bytes", channel, room.Used())
			}
			if c, u, err := node.Count(t.Context(), a.hubName, channel); c != 0 || u != 0 || err != nil {
				t.Errorf("%s: left in the engine: %d, %d, %v", channel, c, u, err)
			}
		})
	}
}
