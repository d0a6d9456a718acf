package socktopus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/closed"
)

// sent posts one message and says under which heading it is answered.
func (s *site) sent(id, content string) string {
	s.t.Helper()
	status, body, _ := s.request("POST", "/send", fmt.Sprintf(`{"secretName":"myapp","secret":"s3cret","messages":%s}`, quote([]message{{id, content}})))
	var answer map[string][]message
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
		s.t.Fatalf("%d %s", status, body)
	}
	var under []string
	for _, heading := range []string{"succeeded", "failed", "kept"} {
		if list := answer[heading]; len(list) > 0 {
			under = append(under, heading)
		}
	}
	return strings.Join(under, "+")
}

// lost ends a connection without a word, and waits until the server knows.
func (s *site) lost(ws *websocket.Conn) {
	s.t.Helper()
	before := s.dialect.connected()
	_ = ws.NetConn().Close()
	waitFor(s.t, func() bool { return s.dialect.connected() < before })
}

// back joins again, and reads nothing yet.
func (s *site) back(id string) *websocket.Conn {
	s.t.Helper()
	ws, _, err := s.tryJoin(token(id, 0))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	return ws
}

// What comes while a client is between two connections is given when it returns, once, in
// order and before anything newer.
func TestKept(t *testing.T) {
	s := newSite(t, Config{Keep: true})
	if got := s.sent("1", "nobody was there"); got != "failed" {
		t.Errorf("to nobody: %s", got)
	}
	s.lost(s.join("1"))
	for _, content := range []string{"a", "b", ""} {
		if got := s.sent("1", content); got != "kept" {
			t.Errorf("%q: %s", content, got)
		}
	}
	if got := s.sent("2", "x"); got != "failed" {
		t.Errorf("to another id: %s", got)
	}
	ws := s.back("1")
	want(t, ws, "DATA:a", "DATA:b", "DATA:")
	s.synced(ws)
	if got := s.sent("1", "c"); got != "succeeded" {
		t.Error(got)
	}
	want(t, ws, "DATA:c")
	// A second time, with nothing, and a third.
	s.lost(ws)
	ws = s.join("1")
	s.lost(ws)
	if got := s.sent("1", "d"); got != "kept" {
		t.Error(got)
	}
	ws = s.back("1")
	want(t, ws, "DATA:d")
	s.synced(ws)
	if st := s.dialect; st.kept.Load() != 4 || st.missed.Load() != 0 {
		t.Errorf("%d kept, %d missed", st.kept.Load(), st.missed.Load())
	}
}

// Without the setting nothing is kept, and the answer has the original's two lists.
func TestNothingKept(t *testing.T) {
	s := newSite(t, Config{})
	s.lost(s.join("1"))
	if got := s.sent("1", "a"); got != "failed" {
		t.Error(got)
	}
	if _, body, _ := s.request("POST", "/send", `{"secretName":"myapp","secret":"s3cret","messages":[]}`); body != `{"succeeded":[],"failed":[]}` {
		t.Error(body)
	}
	s.join("1") // which is told nothing but PONG
}

// Nothing is kept for who has asked for the end, or was sent away; and a kick drops what is.
func TestSentAwayKeepsNothing(t *testing.T) {
	s := newSite(t, Config{Keep: true})
	ws := s.join("1")
	write(t, ws, "CLOSE")
	wantClosed(t, ws, true, websocket.CloseNormalClosure)
	waitFor(t, func() bool { return s.dialect.connected() == 0 })
	if got := s.sent("1", "a"); got != "failed" {
		t.Errorf("who asked for it: %s", got)
	}
	ws = s.joinAged("1", 4*time.Second)
	s.kick("1")
	wantClosed(t, ws, true, websocket.CloseNormalClosure)
	if got := s.sent("1", "a"); got != "failed" {
		t.Errorf("who was kicked: %s", got)
	}
	s.lost(s.join("2"))
	if got := s.sent("2", "a"); got != "kept" {
		t.Error(got)
	}
	s.kick("2")
	s.join("2") // which is told nothing but PONG
	if n := s.dialect.missed.Load(); n != 1 {
		t.Errorf("%d missed after the kick", n)
	}
	for _, why := range []closed.Reason{closed.Kicked, closed.Asked, closed.Replaced, closed.Shutdown} {
		if comesBack(why) {
			t.Errorf("%v comes back", why)
		}
	}
}

// What waits for a client of an application that is no more is missed.
func TestRemovedMisses(t *testing.T) {
	s := newSite(t, Config{Keep: true})
	a := s.dialect.rules.Load().apps["myapp"]
	s.lost(s.join("1"))
	s.lost(s.join("2"))
	if got := s.sent("1", "a") + s.sent("1", "b") + s.sent("2", "c"); got != "keptkeptkept" {
		t.Fatal(got)
	}
	next := *s.dialect.cfg()
	next.Secrets = map[string]string{"other": "0ther"}
	commit, err := s.dialect.change(next)
	if err != nil {
		t.Fatal(err)
	}
	commit()
	if n := s.dialect.missed.Load(); n != 3 || s.dialect.waiting() != 0 {
		t.Errorf("%d missed, %d bytes wait", n, s.dialect.waiting())
	}
	// A request that has found the application before it went keeps nothing there.
	if kept, again := s.dialect.keep(a, message{"1", "d"}); kept || again {
		t.Errorf("kept %v, again %v", kept, again)
	}
}

// A connection whose peer is gone takes nothing from that moment on, also while nobody has
// been told of it yet: what is sent then is kept too.
func TestKeptWhileItEnds(t *testing.T) {
	s := newSite(t, Config{Keep: true})
	a := s.dialect.rules.Load().apps["myapp"]
	for i := range 100 {
		id := fmt.Sprint("id", i)
		s.join(id)
		a.mu.Lock()
		c := a.clients[id]
		a.mu.Unlock()
		c.conn.Abort(errors.New("its peer is gone"))
		if took, kept := s.dialect.hand(a, message{id, "m"}); took != 0 || !kept {
			t.Fatalf("%s: %d took it, kept %v", id, took, kept)
		}
		if i%10 == 0 {
			want(t, s.back(id), "DATA:m")
		}
	}
}

// What finds no room has failed, and what was kept stays.
func TestKeepBytes(t *testing.T) {
	s := newSite(t, Config{Keep: true, KeepBytes: 10_000, Outbox: 1 << 20})
	s.lost(s.join("1"))
	kept := 0
	for s.sent("1", strings.Repeat("x", 1000)) == "kept" {
		if kept++; kept > 10 {
			t.Fatal("more than there is room for")
		}
	}
	if kept < 7 || s.dialect.waiting() > 10_000 {
		t.Errorf("%d kept, %d bytes", kept, s.dialect.waiting())
	}
	ws := s.back("1")
	for range kept {
		want(t, ws, "DATA:"+strings.Repeat("x", 1000))
	}
	s.synced(ws)
	// Half an outbox is the most for one client.
	s = newSite(t, Config{Keep: true, Outbox: 4096})
	s.lost(s.join("1"))
	if got := s.sent("1", strings.Repeat("x", 1000)) + s.sent("1", strings.Repeat("x", 1000)); got != "keptfailed" {
		t.Error(got)
	}
	s.synced(func() *websocket.Conn {
		ws := s.back("1")
		want(t, ws, "DATA:"+strings.Repeat("x", 1000))
		return ws
	}())
}

// What nobody comes for goes after the life of a token, and who comes and goes takes no more
// than who has gone once.
func TestAbsencesEnd(t *testing.T) {
	var a absences
	now := time.Now()
	first := a.leaves("1", now, 1000)
	if first == nil || a.leaves("1", now.Add(time.Second), 1000) != first {
		t.Fatal("one that is away is not")
	}
	first.frames, first.waits = [][]byte{{1}, {2}}, 200
	a.bytes += 200
	if a.leaves("2", now, 700) != nil {
		t.Error("there is room for another")
	}
	a.leaves("2", now.Add(time.Second), 10_000)
	for range 10 { // comes and goes
		if got := a.returns("3"); got != nil {
			t.Errorf("3 missed %v", got)
		}
		a.leaves("3", now.Add(2*time.Second), 10_000)
	}
	if a.bytes != 3*301+200 {
		t.Errorf("%d bytes", a.bytes)
	}
	// From the middle, the end and the beginning.
	for _, id := range []string{"4", "5", "6"} {
		a.leaves(id, now.Add(2*time.Second), 10_000)
	}
	for _, id := range []string{"4", "6"} {
		a.returns(id)
	}
	a.leaves("7", now.Add(2*time.Second), 10_000)
	var list []string
	for away := a.first; away != nil; away = away.next {
		list = append(list, away.id)
		if away.next != nil && away.next.before != away || away.next == nil && a.last != away {
			t.Errorf("%s is not where it belongs", away.id)
		}
	}
	if got := strings.Join(list, ""); got != "12357" || a.bytes != 5*301+200 {
		t.Errorf("%s, %d bytes", got, a.bytes)
	}
	if n := a.cut(now.Add(auth.SocktopusLife - 1)); n != 0 {
		t.Errorf("%d went before their time", n)
	}
	if n := a.cut(now.Add(auth.SocktopusLife)); n != 2 || a.returns("1") != nil {
		t.Errorf("%d went", n)
	}
	a.leaves("8", now, 10_000)
	a.returns("2")
	a.returns("7")
	if n := a.cut(now.Add(time.Minute)); n != 0 || a.bytes != 0 || len(a.byID) != 0 || a.first != nil || a.last != nil {
		t.Errorf("%d went, %d bytes are left: %+v", n, a.bytes, a)
	}
}

// While a client comes and goes and others send, nothing is given twice or out of order, and
// whatever is called kept is given.
func TestKeptWhileSending(t *testing.T) {
	s := newSite(t, Config{Keep: true})
	const messages = 300
	var mu sync.Mutex
	kept := make(map[string]bool)
	done := make(chan struct{})
	go func() { // ends with its messages
		defer close(done)
		for i := range messages {
			if s.sent("1", fmt.Sprintf("%04d", i)) == "kept" {
				mu.Lock()
				kept[fmt.Sprintf("DATA:%04d", i)] = true
				mu.Unlock()
			}
		}
	}()
	var heard []string
	read := func(ws *websocket.Conn, most int) {
		for range most {
			_, text, err := ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if heard = append(heard, string(text)); strings.HasSuffix(string(text), "end") {
				return
			}
		}
	}
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		ws := s.back("1")
		if over {
			s.sent("1", "end")
			read(ws, messages)
			break
		}
		// Between kept and live, or in the middle of either. A close frame is answered once all
		// that was accepted before has been written.
		end := time.AfterFunc(5*time.Millisecond, func() {
			_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
		})
		for {
			_, text, err := ws.ReadMessage()
			if err != nil {
				break
			}
			heard = append(heard, string(text))
		}
		end.Stop()
		_ = ws.Close()
	}
	seen := make(map[string]bool)
	last := ""
	for _, text := range heard {
		if seen[text] || text < last {
			t.Errorf("%q after %q, or twice", text, last)
		}
		seen[text], last = true, text
	}
	for text := range kept {
		if !seen[text] {
			t.Errorf("%q was kept and not given", text)
		}
	}
	if len(kept) == 0 {
		t.Error("nothing was kept")
	}
}
