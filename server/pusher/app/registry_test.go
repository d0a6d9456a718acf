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

	"poosh/server/pusher/protocol"
	"poosh/server/quota"
)

// A slowRegistry answers late, at once, in any order and from anywhere, and refuses
// some. It knows who it has said yes to.
type slowRegistry struct {
	t testing.TB

	mu     sync.Mutex // guards what follows
	rnd    *rand.Rand
	inside map[string]int
	asked  int
	late   int
}

var errRefused = errors.New("not here")

func (r *slowRegistry) Enter(app, channel, user string, answer func(error)) {
	r.ask(channel+" "+user, answer)
}
func (r *slowRegistry) Leave(app, channel, user string) { r.drop(channel + " " + user) }
func (r *slowRegistry) SignIn(app, user string, answer func(error)) {
	r.ask("signed in "+user, answer)
}
func (r *slowRegistry) SignOut(app, user string) { r.drop("signed in " + user) }

func (r *slowRegistry) ask(who string, answer func(error)) {
	r.mu.Lock()
	r.asked++
	refuse, how, after := r.rnd.IntN(8) == 0, r.rnd.IntN(4), time.Duration(r.rnd.IntN(50))*time.Millisecond
	if how > 1 {
		r.late++
	}
	r.mu.Unlock()
	do := func() {
		if refuse {
			answer(errRefused)
			return
		}
		r.mu.Lock()
		r.inside[who]++
		r.mu.Unlock()
		answer(nil)
	}
	switch how {
	case 0:
		do()
	case 1:
		go do() // ends by itself
	default:
		time.AfterFunc(after, do)
	}
}

func (r *slowRegistry) drop(who string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside[who]--; r.inside[who] == 0 {
		delete(r.inside, who)
	}
	if r.inside[who] < 0 {
		r.t.Errorf("%s left and was not there", who)
	}
}

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
		case s.In(channel):
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
// answers. Nothing of them is left, here or in the registry, and who stays is told of
// everybody who came and went, once.
func TestAnswersInEveryOrder(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			a := newTestApp(t, Config{SubscriptionCount: true}, nil)
			stay := connect(t, a)
			if err := stay.tryEnter("presence-d", protocol.Member{ID: "stays", Info: protocol.EmptyObject}); err != nil {
				t.Fatal(err)
			}
			registry := &slowRegistry{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), inside: make(map[string]int)}
			a.shared.Registry = registry // from here on, which who stays has not asked
			var all sync.WaitGroup
			for n := range uint64(40) {
				all.Go(func() {
					rnd := rand.New(rand.NewPCG(seed, n))
					time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
					s := open(t, a)
					s.answers = make(chan error, 10)
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
			time.Sleep(time.Minute)
			if len(registry.inside) > 0 || registry.late == 0 {
				t.Errorf("seed %d: the registry has %v of %d questions, %d late", seed, registry.inside, registry.asked, registry.late)
			}
			if c, u := a.Count("presence-d"); c != 1 || u != 1 {
				t.Errorf("seed %d: %d connections, %d users", seed, c, u)
			}
			stay.followed()
			a.shared.Registry = nil
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

// A question that has no answer yet keeps a channel's turn and nobody else: others
// enter other channels, and who asked and is gone leaves no trace once it is answered.
func TestAnswerBehindTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestApp(t, Config{}, nil)
		held := &heldRegistry{}
		a.shared.Registry = held
		x, y := connect(t, a), connect(t, a)
		x.Enter("presence-c", protocol.Member{ID: "1", Info: protocol.EmptyObject}, Since{})
		y.Enter("presence-c", protocol.Member{ID: "2", Info: protocol.EmptyObject}, Since{})
		synctest.Wait()
		if len(held.answers) != 1 {
			t.Fatalf("%d questions at once about one channel", len(held.answers))
		}
		x.once.Do(func() { x.Close() })
		ended := func() bool {
			select {
			case <-x.ended:
				return true
			default:
				return false
			}
		}
		synctest.Wait()
		if ended() {
			t.Error("a connection has ended with a question under way")
		}
		held.answer(nil)
		synctest.Wait()
		if err := <-x.answers; !ended() || !errors.Is(err, ErrGone) || held.left != 1 {
			t.Errorf("ended %v with %v, and %d taken back", ended(), err, held.left)
		}
		x.took()
		held.answer(nil)
		if err := <-y.answers; err != nil {
			t.Error(err)
		}
		y.took(fmt.Sprintf(confirmed, "presence-c", `{\"presence\":{\"ids\":[\"2\"],\"hash\":{\"2\":{}},\"count\":1}}`))
	})
}

// A heldRegistry answers when it is told to. It is used from one goroutine at a time.
type heldRegistry struct {
	answers []func(error)
	left    int
}

func (r *heldRegistry) Enter(_, _, _ string, answer func(error)) {
	r.answers = append(r.answers, answer)
}
func (r *heldRegistry) Leave(_, _, _ string)                   { r.left++ }
func (r *heldRegistry) SignIn(_, _ string, answer func(error)) { r.answers = append(r.answers, answer) }
func (r *heldRegistry) SignOut(_, _ string)                    { r.left++ }

// answer answers the oldest question.
func (r *heldRegistry) answer(err error) {
	first := r.answers[0]
	r.answers = r.answers[1:]
	first(err)
}

func TestSignInRefusedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestApp(t, Config{}, nil)
		held := &heldRegistry{}
		a.shared.Registry = held
		x := connect(t, a)
		var got []error
		ask := func() {
			x.SignIn(&protocol.User{Member: protocol.Member{ID: "1"}}, func(_ bool, err error) { got = append(got, err) })
		}
		ask()
		held.answer(errRefused)
		ask()
		x.once.Do(func() { x.Close() })
		held.answer(nil)
		ask()
		if want := []error{errRefused, ErrGone, ErrGone}; fmt.Sprint(got) != fmt.Sprint(want) || held.left != 1 || x.User() != nil {
			t.Errorf("answers %v, %d taken back", got, held.left)
		}
	})
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
