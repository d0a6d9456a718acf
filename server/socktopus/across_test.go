package socktopus

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/admission"
	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/presence/presencetest"
)

// twoSites are two processes that an engine in memory joins.
func twoSites(t *testing.T, cfg Config) (e *presencetest.Engine, one, two *site, nodes [2]*presencetest.Node) {
	e = presencetest.New()
	t.Cleanup(e.Close)
	sites := [2]*site{}
	for i, name := range []string{"one", "two"} {
		nodes[i] = e.Node(name, nil)
		of := cfg
		of.Holder, of.Bus = nodes[i], nodes[i]
		sites[i] = newSiteOn(t, nodes[i].Hub, of)
	}
	return e, sites[0], sites[1], nodes
}

// A message reaches who has the id, wherever that is and it was sent.
func TestSendAcross(t *testing.T) {
	_, one, two, _ := twoSites(t, Config{})
	a, b := one.join("a"), two.join("b")
	for i, s := range []*site{one, two} {
		ok, failed := s.send(message{"a", fmt.Sprint("to a ", i)}, message{"nobody", "x"}, message{"b", fmt.Sprint("to b ", i)})
		if ok != 2 || failed != 1 {
			t.Errorf("%d succeeded, %d failed", ok, failed)
		}
	}
	want(t, a, "DATA:to a 0", "DATA:to a 1")
	want(t, b, "DATA:to b 0", "DATA:to b 1")
	_ = a.Close()
	waitFor(t, func() bool { ok, _ := two.send(message{"a", "gone"}); return ok == 0 })
}

// A slowHolder is asked, and answers when it is told to.
type slowHolder struct {
	presence.Holder
	asked, answer chan struct{}
}

func (s slowHolder) Held(ctx context.Context, app string, ids []string) ([]bool, error) {
	s.asked <- struct{}{}
	<-s.answer
	return s.Holder.Held(ctx, app, ids)
}

// Whoever waits for the other processes keeps no place in the gate from other senders, of all dialects.
func TestSendAcrossHoldsNoPlace(t *testing.T) {
	gate := admission.New(caughtUp{}, 0)
	e := presencetest.New()
	t.Cleanup(e.Close)
	node := e.Node("one", nil)
	slow := slowHolder{node, make(chan struct{}), make(chan struct{})}
	s := newSiteOn(t, node.Hub, Config{Holder: slow, Bus: node, Gate: gate})
	status := make(chan int, 1)
	go func() { // ends with the answer
		got, _, _ := s.request("POST", "/send", `{"secretName":"myapp","secret":"s3cret","messages":[{"recipient":"1","content":"x"}]}`)
		status <- got
	}()
	<-slow.asked
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := gate.Close(ctx); err != nil {
		t.Error("a place is held while the other processes are asked: ", err)
	}
	close(slow.answer)
	if got := <-status; got != 200 {
		t.Error(got)
	}
}

// One id is one connection's: the last one's that joined, on any process. What is sent meanwhile
// comes once, in order, to one of them.
func TestSameIDAcross(t *testing.T) {
	_, one, two, _ := twoSites(t, Config{})
	sites := []*site{one, two}
	got := make(chan string, 10000)
	readers := 0
	read := func(ws *websocket.Conn) {
		readers++
		go func() { // ends with the connection
			for {
				_, text, err := ws.ReadMessage()
				if err != nil {
					got <- "end"
					return
				}
				got <- string(text)
			}
		}()
	}
	first := one.join("id")
	read(first)
	sent, failed := 0, 0
	for i := range 12 {
		for range 5 {
			ok, no := sites[(i+1)%2].send(message{"id", fmt.Sprint(sent)})
			sent, failed = sent+ok, failed+no
		}
		ws, _, err := sites[(i+1)%2].tryJoin(token("id", 0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ws.Close() })
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		read(ws)
	}
	if failed != 0 {
		t.Errorf("%d failed, though somebody had the id at any time", failed)
	}
	seen := make(map[string]int)
	closes, ends := 0, 0
	for ends < readers-1 || len(seen) < sent {
		select {
		case text := <-got:
			switch {
			case text == "CLOSE":
				closes++
			case text == "end":
				ends++
			default:
				seen[text]++
			}
		case <-time.After(patience):
			t.Fatalf("%d of %d messages, %d of %d connections ended", len(seen), sent, ends, readers-1)
		}
	}
	for text, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", text, n)
		}
	}
	if closes != readers-1 {
		t.Errorf("%d were told CLOSE, want %d", closes, readers-1)
	}
	waitFor(t, func() bool { return one.dialect.Stats().Connected+two.dialect.Stats().Connected == 1 })
}

// Who is kicked is ended wherever it is, and comes back nowhere with a token that was there.
func TestKickAcross(t *testing.T) {
	_, one, two, _ := twoSites(t, Config{})
	old := token("a", 0)
	ahead := auth.NewSocktopus("MyApp", "s3cret", "b", time.Now().Add(3*time.Second))
	a, b := one.join("a"), (*websocket.Conn)(nil)
	b, _, err := two.tryJoin(ahead)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_ = b.SetReadDeadline(time.Now().Add(patience))
	two.synced(b)
	other := one.join("other")
	time.Sleep(2 * time.Millisecond) // so that the tokens are of before the kick
	two.kick("a", "b", "nobody")
	wantClosed(t, a, true, websocket.CloseNormalClosure)
	wantClosed(t, b, true, websocket.CloseNormalClosure)
	for _, s := range []*site{one, two} {
		for _, text := range []string{old, ahead} {
			ws, _, err := s.tryJoin(text)
			if err != nil {
				t.Fatal(err)
			}
			_ = ws.SetReadDeadline(time.Now().Add(patience))
			wantClosed(t, ws, true, websocket.CloseNormalClosure)
			_ = ws.Close()
		}
	}
	one.synced(other)
	time.Sleep(2 * time.Millisecond)
	again := one.join("a") // with a new one
	if ok, _ := two.send(message{"a", "new"}); ok != 1 {
		t.Error("who came back gets nothing")
	}
	want(t, again, "DATA:new")
}

// Without what joins the processes senders and newcomers are told so, and who is there stays.
func TestOthersAreAway(t *testing.T) {
	e, one, two, _ := twoSites(t, Config{})
	a := one.join("a")
	e.Away(true)
	for _, request := range []string{
		`{"secretName":"myapp","secret":"s3cret","messages":[{"recipient":"a","content":"x"}]}`,
		`{"secretName":"myapp","secret":"s3cret","messages":[{"recipient":"elsewhere","content":"x"}]}`,
		`{"secretName":"myapp","secret":"s3cret","connections":["a"]}`,
	} {
		path := "/send"
		if strings.Contains(request, "connections") {
			path = "/kick"
		}
		status, body, h := one.request("POST", path, request)
		if status != http.StatusServiceUnavailable || h.Get("Retry-After") == "" || !strings.HasPrefix(body, `{"code":503,`) {
			t.Errorf("%s: %d %s %v", path, status, body, h)
		}
	}
	ws, _, err := two.tryJoin(token("b", 0))
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	wantClosed(t, ws, false, websocket.CloseTryAgainLater)
	one.synced(a)
	e.Away(false)
	if ok, _ := two.send(message{"a", "back"}); ok != 1 {
		t.Error("it is not found when they are back")
	}
	want(t, a, "DATA:back")
}

// What a process had that is gone is nobody's.
func TestProcessIsGone(t *testing.T) {
	e, one, two, nodes := twoSites(t, Config{})
	one.join("a")
	e.Kill(nodes[0])
	if ok, failed := two.send(message{"a", "x"}); ok != 0 || failed != 1 {
		t.Errorf("%d succeeded, %d failed", ok, failed)
	}
	b := two.join("a")
	if ok, _ := two.send(message{"a", "y"}); ok != 1 {
		t.Error("who joins elsewhere gets nothing")
	}
	want(t, b, "DATA:y")
}

// What is sent to who is between two connections waits, wherever it was sent and the two are, and
// comes in order, before what is sent after.
func TestKeepAcross(t *testing.T) {
	e, one, two, _ := twoSites(t, Config{Keep: true})
	sites := []*site{one, two}
	kept := func(s *site, content string) bool {
		status, body, _ := s.request("POST", "/send", fmt.Sprintf(`{"secretName":"myapp","secret":"s3cret","messages":%s}`, quote([]message{{"id", content}})))
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		return strings.Contains(body, `"kept"`)
	}
	for i := range 6 {
		at, next := sites[i%2], sites[i/2%2]
		ws := at.join("id")
		_ = ws.NetConn().Close()
		waitFor(t, func() bool { return at.dialect.Stats().Connected == 0 })
		e.Quiet()
		for n, s := range []*site{one, two, one} {
			if !kept(s, fmt.Sprint("kept ", n)) {
				t.Errorf("round %d, message %d is not kept", i, n)
			}
		}
		again, _, err := next.tryJoin(token("id", 0))
		if err != nil {
			t.Fatal(err)
		}
		_ = again.SetReadDeadline(time.Now().Add(patience))
		waitFor(t, func() bool { return next.dialect.Stats().Connected == 1 })
		if kept(two, "after") {
			t.Error("kept for who is there")
		}
		want(t, again, "DATA:kept 0", "DATA:kept 1", "DATA:kept 2", "DATA:after")
		write(t, again, "CLOSE")
		want(t, again, "CLOSE")
		_ = again.Close()
		waitFor(t, func() bool { return next.dialect.Stats().Connected == 0 })
		e.Quiet()
		if kept(one, "x") {
			t.Error("kept for who asked for the end")
		}
	}
	ws := one.join("id")
	_ = ws.NetConn().Close()
	waitFor(t, func() bool { return one.dialect.Stats().Connected == 0 })
	e.Quiet()
	kept(two, "for who is kicked")
	two.kick("id")
	time.Sleep(2 * time.Millisecond)
	last := two.join("id")
	two.send(message{"id", "new"})
	want(t, last, "DATA:new")
}

// A message that may have come is none that was not sent: its sender is told so, and to try again only where
// nothing was on its way.
func TestNobodyKnowsWhatCame(t *testing.T) {
	_, one, _, _ := twoSites(t, Config{})
	a := one.dialect.rules.Load().apps["myapp"]
	list := []message{{"a", "x"}, {"b", "y"}}
	handed := hub.Handed{Took: -1, Nodes: 1}
	for _, c := range []struct {
		became    [2]hub.Handed
		away      error // to who asked whose recipients are there
		want      error
		succeeded int
	}{
		{[2]hub.Handed{{Err: hub.ErrUncertain}, {Err: hub.ErrAway}}, nil, hub.ErrUncertain, 0},
		{[2]hub.Handed{{Err: hub.ErrAway}, {Err: hub.ErrUncertain}}, nil, hub.ErrUncertain, 0},
		{[2]hub.Handed{{Err: hub.ErrAway}, {Err: hub.ErrAway}}, nil, hub.ErrAway, 0},
		{[2]hub.Handed{}, hub.ErrAway, hub.ErrAway, 0},
		{[2]hub.Handed{{Err: hub.ErrUncertain}, handed}, nil, nil, 1},
		{[2]hub.Handed{handed, handed}, nil, nil, 2},
		{[2]hub.Handed{}, nil, nil, 0}, // nobody is there
	} {
		r := httptest.NewRequest("POST", "/send", nil)
		answer, err := one.dialect.sortOut(r, a, "id", list, c.became[:], nil, c.away)
		if err != c.want || len(answer.Succeeded) != c.succeeded || len(answer.Succeeded)+len(answer.Failed) != len(list) {
			t.Errorf("%v, %v: %v, %+v", c.became, c.away, err, answer)
		}
	}
}
