package app

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/hub/history"
	"poosh/server/leaktest"
	"poosh/server/logtest"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
	"poosh/server/quota"
	"poosh/server/websocket"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// newTestApp makes an app without a server.
func newTestApp(t testing.TB, conf Config, channels *quota.Quota) *App {
	t.Helper()
	return newAppOf(t, conf, &Shared{Hub: hub.New(), Channels: channels})
}

// newAppOf is newTestApp for who says more of what apps have in common.
func newAppOf(t testing.TB, conf Config, shared *Shared) *App {
	t.Helper()
	conf.ID, conf.Key, conf.Secret = "3", "key", "not-so-secret"
	shared.CacheBytes, shared.Count, shared.Log = 1<<20, func(tally.Thing, int) {}, slog.New(slog.DiscardHandler)
	apps, err := NewList([]Config{conf}, shared)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := apps.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := apps.Check(); err != nil || apps.Channels() != 0 {
			t.Errorf("left behind: %v, %d channels", err, apps.Channels())
		}
	})
	return apps.ID("3")
}

// A socket is the other end of a connection: it notes what a client would be sent.
type socket struct {
	Connection
	t       testing.TB
	answers chan error // of entering and leaving
	once    sync.Once  // closes the connection
	ended   chan struct{}

	mu       sync.Mutex // guards what follows
	got      []string
	expelled int // the code; 0 for not yet

	takes func() // called with each frame, before it is there; nil for nothing
}

func (s *socket) Deliver(frame []byte) bool {
	if s.takes != nil {
		s.takes()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, string(websocket.Payload(frame)))
	return true
}

func (s *socket) Expel(_ closed.Reason, code int, _ string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.expelled == 0
	s.expelled = code
	return first
}

func (s *socket) Fits(int, int) bool { return true }

func (s *socket) RemoteAddr() string { return "192.0.2.1:1" }

func (s *socket) Entered(_ string, _ int, err error) { s.answers <- err }
func (s *socket) Left(string)                        { s.answers <- nil }
func (s *socket) Late(string, int, error)            {} // which nobody waits for
func (s *socket) Ended()                             { close(s.ended) }
func (s *socket) Guard(f func())                     { f() }

// open opens a connection.
func open(t testing.TB, a *App) *socket {
	s := &socket{t: t, answers: make(chan error, 1), ended: make(chan struct{})}
	s.Choose(a)
	s.Open(s, NewSocketID(), 7)
	return s
}

// connect opens a connection that is closed with the test.
func connect(t testing.TB, a *App) *socket {
	s := open(t, a)
	t.Cleanup(s.close)
	return s
}

// close ends the connection, once, and waits until that is done.
func (s *socket) close() {
	s.once.Do(func() {
		s.Close()
		<-s.ended
	})
}

// tryEnter, leave and signIn wait for the answer.
func (s *socket) tryEnter(channel string, who protocol.Member) error {
	s.Enter(channel, who, Since{})
	return <-s.answers
}

func (s *socket) leave(channel string) {
	s.Leave(channel)
	<-s.answers
}

func (s *socket) signIn(id string, watchlist ...string) (first bool, err error) {
	done := make(chan struct{})
	s.SignIn(&protocol.User{Member: protocol.Member{ID: id}, Watchlist: watchlist}, func(is bool, no error) {
		if first, err = is, no; first {
			s.GoOnline(func() { close(done) })
			return
		}
		close(done)
	})
	<-done
	return first, err
}

// forget drops what has come since the last call, and returns how much that was.
func (s *socket) forget() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.got)
	s.got = nil
	return n
}

// took compares what has come since the last call.
func (s *socket) took(want ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.got, want) {
		s.t.Errorf("sent\n %s\nwant\n %s", strings.Join(s.got, "\n "), strings.Join(want, "\n "))
	}
	s.got = nil
}

func (s *socket) enter(channel, id string) {
	s.t.Helper()
	who := protocol.Member{}
	if id != "" {
		who = protocol.Member{ID: id, Info: []byte(`{"n":1}`)}
	}
	if err := s.tryEnter(channel, who); err != nil {
		s.t.Fatal(err)
	}
}

const confirmed = `{"event":"pusher_internal:subscription_succeeded","channel":"%s","data":"%s"}`

// TestMembers has users come and go, one of them with two connections.
func TestMembers(t *testing.T) {
	a := newTestApp(t, Config{}, nil)
	x, y, z := connect(t, a), connect(t, a), connect(t, a)
	x.enter("presence-c", "1")
	x.took(fmt.Sprintf(confirmed, "presence-c", `{\"presence\":{\"ids\":[\"1\"],\"hash\":{\"1\":{\"n\":1}},\"count\":1}}`))
	y.enter("presence-c", "2")
	y.took(fmt.Sprintf(confirmed, "presence-c", `{\"presence\":{\"ids\":[\"1\",\"2\"],\"hash\":{\"1\":{\"n\":1},\"2\":{\"n\":1}},\"count\":2}}`))
	x.took(`{"event":"pusher_internal:member_added","channel":"presence-c","data":"{\"user_id\":\"2\",\"user_info\":{\"n\":1}}"}`)
	z.enter("presence-c", "2")
	x.took()
	if c, u := a.Count("presence-c"); c != 3 || u != 2 || len(a.Members("presence-c")) != 2 || a.Len() != 3 {
		t.Errorf("%d connections, %d users, %d members, %d connections of the app", c, u, len(a.Members("presence-c")), a.Len())
	}
	z.leave("presence-c")
	z.leave("presence-c") // which is nothing
	x.took()
	y.close()
	x.took(`{"event":"pusher_internal:member_removed","channel":"presence-c","data":"{\"user_id\":\"2\"}"}`)
	if !x.Trusted() || y.In("presence-c") || z.In("presence-c") || !x.In("presence-c") {
		t.Error("who is in and who is not")
	}
}

// TestLastEvents has newcomers told of what a cache channel keeps, or that it is empty.
func TestLastEvents(t *testing.T) {
	a := newTestApp(t, Config{}, nil)
	x, y := connect(t, a), connect(t, a)
	x.enter("cache-c", "")
	x.took(fmt.Sprintf(confirmed, "cache-c", "{}"), `{"event":"pusher:cache_miss","channel":"cache-c","data":"{}"}`)
	a.Publish("cache-c", "e", []byte(`"1"`), "")
	a.Publish("cache-c", "e", []byte(`"2"`), x.sub.ID())
	x.took(`{"event":"e","channel":"cache-c","data":"1"}`)
	y.enter("cache-c", "")
	y.took(fmt.Sprintf(confirmed, "cache-c", "{}"), `{"event":"e","channel":"cache-c","data":"2"}`)
	if data, left, ok := a.Cached("cache-c"); string(data) != `"2"` || left <= 0 || !ok {
		t.Errorf("%s is kept for %v, %v", data, left, ok)
	}
	if _, _, ok := a.Cached("cache-d"); ok {
		t.Error("something is kept of nothing")
	}
}

// TestClientEventsOfMembers names the user to the others of a presence channel alone.
func TestClientEventsOfMembers(t *testing.T) {
	a := newTestApp(t, Config{}, nil)
	x, y := connect(t, a), connect(t, a)
	for _, s := range []*socket{x, y} {
		s.enter("private-c", "")
		s.enter("presence-c", "1")
	}
	x.forget()
	y.forget()
	x.ClientEvent("private-c", "client-e", []byte("1"))
	x.ClientEvent("presence-c", "client-e", []byte("2"))
	x.took()
	y.took(`{"event":"client-e","channel":"private-c","data":"1"}`, `{"event":"client-e","channel":"presence-c","data":"2","user_id":"1"}`)
}

// TestWatchlists has somebody told who of those it watches is there.
func TestWatchlists(t *testing.T) {
	a := newTestApp(t, Config{}, nil)
	signIn := func(s *socket, id string, watchlist ...string) {
		t.Helper()
		if first, err := s.signIn(id, watchlist...); err != nil || !first {
			t.Fatal(first, err)
		}
	}
	x, y, again := connect(t, a), connect(t, a), connect(t, a)
	signIn(y, "2")
	signIn(x, "1", "2", "3", "2", "")
	x.took(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"2\"]},{\"name\":\"offline\",\"user_ids\":[\"3\"]}]}"}`)
	signIn(again, "2")
	y.close()
	x.took()
	again.close()
	x.took(`{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"2\"]}]}"}`)
	if first, err := x.signIn("1"); first || err != nil {
		t.Errorf("signing in again: %v, %v", first, err)
	}
	if _, err := x.signIn("2"); err == nil {
		t.Error("one connection is two users")
	}
	if !x.IsUser("1") || x.IsUser("2") || !x.Trusted() || x.User().ID != "1" {
		t.Error("who the connection is")
	}
}

// TestOfUser finds a user's connections.
func TestOfUser(t *testing.T) {
	a := newTestApp(t, Config{}, nil)
	signed, member, other := connect(t, a), connect(t, a), connect(t, a)
	if _, err := signed.signIn("1"); err != nil {
		t.Fatal(err)
	}
	signed.enter("presence-c", "1")
	member.enter("presence-c", "1")
	other.enter("presence-c", "2")
	for members, want := range map[bool][]*socket{false: {signed}, true: {signed, member}} {
		list := a.OfUser("1", members)
		for _, c := range list {
			c.Expel(closed.ByApp, 4009, "")
		}
		for _, s := range []*socket{signed, member, other} {
			if (s.expelled != 0) != slices.Contains(want, s) {
				t.Errorf("members %v: %d connections", members, len(list))
			}
			s.expelled = 0
		}
	}
}

// TestRefusedEntries has each bound refuse somebody, who leaves no trace.
func TestRefusedEntries(t *testing.T) {
	room := quota.New(4 * 3000) // of which one address may have a fourth
	a := newTestApp(t, Config{MaxMembers: 1, MaxChannels: 2}, room)
	x, y := connect(t, a), connect(t, a)
	x.enter("presence-c", "1")
	refused := func(s *socket, channel, id, want string) {
		t.Helper()
		err := s.tryEnter(channel, protocol.Member{ID: id})
		if err == nil || !strings.Contains(err.Error(), want) || s.In(channel) {
			t.Errorf("%s: %v", channel, err)
		}
	}
	refused(y, "presence-c", "2", "has 1 members")
	if c, u := a.Count("presence-c"); c != 1 || u != 1 || y.Trusted() {
		t.Errorf("%d connections, %d users", c, u)
	}
	x.enter("private-d", "")
	refused(x, "private-e", "", "subscribes to 2 channels")
	refused(x, "presence-e", "1", "subscribes to 2 channels")
	y.enter("news", "") // with 2,504 bytes
	refused(y, "more-news", "", "as much as they may")
	y.leave("news")
	y.enter("more-news", "")
	y.close()
	if n := room.Used(); n != 0 {
		t.Errorf("%d bytes are not given back", n)
	}
}

// TestCounts has the subscribers of a channel told how many they are: at each change,
// and in a crowd once in a while.
func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestApp(t, Config{SubscriptionCount: true}, nil)
		told := func(n int) string {
			return fmt.Sprintf(`{"event":"pusher_internal:subscription_count","channel":"c","data":"{\"subscription_count\":%d}"}`, n)
		}
		x := connect(t, a)
		x.enter("c", "")
		y := connect(t, a)
		y.enter("c", "")
		x.took(fmt.Sprintf(confirmed, "c", "{}"), told(1), told(2))
		y.leave("c")
		x.took(told(1))
		var crowd []*socket
		for range 149 {
			s := connect(t, a)
			s.enter("c", "")
			crowd = append(crowd, s)
		}
		if n := x.forget(); n != 99 {
			t.Errorf("told %d times while a crowd came", n)
		}
		time.Sleep(countEvery + time.Millisecond)
		synctest.Wait()
		x.took(told(150))
		crowd[0].leave("c")
		time.Sleep(time.Hour)
		synctest.Wait()
		x.took(told(149))
	})
}

// TestPlaces admits as many connections as an app may have.
func TestPlaces(t *testing.T) {
	a := newTestApp(t, Config{MaxConnections: 2}, nil)
	for i, want := range []bool{true, true, false} {
		if a.Admit() != want {
			t.Errorf("number %d", i+1)
		}
	}
	a.Release()
	for i, want := range []bool{true, false} {
		if a.Admit() != want {
			t.Errorf("number %d once there is a place again", i+1)
		}
	}
	a.Release()
	a.Release()
}

// TestChurn has connections come, go, publish and end at once, and then nothing left.
func TestChurn(t *testing.T) {
	a := newTestApp(t, Config{SubscriptionCount: true}, quota.New(1<<20))
	channels := []string{"a", "cache-b", "private-c", "presence-d", "presence-cache-e"}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() { // ends by itself
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 100 {
				s := open(t, a)
				id := fmt.Sprint(random.IntN(3))
				if random.IntN(2) == 0 {
					_, _ = s.signIn(id, "0", "1", "2")
				}
				for range 10 {
					channel := channels[random.IntN(len(channels))]
					switch {
					case s.In(channel) && random.IntN(2) == 0:
						s.ClientEvent(channel, "client-e", []byte("1"))
					case s.In(channel):
						s.leave(channel)
					default:
						who := protocol.Member{}
						if protocol.KindOf(channel).Presence {
							who = protocol.Member{ID: id, Info: protocol.EmptyObject}
						}
						if err := s.tryEnter(channel, who); err != nil {
							t.Error(err)
						}
					}
					a.Publish(channel, "e", []byte(`"2"`), "")
					for range a.Channels() {
					}
				}
				s.close()
			}
		})
	}
	all.Wait()
	for channel := range a.Channels() {
		t.Errorf("%+v is left", channel)
	}
}

// BenchmarkSubscribe subscribes to a channel and leaves it, without a network.
func BenchmarkSubscribe(b *testing.B) {
	a := newTestApp(b, Config{}, nil)
	var c Connection
	c.Choose(a)
	c.Open(everything{}, NewSocketID(), 7)
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		c.Enter("presence-a", protocol.Member{ID: "1", Info: protocol.EmptyObject}, Since{})
		c.Leave("presence-a")
	}
}

// TestSubscriptionAllocations: what clients may ask for of what is kept costs those nothing that
// cannot ask for it.
func TestSubscriptionAllocations(t *testing.T) {
	a := newTestApp(t, Config{}, nil)
	var c Connection
	c.Choose(a)
	c.Open(everything{}, NewSocketID(), 7)
	defer c.Close()
	// The whole process is counted, and whatever else runs in it adds to that: the least counts.
	const most = 24
	n := math.Inf(1)
	for try := 0; try < 10 && n > most; try++ {
		n = min(n, testing.AllocsPerRun(200, func() {
			c.Enter("presence-a", protocol.Member{ID: "1", Info: protocol.EmptyObject}, Since{})
			c.Leave("presence-a")
		}))
	}
	if n > most {
		t.Errorf("a subscription and its end allocate %v times, want at most %d", n, most)
	}
}

// TestCheckTellsWhatIsLeft: a trail that its connection left behind is no connection.
func TestCheckTellsWhatIsLeft(t *testing.T) {
	a := newTestApp(t, Config{}, nil)
	if err := a.check(); err != nil {
		t.Fatal(err)
	}
	a.trails[new(Connection)] = new(trail)
	defer clear(a.trails)
	if err := a.check(); err == nil || !strings.Contains(err.Error(), " 0 connections, 1 that may resume,") {
		t.Errorf("with a trail that is left: %v", err)
	}
}

// everything is a socket that takes it.
type everything struct{}

func (everything) Fits(int, int) bool                    { return true }
func (everything) Deliver([]byte) bool                   { return true }
func (everything) Expel(closed.Reason, int, string) bool { return true }
func (everything) RemoteAddr() string                    { return "192.0.2.1:1" }
func (everything) Left(string)                           {}
func (everything) Late(string, int, error)               {}
func (everything) Ended()                                {}
func (everything) Guard(f func())                        { f() }
func (everything) Entered(_ string, _ int, err error) {
	if err != nil {
		panic(err)
	}
}

// TestHistoryStays: an app's log is made as the server starts, so that what is kept cannot be
// changed after that. An app that is added keeps nothing. One that was there before keeps what
// it kept then, unless it has been there without that since: what was published then is not in
// the log, and nobody may be told that nothing is missing.
func TestHistoryStays(t *testing.T) {
	conf := Config{ID: "3", Key: "key", Secret: "not-so-secret", History: Duration(time.Minute)}
	var log logtest.Buffer
	kept := history.New(history.Config{Age: time.Minute}, HubName("3"))
	l, err := NewList([]Config{conf}, &Shared{Hub: hub.NewWith(nil, kept), CacheBytes: 1 << 20, Count: func(tally.Thing, int) {}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close(t.Context()) }()
	change := func(configs ...Config) {
		t.Helper()
		commit, err := l.Change(configs, Bounds{})
		if err != nil {
			t.Fatal(err)
		}
		commit()
	}
	longer, more, none, other := conf, conf, conf, conf
	longer.History, more.HistoryEvents, none.History = Duration(time.Hour), 7, 0
	other.ID, other.Key = "4", "other"
	for _, bad := range [][]Config{{longer}, {more}, {none}} {
		if _, err := l.Change(bad, Bounds{}); err == nil || !strings.Contains(err.Error(), "history cannot change") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	const said = "nothing is kept of an app"
	if strings.Contains(log.String(), said) {
		t.Error(log.String())
	}
	change(conf, other)
	if !l.ID("3").Keeps() || l.ID("4").Keeps() || strings.Count(log.String(), said) != 1 {
		t.Errorf("an app that is added keeps: %s", &log)
	}
	events := func(id string) int {
		l.ID(id).Publish("c", "e", []byte(`"1"`), "")
		_, _ = l.ID(id).Explain("c", "e", []byte(`"1"`), "")
		return kept.Stats().Events
	}
	if n := events("3"); n != 2 {
		t.Errorf("%d events are kept", n)
	}
	// It goes and comes again.
	for _, again := range []struct {
		conf  Config
		keeps bool
		n     int // events that are kept then
	}{{conf, true, 4}, {none, false, 0}, {longer, false, 0}, {conf, false, 0}} {
		change(other)
		change(other, again.conf)
		if n := events("3"); l.ID("3").Keeps() != again.keeps || n != again.n {
			t.Errorf("with a history of %v it keeps: %v, %d events", time.Duration(again.conf.History), l.ID("3").Keeps(), n)
		}
	}
}
