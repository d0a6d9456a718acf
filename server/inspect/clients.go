package inspect

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/respond"
	"poosh/server/route"
	"poosh/server/sends"
	"poosh/server/standing"
)

// Bounds on what is answered about clients.
const (
	mostRoomsOfOne = 200
	mostLeftOfOne  = 10
	usualLeft      = 100
	mostLeft       = 500
	usualSlow      = 20
	mostSlow       = 50
	usualTop       = 20
	mostTop        = 100
)

// An OpenClient is one with what it is in.
type OpenClient struct {
	Client
	Rooms     []string `json:"rooms"` // some of them
	RoomCount int      `json:"room_count"`
}

// A Connection is what is known of an id.
type Connection struct {
	Open []OpenClient `json:"open"`
	Left []Left       `json:"left"`
}

// ServeConnection answers GET with the clients that have, or had, the id in the path.
func (i *Inspector) ServeConnection(w http.ResponseWriter, r *http.Request) {
	id := route.Param(r, "id")
	c := Connection{Open: []OpenClient{}, Left: left(i.cfg.Book.Find(id, mostLeftOfOne))}
	for _, a := range i.cfg.Apps() {
		if one, there := i.open(&a, id); there {
			c.Open = append(c.Open, one)
		}
	}
	if len(c.Open)+len(c.Left) == 0 {
		respond.Go.Error(w, http.StatusNotFound, "no client has this id, nor had one of the last few thousand that left")
		return
	}
	respond.Go.JSON(w, http.StatusOK, c)
}

// open finds a client that is connected.
func (i *Inspector) open(a *App, id string) (one OpenClient, there bool) {
	var who standing.Stander
	var seat *hub.Subscriber
	if a.Client != nil {
		who, seat = a.Client(id)
	} else if seat = i.cfg.Hub.Find(a.Hub, id); seat != nil {
		who, _ = seat.Receiver().(standing.Stander)
	}
	if who == nil {
		return one, false
	}
	one = OpenClient{Client: a.client(id, who.Standing()), Rooms: []string{}}
	if seat != nil {
		one.ID = seat.ID()
		one.Rooms, one.RoomCount = seat.SomeRooms(mostRoomsOfOne)
		slices.Sort(one.Rooms)
	}
	return one, true
}

// ServeLeft answers GET with the clients that left last. The query may have reason,
// dialect and limit.
func (i *Inspector) ServeLeft(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, ok := number(w, q, "limit", usualLeft, mostLeft)
	if !ok {
		return
	}
	dialect, why := q.Get("dialect"), closed.None
	if name := q.Get("reason"); name != "" {
		if why, ok = closed.Named(name); !ok {
			respond.Go.Error(w, http.StatusBadRequest, "reason: there is none of this name")
			return
		}
	}
	list := i.cfg.Book.Select(limit, func(c *closed.Connection) bool {
		return (why == closed.None || c.Reason == why) && (dialect == "" || c.Dialect == dialect)
	})
	respond.Go.JSON(w, http.StatusOK, struct {
		Left []Left `json:"left"`
	}{left(list)})
}

// Slow are the clients that most waits for.
type Slow struct {
	At      time.Time `json:"at"`
	Clients []Client  `json:"clients"`
}

// ServeSlow answers GET with the clients that most waits for now. The query may have
// limit.
func (i *Inspector) ServeSlow(w http.ResponseWriter, r *http.Request) {
	limit, ok := number(w, r.URL.Query(), "limit", usualSlow, mostSlow)
	if !ok {
		return
	}
	done, ok := i.alone(w, r)
	if !ok {
		return
	}
	at, list := i.slow(r.Context())
	done() // who takes the answer slowly keeps nobody from searching
	respond.Go.JSON(w, http.StatusOK, Slow{at.UTC(), list[:min(limit, len(list))]})
}

// slow returns the slowest, of a second ago at the most; some of them when ctx ends
// meanwhile. The caller is alone.
func (i *Inspector) slow(ctx context.Context) (time.Time, []Client) {
	if time.Since(i.looked) < time.Second {
		return i.looked, i.slowest
	}
	list, now := i.look(ctx), time.Now()
	if ctx.Err() == nil {
		i.slowest, i.looked = list, now
	}
	return now, list
}

// A waiter tells how much waits for it, in bytes.
type waiter interface{ Waiting() int }

// late is a client with what waits for it.
type late struct {
	app     *App
	id      string
	who     standing.Stander
	waiting int
}

// look goes through all clients, keeping the slowest: no list is made of the others. It
// gives up when ctx ends.
func (i *Inspector) look(ctx context.Context) []Client {
	list := []Client{}
	if i.cfg.Waiting() <= 0 {
		return list
	}
	best := bestOf[late]{most: mostSlow, better: func(a, b late) bool { return a.waiting > b.waiting }}
	apps, seen := i.cfg.Apps(), 0
	for n := range apps {
		for id, who := range i.all(&apps[n]) {
			if seen++; seen%lookAgain == 0 && ctx.Err() != nil {
				return list
			}
			if w, ok := who.(waiter); ok {
				if one := (late{&apps[n], id, who, w.Waiting()}); one.waiting > 0 && best.wants(one) {
					best.add(one)
				}
			}
		}
	}
	for _, one := range best.list {
		list = append(list, one.app.client(one.id, one.who.Standing()))
	}
	slices.SortFunc(list, func(a, b Client) int { return cmp.Or(b.Waiting-a.Waiting, cmp.Compare(a.ID, b.ID)) })
	return list
}

// A Rank is a room or sender with what was sent lately.
type Rank struct {
	Dialect    string `json:"dialect"`
	App        string `json:"app"`
	Sends      uint64 `json:"sends"`
	Error      uint64 `json:"error"` // sends is too high by that at the most
	Deliveries uint64 `json:"deliveries"`
	Bytes      uint64 `json:"bytes"`
}

// A RoomRank is a room's.
type RoomRank struct {
	Rank
	Room     string `json:"room"`
	Everyone bool   `json:"everyone"`
	Cut      bool   `json:"cut"`
}

// A SenderRank is a sender's.
type SenderRank struct {
	Rank
	Sender string `json:"sender"`
}

// Top are the busiest.
type Top struct {
	Seconds float64      `json:"seconds"` // for how long was counted
	Rooms   []RoomRank   `json:"rooms"`
	Senders []SenderRank `json:"senders"`
}

// hides reports whether the name of a room is not to be told, since it is a client's id.
func (i *Inspector) hides(apps []App, r *Rank, room string) bool {
	return !i.cfg.Ids && slices.ContainsFunc(apps, func(a App) bool {
		return a.Dialect == r.Dialect && a.ID == r.App && i.cfg.Hub.Find(a.Hub, room) != nil
	})
}

// ServeTop answers GET with the rooms and senders with the most sends lately. The query
// may have limit.
func (i *Inspector) ServeTop(w http.ResponseWriter, r *http.Request) {
	limit, ok := number(w, r.URL.Query(), "limit", usualTop, mostTop)
	if !ok {
		return
	}
	rooms, senders, since := i.cfg.Feed.Top(limit)
	top := Top{since.Seconds(), make([]RoomRank, 0, len(rooms)), make([]SenderRank, 0, len(senders))}
	apps := i.cfg.Apps()
	rank := func(r sends.Rank) Rank {
		return Rank{r.Dialect, i.called(apps, r.Dialect, r.App), r.Sends, r.Error, r.Deliveries, r.Bytes}
	}
	for _, r := range rooms {
		if of := rank(r); !i.hides(apps, &of, r.Name) {
			top.Rooms = append(top.Rooms, RoomRank{of, r.Name, r.Everyone, r.Cut})
		}
	}
	for _, s := range senders {
		top.Senders = append(top.Senders, SenderRank{rank(s), s.Name})
	}
	respond.Go.JSON(w, http.StatusOK, top)
}
