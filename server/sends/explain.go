package sends

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"poosh/server/hub"
	"poosh/server/respond"
)

// Asked reports whether the parameter explain of a request asks for an explanation.
func Asked(value string) bool { return value == "1" || value == "true" }

// An Account is what an event's sender is told of what became of it.
type Account struct {
	ID      string        `json:"id"`
	Event   string        `json:"event"`
	Matched int           `json:"matched"` // connections that were there, in all rooms
	Handed  int           `json:"handed"`  // of those, connections that took it
	Rooms   []RoomAccount `json:"rooms"`   // in the order of the request

	// Uncounted says that the event went to several processes, and not all of them have said in time who took
	// it, or were asked for all of its rooms: what is counted beside it is not all. Nodes is how many were handed it, 0
	// where nobody knows, and Text says so for people.
	Uncounted bool   `json:"uncounted,omitempty"`
	Nodes     int    `json:"nodes,omitempty"`
	Text      string `json:"text,omitempty"`

	Replayed *Replay `json:"replayed,omitempty"` // it was sent before
}

// A Replay says that nothing was sent, since the event's idempotency key was used before.
// What stands beside it is of the send before, as far as that is still known.
type Replay struct {
	Ago  string `json:"ago"` // since that was sent
	Text string `json:"text"`
}

// ReplayOf is a replay of what was sent at some time.
func ReplayOf(at time.Time) *Replay {
	return &Replay{time.Since(at).Round(time.Millisecond).String(),
		"a request with this idempotency key was sent before: nothing was sent again, and the answer is that of then"}
}

// Replayed is the account of an event that was sent before, at some time and under some id:
// that of then, or one that says nothing of connections where was, its text, is not known.
func Replayed(was []byte, at time.Time, id, event string) []byte {
	again := ReplayOf(at)
	if was == nil {
		account := Explain(id, event)
		account.Replayed = again
		return respond.Go.Body(account)
	}
	text := respond.Go.Body(struct {
		Replayed *Replay `json:"replayed"`
	}{again})
	return slices.Concat(was[:len(was)-1], []byte(","), text[1:])
}

// A RoomAccount is an Account of one room.
type RoomAccount struct {
	Room     *string   `json:"room,omitempty"` // there unless it is for everyone
	Everyone bool      `json:"everyone,omitempty"`
	Matched  int       `json:"matched"`
	Handed   int       `json:"handed"`
	By       []By      `json:"by"`              // each kind of connection that was there
	LeftOut  []LeftOut `json:"left_out"`        // why connections did not get it, or why there were none
	Nodes    []AtNode  `json:"nodes,omitempty"` // in a cluster, each that was handed it and has said what became of it
	Left     []Left    `json:"left,omitempty"`
}

// AtNode counts the connections of one node.
type AtNode struct {
	Node    string `json:"node"`
	Matched int    `json:"matched"`
	Handed  int    `json:"handed"`
}

// By counts one kind of connection.
type By struct {
	Dialect string `json:"dialect"`
	App     string `json:"app,omitempty"`
	Kind    string `json:"kind,omitempty"`
	Matched int    `json:"matched"`
	Handed  int    `json:"handed"`
	Waiting int    `json:"waiting,omitempty"` // of those handed, whose client has yet to poll
}

// LeftOut says why.
type LeftOut struct {
	Cause hub.Cause `json:"cause"`
	Count int       `json:"count,omitempty"` // of connections that were there
	Text  string    `json:"text"`            // for people
}

// Left is a connection that was there until lately.
type Left struct {
	Client string `json:"client"` // its id
	Why    string `json:"why,omitempty"`
	Ago    string `json:"ago"`
}

// Refused is what a sender who asked for an explanation is told of an event that was not
// sent for its name.
type Refused struct {
	respond.Error
	Cause hub.Cause `json:"cause"`
}

// texts say what causes mean, of connections that were in the room.
var texts = map[hub.Cause]string{
	hub.Excluded:    "is the connection that the sender asked to leave out",
	hub.TooSlow:     "did not read what was sent before: too much waits for it, and its connection is closed",
	hub.Closed:      "its connection was ending",
	hub.RefusedName: "its kind of connection cannot get an event of this name, or in a room of this name",
}

// empty say what causes mean of a room with nobody in it.
var empty = map[hub.Cause]string{
	hub.Closed:      "nobody is in the room any more: who was there until lately has left it or was closed",
	hub.OtherApp:    "nobody is in the room, but somebody is in one of the same name in another app or dialect of this server",
	hub.NobodyThere: "nobody is connected",
	hub.NoSuchRoom:  "nobody is in a room of this name, though others are connected: names match to the letter, and joins end with the connection",
}

// Explain begins an account. Rooms are added with [Account.Add].
func Explain(id, event string) *Account {
	return &Account{ID: id, Event: event, Rooms: []RoomAccount{}}
}

// Add adds what became of one publication.
func (a *Account) Add(p *hub.Publication, e *hub.Explanation) {
	r := RoomAccount{Everyone: p.Everyone, Matched: e.Matched(), Handed: e.Took, By: []By{}, LeftOut: []LeftOut{}}
	if !p.Everyone {
		r.Room = &p.Room
	}
	counts := make(map[hub.Cause]int)
	for _, part := range e.Parts {
		dialect, app := Names(part.App)
		if n := part.Elsewhere; n > 0 {
			r.By = append(r.By, By{Dialect: dialect, App: app, Matched: n, Handed: n})
		}
		for _, t := range part.Tallies {
			r.By = append(r.By, By{dialect, app, t.Kind, t.Matched, t.Handed, t.Waiting})
			for why, n := range t.LeftOut {
				counts[why] += n
			}
		}
	}
	slices.SortStableFunc(r.By, func(a, b By) int { return strings.Compare(a.Dialect+a.App+a.Kind, b.Dialect+b.App+b.Kind) })
	for _, why := range []hub.Cause{hub.Excluded, hub.TooSlow, hub.Closed, hub.RefusedName} {
		if n := counts[why]; n > 0 {
			r.LeftOut = append(r.LeftOut, LeftOut{why, n, texts[why]})
		}
	}
	for _, why := range e.Causes {
		r.LeftOut = append(r.LeftOut, LeftOut{why, 0, empty[why]})
	}
	for _, d := range e.Left {
		r.Left = append(r.Left, Left{d.ID, d.Why, time.Since(d.At).Round(time.Millisecond).String()})
	}
	for _, t := range e.Each {
		r.Nodes = append(r.Nodes, AtNode{t.Node, t.Matched, t.Took})
	}
	if e.Uncounted {
		a.Uncounted, a.Nodes = true, max(a.Nodes, e.Nodes)
		a.Text = uncounted(a.Nodes, len(e.Each))
	}
	a.Matched += r.Matched
	a.Handed += r.Handed
	a.Rooms = append(a.Rooms, r)
}

// Skip adds a room to which the event went when there was no time any more to ask what becomes of it: the account
// is not of all.
func (a *Account) Skip(room string) {
	a.Uncounted = true
	a.Text = cmp.Or(a.Text, "went out, and there was no time to ask for all of its rooms who took it")
	a.Rooms = append(a.Rooms, RoomAccount{Room: &room, By: []By{}, LeftOut: []LeftOut{}})
}

// uncounted says what is known of an event that several processes were handed, of which so many have told what became
// of it.
func uncounted(nodes, told int) string {
	to := "all nodes"
	switch {
	case nodes == 1:
		to = "1 node"
	case nodes > 1:
		to = fmt.Sprintf("%d nodes", nodes)
	}
	who := "who took it, on all of them, nobody counts"
	if told > 0 {
		who = fmt.Sprintf("only %d said in time who took it", told)
	}
	return "went to the engine of the cluster, and from there to " + to + "; " + who
}

// Names says whose an app of the hub is: the dialect, and the app as the dialect calls
// it. An app of the hub is named by its dialect, with a colon and the dialect's own
// name for it behind where there are several; that of socket.io has no name.
func Names(app string) (dialect, own string) {
	dialect, own, _ = strings.Cut(app, ":")
	if dialect == "" {
		dialect = "socket.io"
	}
	return dialect, own
}
