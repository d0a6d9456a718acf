package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/sends"
	"poosh/server/standing"
)

// A seat is a client for tests.
type seat struct{ waiting int }

func (s *seat) Deliver([]byte) bool { return true }
func (s *seat) Waiting() int        { return s.waiting }
func (s *seat) Standing() standing.Client {
	return standing.Client{Transport: "websocket", Waiting: s.waiting}
}

// house is an inspector of a hub with two apps.
type house struct {
	*Inspector
	hub  *hub.Hub
	book *closed.Book
	all  int64 // bytes that wait
}

func newHouse() *house {
	h := &house{hub: hub.New(), book: closed.New(16), all: 1}
	h.Inspector = New(Config{Hub: h.hub, Book: h.book, Feed: sends.New(), Waiting: func() int64 { return h.all },
		Apps: func() []App {
			return []App{{Dialect: "socket.io", ID: "poosh", Single: true}, {Dialect: "pusher", ID: "1", Hub: "pusher:1"}}
		}})
	return h
}

func (h *house) join(app, id string, waiting int, rooms ...string) {
	s := h.hub.Register(app, id, 1<<20, nil, &seat{waiting})
	for _, r := range rooms {
		_ = h.hub.Join(s, r)
	}
}

func ask(t *testing.T, h http.HandlerFunc, path string, into any) int {
	t.Helper()
	w := httptest.NewRecorder()
	h(w, httptest.NewRequest("GET", path, nil))
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s: %v in %s", path, err, w.Body)
		}
	}
	return w.Code
}

// Pages have all rooms, each once and in order, however many there are.
func TestPages(t *testing.T) {
	h := newHouse()
	for i := range 500 {
		h.join("pusher:1", fmt.Sprint("c", i), 0, fmt.Sprintf("room-%03d", i), "both")
		h.join("", fmt.Sprint("d", i), 0, fmt.Sprint("d", i)) // its own
	}
	h.join("", "e", 0, "e", "both", "room-007")
	var got []string
	for query := "limit=33"; ; {
		var page Rooms
		if status := ask(t, h.ServeRooms, "/api/rooms?"+query, &page); status != 200 || !page.Whole || page.Looked != 1004 {
			t.Fatalf("%d %+v", status, page)
		}
		for _, r := range page.Rooms {
			got = append(got, r.Room+" "+r.Dialect)
		}
		if page.Next == nil {
			break
		}
		query = "limit=33&after=" + *page.Next
	}
	if len(got) != 503 || got[0] != "both pusher" || got[1] != "both socket.io" || got[9] != "room-007 pusher" || got[10] != "room-007 socket.io" {
		t.Errorf("%d rooms, %v", len(got), got[:12])
	}
	for i := 1; i < len(got); i++ {
		if got[i] <= got[i-1] {
			t.Fatalf("%s follows %s", got[i], got[i-1])
		}
	}
	for query, want := range map[string]string{
		"?search=007":                       "[{pusher 1 room-007 1 0} {socket.io poosh room-007 1 0}]",
		"?search=007&dialect=pusher":        "[{pusher 1 room-007 1 0}]",
		"?search=oth&app=poosh":             "[{socket.io poosh both 1 0}]",
		"?dialect=socktopus":                "[]",
		"?sort=connections&limit=1":         "[{pusher 1 both 500 0}]",
		"?own=1&search=d499":                "[{socket.io poosh d499 1 0}]",
		"?search=d499":                      "[]",
		"?search=ROOM":                      "[]",
		"?sort=connections&search=room-001": "[{pusher 1 room-001 1 0}]",
	} {
		var page Rooms
		if ask(t, h.ServeRooms, "/api/rooms"+query, &page); fmt.Sprint(page.Rooms) != want || page.Next != nil {
			t.Errorf("%s: %v %v", query, page.Rooms, page.Next)
		}
	}
}

// More rooms than are looked at are told of.
func TestTooManyRooms(t *testing.T) {
	h := newHouse()
	h.most = 10
	s := h.hub.Register("pusher:1", "x", 1<<21, nil, &seat{})
	for i := range 70 * h.most {
		_ = h.hub.Join(s, strconv.Itoa(i))
	}
	var page Rooms
	if ask(t, h.ServeRooms, "/api/rooms?limit=5", &page); page.Whole || page.Looked > 64*h.most || len(page.Rooms) != 5 {
		t.Errorf("%+v", page)
	}
}

// Who has no token is told of no room that is named by the id of a client who is there.
func TestTopWithoutIds(t *testing.T) {
	for _, ids := range []bool{true, false} {
		h := newHouse()
		h.cfg.Feed.Remember()
		h.cfg.Ids = ids
		h.join("", "sid", 0, "sid", "news")
		for _, room := range []string{"sid", "news"} {
			h.cfg.Feed.Report(sends.Send{Dialect: "socket.io", Room: room})
		}
		h.cfg.Feed.Report(sends.Send{Dialect: "pusher", App: "1", Room: "sid"}) // of that name, but nobody's id
		var top Top
		ask(t, h.ServeTop, "/api/top", &top)
		var got []string
		for _, r := range top.Rooms {
			got = append(got, r.App+" "+r.Room)
		}
		if want := map[bool]string{true: "[1 sid poosh news poosh sid]", false: "[1 sid poosh news]"}[ids]; fmt.Sprint(got) != want {
			t.Errorf("ids %v: %v, want %v", ids, got, want)
		}
	}
}

// One search is under way at a time, and who waits too long is told so.
func TestOneSearchAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.search <- struct{}{}
		for _, handle := range []http.HandlerFunc{h.ServeRooms, h.ServeSlow} {
			if status := ask(t, handle, "/api/rooms", nil); status != 503 {
				t.Errorf("it is answered %d", status)
			}
		}
		time.AfterFunc(searchPatience/2, func() { <-h.search })
		if status := ask(t, h.ServeRooms, "/api/rooms", nil); status != 200 {
			t.Errorf("when that is over it is answered %d", status)
		}
	})
}

// A probe does something when an answer is written.
type probe struct {
	*httptest.ResponseRecorder
	act func()
}

func (p probe) Write(b []byte) (int, error) {
	p.act()
	return p.ResponseRecorder.Write(b)
}

// Who takes an answer slowly keeps nobody from searching.
func TestSearchIsOverBeforeItsAnswer(t *testing.T) {
	h := newHouse()
	for _, handle := range []http.HandlerFunc{h.ServeRooms, h.ServeSlow} {
		wrote := false
		handle(probe{httptest.NewRecorder(), func() {
			wrote = true
			if len(h.search) != 0 {
				t.Error("it is answered while others are kept out")
			}
		}}, httptest.NewRequest("GET", "/api/x", nil))
		if !wrote {
			t.Error("there is no answer")
		}
	}
}

// A search ends when nobody waits for it any more, and what it found is not kept.
func TestSearchEndsWithItsRequest(t *testing.T) {
	h := newHouse()
	for i := range 5 * lookAgain {
		h.join("pusher:1", strconv.Itoa(i), 1)
	}
	s := h.hub.Register("pusher:1", "x", 5*lookAgain, nil, &seat{})
	for i := range 5 * lookAgain {
		_ = h.hub.Join(s, strconv.Itoa(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if page := h.rooms(ctx, h.find("", ""), wish{limit: 50}); page.Looked > lookAgain || page.Whole {
		t.Errorf("%d rooms were looked at for nobody, whole: %v", page.Looked, page.Whole)
	}
	h.slow(ctx)
	if !h.looked.IsZero() {
		t.Error("what was found of some is kept")
	}
	if _, list := h.slow(t.Context()); len(list) != mostSlow {
		t.Errorf("then there are %d", len(list))
	}
}

// The slowest are those for whom most waits, and are looked for once a second.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		time.Sleep(time.Hour)
		for i := range 1000 {
			h.join("pusher:1", fmt.Sprint("p", i), i%7)
		}
		h.join("", "s", 5000)
		h.join("", "t", 4000)
		var slow Slow
		ask(t, h.ServeSlow, "/api/slow?limit=3", &slow)
		if len(slow.Clients) != 3 || slow.Clients[0].ID != "s" || slow.Clients[1].ID != "t" || slow.Clients[2].Waiting != 6 || slow.Clients[0].App != "poosh" {
			t.Errorf("%+v", slow)
		}
		h.join("", "u", 9000)
		if ask(t, h.ServeSlow, "/api/slow", &slow); len(slow.Clients) != usualSlow || slow.Clients[0].ID != "s" {
			t.Errorf("in the same second %+v", slow.Clients[0])
		}
		time.Sleep(time.Second)
		if ask(t, h.ServeSlow, "/api/slow?limit=50", &slow); len(slow.Clients) != mostSlow || slow.Clients[0].ID != "u" {
			t.Errorf("a second later %+v", slow.Clients[0])
		}
		h.all = 0
		time.Sleep(time.Second)
		if ask(t, h.ServeSlow, "/api/slow", &slow); len(slow.Clients) != 0 {
			t.Errorf("while nothing waits %+v", slow.Clients)
		}
	})
}

// What is told of one room and one client has bounds.
func TestBounds(t *testing.T) {
	h := newHouse()
	for i := range 300 {
		h.join("", fmt.Sprintf("c%03d", i), 0, "crowd")
	}
	var room OneRoom
	ask(t, h.ServeRoom, "/api/rooms/one?dialect=socket.io&app=poosh&room=crowd&limit=7", &room)
	if len(room.Members) != 7 || !room.More || room.Connections != 300 {
		t.Errorf("%d of %d, more: %v", len(room.Members), room.Connections, room.More)
	}
	var rooms []string
	for i := range 1000 {
		rooms = append(rooms, strconv.Itoa(i))
	}
	h.join("", "busy", 3, append(rooms, "busy")...)
	a := h.find("socket.io", "")[0]
	if one, there := h.open(&a, "busy"); !there || len(one.Rooms) != mostRoomsOfOne || one.RoomCount != 1001 || one.Waiting != 3 {
		t.Errorf("%v: %d of %d rooms", there, len(one.Rooms), one.RoomCount)
	}
	if _, there := h.open(&a, "7"); there {
		t.Error("a room is found for a client")
	}
	s := h.book.Source("pusher", "1")
	for i := range 30 {
		s.Closed(closed.Kicked, strconv.Itoa(i), netip.Addr{}, time.Second, 0)
	}
	var left struct{ Left []Left }
	ask(t, h.ServeLeft, "/api/left?reason=kicked&limit=500", &left)
	if len(left.Left) != 16 || left.Left[0].ID != "29" || left.Left[0].Network != "" || left.Left[0].Reason != "kicked" {
		t.Errorf("%+v", left.Left)
	}
}

func TestNamedReasons(t *testing.T) {
	for r := range closed.Reasons {
		if got, ok := closed.Named(r.String()); !ok || got != r {
			t.Errorf("%s is %s", r, got)
		}
	}
	if _, ok := closed.Named(closed.None.String()); ok {
		t.Error("no reason is one")
	}
	if strings.TrimSpace(closed.None.String()) == "" {
		t.Error("none has no name")
	}
}

// BenchmarkRooms searches all rooms, which costs by what is looked at and never more than
// the bound on that.
func BenchmarkRooms(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			h := newHouse()
			s := h.hub.Register("pusher:1", "x", n, nil, &seat{})
			for i := range n {
				_ = h.hub.Join(s, fmt.Sprint("room-", i))
			}
			b.ReportAllocs()
			for b.Loop() {
				h.rooms(b.Context(), h.find("", ""), wish{part: "99", limit: 50})
			}
		})
	}
}

// BenchmarkSlow goes through all clients for the slowest.
func BenchmarkSlow(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			h := newHouse()
			for i := range n {
				h.join("pusher:1", strconv.Itoa(i), i%977)
			}
			b.ReportAllocs()
			for b.Loop() {
				h.look(b.Context())
			}
		})
	}
}
