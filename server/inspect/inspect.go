// Package inspect answers what an operator asks about rooms and connections: which rooms
// there are, who is in one, what a client is in and what waits for it, or why it left, and
// whose senders are busiest. It knows no dialect: these tell of their apps.
//
// # Cost
//
// Nothing here runs before somebody asks, and no answer locks the whole hub: rooms are
// looked at one part of the hub after the other and seats a few hundred at a time, with
// bounds on what is looked at and what is answered. What goes through many, the search for
// rooms and for the slowest, is done for one request at a time, and the slowest are looked
// for once a second at the most. There is no goroutine.
package inspect

import (
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/respond"
	"poosh/server/sends"
	"poosh/server/standing"
)

// An App is one application, as operators call it.
type App struct {
	Dialect string
	ID      string
	Hub     string // what it is called in the hub
	Single  bool   // of a dialect without apps: the stream of sends names none

	// Client finds a client by an id of its; nil where each is in the room of its own id.
	Client func(id string) (standing.Stander, *hub.Subscriber)
	// Standing yields its clients with their ids; nil where they are subscribers of the hub.
	Standing iter.Seq2[string, standing.Stander]
}

// all yields the clients of an app, with their ids.
func (i *Inspector) all(a *App) iter.Seq2[string, standing.Stander] {
	if a.Standing != nil {
		return a.Standing
	}
	return func(yield func(string, standing.Stander) bool) {
		for s := range i.cfg.Hub.Subscribers(a.Hub) {
			if who, ok := s.Receiver().(standing.Stander); ok && !yield(s.ID(), who) {
				return
			}
		}
	}
}

// Config is what is looked into.
type Config struct {
	Hub  *hub.Hub
	Book *closed.Book
	Feed *sends.Feed
	Apps func() []App
	// Ids says that the busiest rooms may be such as are named by a client's id: else those
	// of clients who are there are left out.
	Ids bool
	// Waiting is about how many bytes wait for all clients together: while it is 0 nobody
	// is slow.
	Waiting func() int64
}

// An Inspector answers. Make one with [New]; its methods may be called from any goroutine.
type Inspector struct {
	cfg    Config
	search chan struct{} // has a value while somebody goes through many
	most   int           // rooms of each part of an app that are looked at

	// What follows is for whoever holds search.
	slowest []Client // of the last look; never changed in place
	looked  time.Time
}

// New makes an inspector. It starts nothing.
func New(cfg Config) *Inspector {
	return &Inspector{cfg: cfg, search: make(chan struct{}, 1), most: roomsPerPart}
}

// roomsPerPart is how many rooms of each of the 64 parts of an app a search looks at: half a
// million in all, and a part's lock is held for less than a millisecond.
const roomsPerPart = 8192

// searchPatience is how long a search waits for another one.
const searchPatience = 2 * time.Second

// lookAgain is after how many a search looks whether anybody waits for it.
const lookAgain = 4096

// alone has a request go through many, when no other does: done is to be called once it
// has, before it is answered. It reports false, and has answered, when that does not come
// to be.
func (i *Inspector) alone(w http.ResponseWriter, r *http.Request) (done func(), ok bool) {
	wait := time.NewTimer(searchPatience)
	defer wait.Stop()
	select {
	case i.search <- struct{}{}:
		return func() { <-i.search }, true
	case <-r.Context().Done():
	case <-wait.C:
		w.Header().Set("Retry-After", "1")
		respond.Go.Error(w, http.StatusServiceUnavailable, "another search is under way, try again")
	}
	return nil, false
}

// find returns the apps of a dialect and an id; empty texts choose all.
func (i *Inspector) find(dialect, id string) (list []App) {
	for _, a := range i.cfg.Apps() {
		if (dialect == "" || a.Dialect == dialect) && (id == "" || a.ID == id) {
			list = append(list, a)
		}
	}
	return list
}

// called is how operators call the app of a send.
func (i *Inspector) called(apps []App, dialect, app string) string {
	for _, a := range apps {
		if a.Single && a.Dialect == dialect {
			return a.ID
		}
	}
	return app
}

// A Client is one that is connected.
type Client struct {
	Dialect   string    `json:"dialect"`
	App       string    `json:"app"`
	ID        string    `json:"id"`
	User      string    `json:"user"`
	Transport string    `json:"transport"`
	Version   string    `json:"version"`
	Remote    string    `json:"remote"`
	Since     time.Time `json:"since"`
	Waiting   int       `json:"waiting_bytes"`
	Ending    string    `json:"ending"` // why it takes nothing any more
}

func (a *App) client(id string, who standing.Client) Client {
	return Client{a.Dialect, a.ID, id, who.User, who.Transport, who.Version, who.Remote, who.Since.UTC(), who.Waiting, who.Ending}
}

// A Left is one that has left.
type Left struct {
	Dialect string    `json:"dialect"`
	App     string    `json:"app"`
	ID      string    `json:"id"`
	Network string    `json:"network"`
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
	At      time.Time `json:"at"`
	Waiting int       `json:"waiting_bytes"`
}

func left(list []closed.Connection) []Left {
	out := make([]Left, 0, len(list))
	for _, c := range list {
		network := ""
		if c.Network.IsValid() {
			network = c.Network.String()
		}
		out = append(out, Left{c.Dialect, c.App, c.ID, network, c.Reason.String(), c.Since.UTC(), c.At.UTC(), c.Waiting})
	}
	return out
}

// number reads a parameter that says how many, or answers by itself.
func number(w http.ResponseWriter, q url.Values, name string, usual, most int) (int, bool) {
	text := q.Get(name)
	if text == "" {
		return usual, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		respond.Go.Error(w, http.StatusBadRequest, fmt.Sprintf("%s: want a whole number from 1 to %d", name, most))
		return 0, false
	}
	return n, true
}
