package inspect

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"poosh/server/hub"
	"poosh/server/respond"
	"poosh/server/standing"
)

// Bounds on what is answered about rooms.
const (
	usualRooms   = 50
	mostRooms    = 200
	maxSearch    = 200 // bytes
	usualMembers = 100
	mostMembers  = 500
	mostSends    = 20
)

// A Room is one that somebody is in.
type Room struct {
	Dialect     string `json:"dialect"`
	App         string `json:"app"`
	Room        string `json:"room"`
	Connections int    `json:"connections"`
	Users       int    `json:"users"`
}

// compare brings rooms into an order: by name, then by whose they are.
func (r *Room) compare(s *Room) int {
	return cmp.Or(strings.Compare(r.Room, s.Room), strings.Compare(r.Dialect, s.Dialect), strings.Compare(r.App, s.App))
}

// cursor is where a page ends, for the next one.
func (r *Room) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(r.Dialect + "\n" + r.App + "\n" + r.Room))
}

// parseCursor reads what cursor made; nil for an empty text.
func parseCursor(text string) (*Room, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	parts := strings.SplitN(string(raw), "\n", 3)
	if err != nil || len(parts) < 3 {
		return nil, errors.New("after: want the next of the page before")
	}
	return &Room{Dialect: parts[0], App: parts[1], Room: parts[2]}, nil
}

// Rooms is a page of them.
type Rooms struct {
	Rooms  []Room  `json:"rooms"`
	Next   *string `json:"next"` // for the parameter after; nil with the last page
	Looked int     `json:"looked_at"`
	Whole  bool    `json:"whole"` // all there are were looked at
}

// wish says which rooms a request wants.
type wish struct {
	part    string // of the name
	own     bool   // also those of clients' own ids
	after   *Room  // the last of the page before; nil for the first page
	largest bool   // first; else by name
	limit   int
}

// ServeRooms answers GET with a page of the rooms that somebody is in. The query may have
// dialect and app; search, a part of the name; own=1, for rooms of clients' own ids too;
// limit; sort, name or connections; and after, the next of the page before.
func (i *Inspector) ServeRooms(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, ok := number(w, q, "limit", usualRooms, mostRooms)
	if !ok {
		return
	}
	after, err := parseCursor(q.Get("after"))
	want := wish{part: q.Get("search"), own: q.Get("own") == "1", after: after, limit: limit, largest: q.Get("sort") == "connections"}
	switch by := q.Get("sort"); {
	case err != nil:
		respond.Go.Error(w, http.StatusBadRequest, err.Error())
	case by != "" && by != "name" && by != "connections":
		respond.Go.Error(w, http.StatusBadRequest, "sort: want name or connections")
	case want.largest && after != nil:
		respond.Go.Error(w, http.StatusBadRequest, "after: there are no further pages of those with the most connections")
	case len(want.part) > maxSearch:
		respond.Go.Error(w, http.StatusBadRequest, "search: is too long")
	default:
		done, ok := i.alone(w, r)
		if !ok {
			return
		}
		page := i.rooms(r.Context(), i.find(q.Get("dialect"), q.Get("app")), want)
		done() // who takes the answer slowly keeps nobody from searching
		respond.Go.JSON(w, http.StatusOK, page)
	}
}

// rooms looks at the rooms of some apps, until ctx ends. The caller is alone.
func (i *Inspector) rooms(ctx context.Context, apps []App, want wish) *Rooms {
	page := &Rooms{Whole: true}
	best := bestOf[Room]{most: want.limit + 1, better: want.better}
	over := false
	for _, a := range apps {
		page.Whole = i.cfg.Hub.Look(a.Hub, i.most, func(seen hub.SeenRoom) bool {
			page.Looked++
			if over = over || page.Looked%lookAgain == 0 && ctx.Err() != nil; over {
				return false
			}
			r := Room{Dialect: a.Dialect, App: a.ID, Room: seen.Name()}
			if !strings.Contains(r.Room, want.part) || want.after != nil && r.compare(want.after) <= 0 {
				return true
			}
			count := seen.Count()
			r.Connections, r.Users = count.Connections, count.Users
			if best.wants(r) && (want.own || !seen.IsOwn()) {
				best.add(r)
			}
			return true
		}) && page.Whole && !over
		if over {
			break
		}
	}
	page.Rooms = best.sorted()
	if len(page.Rooms) > want.limit {
		page.Rooms = page.Rooms[:want.limit]
		if !want.largest {
			next := page.Rooms[want.limit-1].cursor()
			page.Next = &next
		}
	}
	return page
}

// better reports whether one room comes before another.
func (want *wish) better(a, b Room) bool {
	if want.largest && a.Connections != b.Connections {
		return a.Connections > b.Connections
	}
	return a.compare(&b) < 0
}

// bestOf keeps the best of many, however many there are.
type bestOf[T any] struct {
	most   int
	better func(a, b T) bool
	list   []T // a heap with the worst first
}

// wants reports whether one is better than the worst that is kept.
func (b *bestOf[T]) wants(one T) bool { return len(b.list) < b.most || b.better(one, b.list[0]) }

func (b *bestOf[T]) add(one T) {
	if len(b.list) < b.most {
		heap.Push(b, one)
		return
	}
	b.list[0] = one
	heap.Fix(b, 0)
}

// sorted returns what is kept, the best first, and not nil.
func (b *bestOf[T]) sorted() []T {
	list := append([]T{}, b.list...)
	slices.SortFunc(list, func(x, y T) int {
		if b.better(x, y) {
			return -1
		}
		return 1
	})
	return list
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (b *bestOf[T]) Len() int           { return len(b.list) }
func (b *bestOf[T]) Less(i, j int) bool { return b.better(b.list[j], b.list[i]) }
func (b *bestOf[T]) Swap(i, j int)      { b.list[i], b.list[j] = b.list[j], b.list[i] }
func (b *bestOf[T]) Push(one any)       { b.list = append(b.list, one.(T)) }
func (b *bestOf[T]) Pop() any           { panic("inspect: the best are never taken one by one") }

// A Send is one to a room.
type Send struct {
	ID     string `json:"id"`
	At     string `json:"at"`
	Event  string `json:"event"`
	Size   int    `json:"size"`
	Handed int    `json:"handed"`
}

// OneRoom is a room with who is in it.
type OneRoom struct {
	Room
	Members []Client `json:"members"`
	More    bool     `json:"more"`  // there are more members than these
	Sends   []Send   `json:"sends"` // the last that are remembered, the last first
}

// ServeRoom answers GET with one room: the query has dialect, app and room, and may have
// limit, of members. 404 says that nobody is in it.
func (i *Inspector) ServeRoom(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, ok := number(w, q, "limit", usualMembers, mostMembers)
	if !ok {
		return
	}
	if q.Get("dialect") == "" || q.Get("app") == "" || !q.Has("room") {
		respond.Go.Error(w, http.StatusBadRequest, "want dialect, app and room")
		return
	}
	apps := i.find(q.Get("dialect"), q.Get("app"))
	if len(apps) == 0 {
		respond.Go.Error(w, http.StatusNotFound, "there is no such app")
		return
	}
	if room := i.room(&apps[0], q.Get("room"), limit); room != nil {
		respond.Go.JSON(w, http.StatusOK, room)
		return
	}
	respond.Go.Error(w, http.StatusNotFound, "nobody is in the room")
}

// room looks at a room; nil if nobody is in it.
func (i *Inspector) room(a *App, name string, limit int) *OneRoom {
	seated, count := i.cfg.Hub.Seated(a.Hub, name, limit)
	if count.Connections == 0 {
		return nil
	}
	one := &OneRoom{
		Room:    Room{a.Dialect, a.ID, name, count.Connections, count.Users},
		Members: make([]Client, 0, len(seated)), More: count.Connections > len(seated), Sends: []Send{},
	}
	for _, s := range seated {
		one.Members = append(one.Members, a.client(s.ID(), told(s.Receiver())))
	}
	slices.SortFunc(one.Members, func(x, y Client) int { return cmp.Compare(x.ID, y.ID) })
	app := a.ID
	if a.Single {
		app = ""
	}
	for _, s := range i.cfg.Feed.Recent(a.Dialect, app, name, mostSends) {
		one.Sends = append(one.Sends, Send{s.ID, s.At.UTC().Format("2006-01-02T15:04:05.000000Z"), s.Event, s.Size, s.Handed})
	}
	return one
}

// told is what a receiver tells of itself; nothing for one that is a part of the program.
func told(r any) standing.Client {
	if who, ok := r.(standing.Stander); ok {
		return who.Standing()
	}
	return standing.Client{}
}
