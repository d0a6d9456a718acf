package presencetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/hub"
	"poosh/server/presence"
)

// A Process is one of two that an engine joins, as [RunDesk] looks at it. Its hub has the engine's
// broker, and keeps nothing.
type Process struct {
	Hub    *hub.Hub
	Desk   presence.Desk
	Census presence.Census
}

// patience is how long something may take that is about to happen.
const patience = 30 * time.Second

// RunDesk has two processes pass all cases of what a desk promises. two makes a pair that nobody
// has used, or whose rooms are nobody's.
func RunDesk(t *testing.T, two func(t *testing.T) (a, b Process)) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *side, *side)
	}{
		{"counts are of all processes", testCounts},
		{"a member comes and goes once", testMembers},
		{"a newcomer gets all that comes behind it and nothing before", testFence},
		{"bounds are of all processes", testBounds},
		{"who was let in and never sat down has not been there", testNeverSeated},
		{"the last event of a room is kept", testCache},
		{"applications are told once", testTold},
		{"who is back in time has never been gone", testHold},
		{"many at once", testCrowd},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := two(t)
			c.run(t, newSide(t, "a", a), newSide(t, "b", b))
		})
	}
}

// App is the app in whose rooms the cases are.
const App = "app"

// A side is a process with who sits in it, and what it was told.
type side struct {
	Process
	t    *testing.T
	name string

	mu    sync.Mutex // guards what follows
	news  []string
	hears map[string]*ear
}

func newSide(t *testing.T, name string, p Process) *side {
	s := &side{Process: p, t: t, name: name, hears: make(map[string]*ear)}
	p.Desk.Hear(App, s)
	t.Cleanup(func() { p.Desk.Hear(App, nil) })
	return s
}

func (s *side) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news = append(s.news, fmt.Sprintf(format, args...))
}

// told returns what the side was told that begins so, in order.
func (s *side) told(prefix string) (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.news {
		if strings.HasPrefix(n, prefix) {
			list = append(list, n)
		}
	}
	return list
}

func (s *side) Came(room string, m hub.Member, socket string) {
	s.note("came %s %s(%s) but for %s", room, m.ID, m.Info, socket)
}
func (s *side) Went(room, user string)     { s.note("went %s %s", room, user) }
func (s *side) Occupied(room string)       { s.note("occupied %s", room) }
func (s *side) Vacated(room string)        { s.note("vacated %s", room) }
func (s *side) Counted(room string, n int) { s.note("counted %s %d", room, n) }
func (s *side) Due(h presence.Happening, done func()) {
	s.note("due %s %s %v", h.Room, h.User, h.There)
	done()
}

// An ear is a subscriber that notes what it gets.
type ear struct {
	sub *hub.Subscriber

	mu  sync.Mutex // guards got
	got []string
}

func (e *ear) Deliver(frame []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got = append(e.got, string(frame))
	return true
}

func (e *ear) heard() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.got, " ")
}

// names encodes a publication as the name of its event.
type names struct{}

func (names) Encode(p *hub.Publication) []byte { return []byte(p.Event) }

// entry is one of a connection.
func (s *side) entry(room, user, id string) presence.Entry {
	return presence.Entry{App: App, Room: room, User: user, Info: []byte("info of " + user), Socket: id, Counted: true}
}

// enter has a connection enter a room, and waits for the answer. change may say more of the entry.
func (s *side) enter(room, user, id string, change func(*presence.Entry)) (seated presence.Seated, err error) {
	s.t.Helper()
	r := s.Hub.Open(App, room)
	e := s.entry(room, user, id)
	e.Only = user != "" && !r.Here(user)
	if change != nil {
		change(&e)
	}
	done := make(chan struct{})
	s.Desk.Enter(e, func(got presence.Seated, why error) {
		defer close(done)
		defer r.Close()
		if seated, err = got, why; err != nil {
			return
		}
		who := &ear{}
		who.sub = s.Hub.Register(App, id, 10, names{}, who)
		if _, err := r.Join(who.sub, hub.Member{ID: user, Info: e.Info}, []byte("welcome")); err != nil {
			s.t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hears[id] = who
	})
	await(s.t, "an answer", done)
	return seated, err
}

func (s *side) must(room, user, id string) presence.Seated {
	s.t.Helper()
	got, err := s.enter(room, user, id, nil)
	if err != nil {
		s.t.Fatalf("%s enters %s on %s: %v", id, room, s.name, err)
	}
	return got
}

func (s *side) ear(id string) *ear {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hears[id]
}

// leave has a connection leave.
func (s *side) leave(room, user, id string, change func(*presence.Entry)) {
	r := s.Hub.Open(App, room)
	_, last := r.Leave(s.ear(id).sub, user)
	r.Close()
	e := s.entry(room, user, id)
	e.Only = last
	if change != nil {
		change(&e)
	}
	s.Desk.Leave(e)
	s.Hub.Unregister(s.ear(id).sub)
}

// send publishes an event and waits until that is over.
func (s *side) send(room, event string, cached uint32) {
	s.t.Helper()
	done := make(chan struct{})
	var got hub.Handed
	s.Hub.Send(&hub.Publication{App: App, Room: room, Event: event, Data: []byte(event), Cached: cached}, func(h hub.Handed) { got = h; close(done) })
	await(s.t, "a send to be over", done)
	if got.Err != nil {
		s.t.Errorf("send of %s: %v", event, got.Err)
	}
}

func await(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}

// soon waits until something is as it should be.
func soon(t *testing.T, what string, want any, got func() any) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		is := got()
		if fmt.Sprint(is) == fmt.Sprint(want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v, want %v", what, is, want)
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *side) count(room string) any {
	c, u, err := s.Census.Count(s.t.Context(), App, room)
	return fmt.Sprint(c, " ", u, " ", err)
}

func (s *side) members(room string) any {
	var ids []string
	for _, m := range s.Hub.Members(App, room) {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

func testCounts(t *testing.T, a, b *side) {
	for i, s := range []*side{a, b, a, b} {
		if got := s.must("r", "", "c"+strconv.Itoa(i)); got.Connections != i+1 {
			t.Errorf("connection %d is told of %d", i+1, got.Connections)
		}
	}
	for _, s := range []*side{a, b} {
		soon(t, "count on "+s.name, "4 0 <nil>", func() any { return s.count("r") })
		var rooms []hub.RoomCount
		for c, err := range s.Census.Rooms(t.Context(), App, "r") {
			if err != nil {
				t.Fatal(err)
			}
			rooms = append(rooms, c)
		}
		if len(rooms) != 1 || rooms[0] != (hub.RoomCount{Room: "r", Connections: 4}) {
			t.Errorf("rooms on %s: %v", s.name, rooms)
		}
	}
	a.leave("r", "", "c0", nil)
	soon(t, "what a is told", []string{"counted r 3"}, func() any { return a.told("counted") })
	a.leave("r", "", "c2", nil)
	b.leave("r", "", "c1", nil)
	b.leave("r", "", "c3", nil)
	soon(t, "the count", "0 0 <nil>", func() any { return a.count("r") })
}

func testMembers(t *testing.T, a, b *side) {
	a.must("r", "u", "a1")
	if got := b.must("r", "v", "b1"); got.Users != 2 {
		t.Errorf("told of %d users", got.Users)
	}
	soon(t, "members on b", []string{"u", "v"}, func() any { return b.members("r") })
	soon(t, "members on a", []string{"u", "v"}, func() any { return a.members("r") })
	b.must("r", "u", "b2") // the second of u, the first on b
	a.must("r", "u", "a2")
	a.must("r", "w", "a3")
	soon(t, "members on b", []string{"u", "v", "w"}, func() any { return b.members("r") })
	soon(t, "what a is told", []string{"came r v(info of v) but for b1"}, func() any { return a.told("came r v") })
	soon(t, "what b is told", []string{"came r w(info of w) but for a3"}, func() any { return b.told("came r w") })
	for _, s := range []*side{a, b} { // b may hear of it while its first connection is on its way
		if got := s.told("came r u"); len(got) > 1 {
			t.Errorf("%s was told %q", s.name, got)
		}
	}
	a.leave("r", "u", "a1", nil)
	a.leave("r", "u", "a2", nil)
	a.leave("r", "w", "a3", nil) // behind which b has heard of the others
	soon(t, "what b is told", []string{"went r w"}, func() any { return b.told("went") })
	b.leave("r", "u", "b2", nil)
	soon(t, "what b is told", []string{"went r w", "went r u"}, func() any { return b.told("went") })
	soon(t, "members on b", []string{"v"}, func() any { return b.members("r") })
	if err := b.Hub.Check(); err != nil {
		t.Error(err)
	}
	a.must("r", "x", "a4") // the room is new in a: it is told of all
	soon(t, "members on a", []string{"v", "x"}, func() any { return a.members("r") })
}

// testFence publishes from both processes while newcomers sit down: each of them gets a row of
// events without a gap, up to the last, and in it none from before its answer.
func testFence(t *testing.T, a, b *side) {
	const events, newcomers = 300, 20
	a.must("r", "", "first")
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := range events {
			s := []*side{a, b}[i%2]
			s.send("r", strconv.Itoa(i), 0)
		}
	})
	for i := range newcomers {
		s := []*side{b, a}[i%2]
		s.must("r", "", "late"+strconv.Itoa(i))
	}
	wait.Wait()
	a.must("r", "", "lastA") // behind all events
	b.must("r", "", "lastB")
	want := strings.Fields(a.ear("first").heard())[1:]
	for i, n := range want {
		if n != strconv.Itoa(i) {
			t.Fatalf("the first got %v", want)
		}
	}
	if len(want) != events {
		t.Fatalf("the first got %d events", len(want))
	}
	for i := range newcomers {
		got := strings.Fields([]*side{b, a}[i%2].ear("late" + strconv.Itoa(i)).heard())
		if got[0] != "welcome" || !slices.Equal(got[1:], want[len(want)-len(got)+1:]) {
			t.Errorf("newcomer %d got %v", i, got)
		}
	}
	if a.ear("lastA").heard() != "welcome" {
		t.Errorf("who came last got %q", a.ear("lastA").heard())
	}
}

func testBounds(t *testing.T, a, b *side) {
	two := func(e *presence.Entry) { e.MaxConnections = 2 }
	a.must("r", "", "a1")
	b.must("r", "", "b1")
	if _, err := a.enter("r", "", "a2", two); !errors.Is(err, presence.ErrConnections) {
		t.Errorf("a third connection: %v", err)
	}
	b.leave("r", "", "b1", nil)
	soon(t, "the count", "1 0 <nil>", func() any { return a.count("r") })
	if _, err := a.enter("r", "", "a2", two); err != nil {
		t.Errorf("a second connection: %v", err)
	}
	one := func(e *presence.Entry) { e.MaxMembers = 1 }
	a.must("m", "u", "u1")
	if _, err := b.enter("m", "v", "v1", one); !errors.Is(err, presence.ErrMembers) {
		t.Errorf("a second member: %v", err)
	}
	if _, err := b.enter("m", "u", "u2", one); err != nil {
		t.Errorf("a second connection of the member: %v", err)
	}
	soon(t, "the count", "2 1 <nil>", func() any { return b.count("m") })
	if got := append(a.told("came m v"), b.told("came m v")...); len(got) > 0 {
		t.Errorf("told of who was refused: %q", got)
	}
}

func testNeverSeated(t *testing.T, a, b *side) {
	b.must("r", "v", "b1")
	for _, within := range []bool{true, false} {
		r := a.Hub.Open(App, "r")
		e := a.entry("r", "u", "a1")
		e.Only = true
		done := make(chan struct{})
		a.Desk.Enter(e, func(_ presence.Seated, err error) {
			if err != nil {
				t.Error(err)
			}
			if within {
				a.Desk.Leave(e)
			}
			r.Close()
			close(done)
		})
		await(t, "an answer", done)
		if !within {
			a.Desk.Leave(e)
		}
		soon(t, "the count", "1 1 <nil>", func() any { return b.count("r") })
		soon(t, "members on b", []string{"v"}, func() any { return b.members("r") })
	}
	soon(t, "what b is told", 2, func() any { return len(b.told("went r u")) })
}

func testCache(t *testing.T, a, b *side) {
	cache := func(e *presence.Entry) { e.Cache = true }
	if got, err := a.enter("r", "", "a1", cache); err != nil || got.Cached != nil {
		t.Errorf("%+v, %v", got, err)
	}
	b.send("r", "1", 60)
	a.send("r", "2", 60)
	b.send("r", "passing", 0)
	for _, s := range []*side{a, b} {
		got, err := s.enter("r", "", s.name+"2", cache)
		if err != nil || got.Cached == nil || got.Cached.Event != "2" || string(got.Cached.Data) != "2" {
			t.Errorf("%s: %+v, %v", s.name, got.Cached, err)
		}
		data, left, ok, err := s.Census.Cached(t.Context(), App, "r")
		if string(data) != "2" || left <= 0 || left > time.Minute || !ok || err != nil {
			t.Errorf("%s: %q for %v, %v, %v", s.name, data, left, ok, err)
		}
	}
}

// told of both processes, since one of them is told.
func due(a, b *side) any {
	all := append(a.told("due"), b.told("due")...)
	slices.Sort(all)
	return all
}

func testTold(t *testing.T, a, b *side) {
	told := func(e *presence.Entry) { e.Told = true }
	enter := func(s *side, user, id string) {
		if _, err := s.enter("r", user, id, told); err != nil {
			t.Fatal(err)
		}
	}
	enter(a, "u", "a1")
	enter(b, "u", "b1")
	enter(b, "v", "b2")
	soon(t, "what is told", []string{"due r  true", "due r u true", "due r v true"}, func() any { return due(a, b) })
	a.leave("r", "u", "a1", told)
	b.leave("r", "v", "b2", told)
	b.leave("r", "u", "b1", told)
	soon(t, "what is told", []string{"due r  false", "due r  true", "due r u false", "due r u true", "due r v false", "due r v true"}, func() any { return due(a, b) })
}

func testHold(t *testing.T, a, b *side) {
	told := func(e *presence.Entry) { e.Told, e.Hold = true, 300*time.Millisecond }
	if _, err := a.enter("r", "u", "a1", told); err != nil {
		t.Fatal(err)
	}
	soon(t, "what is told", []string{"due r  true", "due r u true"}, func() any { return due(a, b) })
	a.leave("r", "u", "a1", told)
	if _, err := b.enter("r", "u", "b1", func(e *presence.Entry) { told(e); e.Hold = time.Millisecond }); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // nothing is to happen
	if got := fmt.Sprint(due(a, b)); got != "[due r  true due r u true]" {
		t.Errorf("told %s", got)
	}
	b.leave("r", "u", "b1", told)
	soon(t, "what is told", []string{"due r  false", "due r  true", "due r u false", "due r u true"}, func() any { return due(a, b) })
}

// testCrowd has many come and go at once: what is left is what is there.
func testCrowd(t *testing.T, a, b *side) {
	a.must("r", "stays", "a")
	b.must("r", "stays", "b")
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			s, user := []*side{a, b}[w%2], "u"+strconv.Itoa(w/4)
			for i := range 30 {
				id := fmt.Sprint(w, ".", i)
				if _, err := s.enter("r", user, id, nil); err != nil {
					t.Error(err)
					return
				}
				s.leave("r", user, id, nil)
			}
		})
	}
	wait.Wait()
	for _, s := range []*side{a, b} {
		soon(t, "count on "+s.name, "2 1 <nil>", func() any { return s.count("r") })
		soon(t, "members on "+s.name, []string{"stays"}, func() any { return s.members("r") })
		if err := s.Hub.Check(); err != nil {
			t.Error(err)
		}
	}
}
