// Package presence says what a dialect asks about everybody who is connected, in however many
// processes: who is in a room, whose an id is, how many there are. In one process alone there is
// nobody to ask, and each of these interfaces is nil: the dialect decides by what it knows
// itself.
//
// # Why
//
// What one process decides by a look at its own rooms, many have to decide in one place: whether
// somebody is the first of a channel or one too many. That place takes its time. So nothing here
// waits but what says so, and what is asked is answered where it has its order: among the events
// of the room that it is about. Whoever is seated within an answer gets all that comes behind it
// and nothing that came before.
//
// All of it may be called from any goroutine, and starts none of its own.
package presence

import (
	"context"
	"errors"
	"iter"
	"time"

	"poosh/server/hub"
)

// Why somebody is not let in, or a question has no answer.
var (
	// ErrAway says that what joins the processes cannot be reached.
	ErrAway = hub.ErrAway
	// ErrMembers and ErrConnections say that a bound of an [Entry] is met.
	ErrMembers     = errors.New("as many members are in the room as there may be")
	ErrConnections = errors.New("as many connections are in the room as there may be")
	// ErrBarred says that an id must not be claimed for now; see [Holder.Bar].
	ErrBarred = errors.New("the id is barred")
)

// A Desk seats connections in rooms that many processes share.
type Desk interface {
	// Enter says that one more connection of this process is about to be in a room. answer is
	// called once: on the goroutine that delivers the room's events, in their order, or before
	// Enter returns. It must not wait. It comes within a time that the Desk bounds, and at once
	// while nobody can be asked, with [ErrAway]. Without an error the connection counts: it is
	// seated within answer, or Leave takes it back.
	//
	// With an error it does not count. Nobody was told of it, but for [ErrAway]: where the engine did
	// not answer in time it may have let them in, and then the others hear that they came and went.
	Enter(e Entry, answer func(Seated, error))

	// Leave says that a connection for which Enter was answered without an error is gone, or
	// never was seated. It never waits, never fails, and calls nobody before it returns. What is
	// entered and left has the order in which it was called for.
	Leave(e Entry)

	// Hear has somebody told what happens in the rooms of an app in which this process has
	// connections; nil for nobody. It holds for what happens from then on.
	Hear(app string, l Listener)
}

// An Entry is a connection in a room. To Enter and to Leave it is given the same, but for Only.
type Entry struct {
	App, Room string

	// User is who the connection is in the room, with Info for the others to see; empty for
	// nobody, and for rooms without members. A room with members is entered and left by who has
	// its turn, until the answer is there; see [hub.Hub.Queue].
	User string
	Info []byte
	// Only says that no other connection of this process is in the room as User: it is the
	// first that comes, or was the last to go. Of others nobody elsewhere has to be asked.
	Only bool
	// Socket is the subscriber whom [Listener.Came] is not for: that of the connection itself.
	Socket string

	// The most that there may be in the room, over all processes; 0 for any number. Who is a
	// member already is not one more.
	MaxMembers, MaxConnections int

	Cache bool // the room keeps its last event: it is in the answer

	// Told says that one process is to be told, by [Listener.Due], when the room comes into use
	// or out of it and when User comes and goes. What ends is told only once it has been so for
	// the time of Hold: who is back by then has never been gone.
	Told bool
	Hold time.Duration

	// Counted says that somebody wants to know how many connections are in the room: those that
	// were entered and have not left. Others are entered for the order of its events alone, and
	// for its members.
	Counted bool
}

// Seated is what an entry is told.
type Seated struct {
	Connections int // in the room, over all processes, this one among them; 0 where nobody counts
	Users       int // members

	// Cached is the last event that the room keeps; nil for none.
	Cached *hub.Publication
	At     hub.Position // where the answer stands in the order of events
}

// A Listener is told what happens in rooms of one app, on the goroutine that delivers their events
// and in their order. It must not wait. The hub has the members by then; see
// [hub.Hub.MembersAre].
type Listener interface {
	// Came tells of a new member of a room, and Went of one who is none any more, wherever its
	// connections were. socket is [Entry].Socket.
	Came(room string, m hub.Member, socket string)
	Went(room, user string)
	// Occupied tells of a room that has its first connection, and Vacated of one that has lost
	// its last. In that room itself nobody may be in this process to hear the second.
	Occupied(room string)
	Vacated(room string)
	// Counted tells how many connections a room has, over all processes, after one of this
	// process has left it.
	Counted(room string, connections int)

	// Due tells one of all processes what the applications are to be told, see [Entry].Told.
	// For one room, and for one user in it, true and false alternate. What is not done, since
	// the process ends, another one is told. It may be called from another goroutine.
	Due(h Happening, done func())
}

// A Happening is that a room came into use, or that a user came into it; or, if There is false,
// the end of that.
type Happening struct {
	Room  string
	User  string // empty for the room itself
	There bool
}

// A Holder gives each id of an app to one connection, over all processes: the last that asks for
// it.
type Holder interface {
	// Claim asks for an id. answer is called once, as that of [Desk.Enter] is; [ErrBarred] and
	// [ErrAway] are the errors. Claim.Lost is called at most once behind a good answer, when the
	// connection has the id no more, without Release; it must not wait.
	Claim(c *Claim, answer func(error))
	// Release gives the id of a claim up whose answer was good. It does nothing for one that has
	// lost it, whoever has it now. It never waits.
	Release(c *Claim)
	// Bar takes ids away from connections whose Made is not after a time, and has nobody claim
	// them with such a one for as long as wait. before is in milliseconds as Claim.Made is; 0
	// means any. Of two bars the later counts. done is called once, with the ids that somebody
	// had and Claim.Made of each.
	Bar(app string, ids []string, before int64, wait time.Duration, done func(had map[string]int64, err error))
	// Held reports of each id whether somebody has it. It may wait, and what it says was so a
	// moment ago.
	Held(ctx context.Context, app string, ids []string) ([]bool, error)
	// Changed has f called whenever a process has come or gone: the ids of one that has gone are
	// free by then, or soon. f must not wait. Call it before anybody claims.
	Changed(f func())
}

// A Claim is a connection's for an id. It is one by its address, and does not change.
type Claim struct {
	App, ID string
	Made    int64 // the time in the connection's token, in milliseconds
	Lost    func(why Lost)
}

// Lost is why a connection has lost its id.
type Lost int

// The reasons.
const (
	Taken  Lost = iota + 1 // another connection has it
	Barred                 // by [Holder.Bar]
)

// A Census answers questions about all processes, for goroutines that may block. What it says was
// so a moment ago.
type Census interface {
	// Count returns how many connections and users are in a room.
	Count(ctx context.Context, app, room string) (connections, users int, err error)
	// Members returns who is in a room, in no order.
	Members(ctx context.Context, app, room string) ([]hub.Member, error)
	// Rooms yields the rooms of an app that somebody is in whose names begin with a prefix, in
	// the order of their names. One that is entered or left meanwhile may be yielded or not. An
	// error is the last that is yielded.
	Rooms(ctx context.Context, app, prefix string) iter.Seq2[hub.RoomCount, error]
	// Cached returns the payload of the last event that a room keeps, and for how long it does;
	// not ok for none.
	Cached(ctx context.Context, app, room string) (data []byte, left time.Duration, ok bool, err error)
}

// A Bus carries what processes have to tell each other. Kinds are the dialects' and the server's;
// package server has their list. Bodies are not changed.
type Bus interface {
	// Tell tells all processes, this one too, and never waits. Nothing is told while they cannot
	// be reached.
	Tell(kind byte, body []byte)
	// Ask asks all processes, this one too, and waits for their answers until ctx ends: by the
	// names of those that gave one, and the names of those that did not.
	Ask(ctx context.Context, kind byte, body []byte) (answers map[string][]byte, silent []string)
	// Handle says who is told of a kind, and answers for this process; what it returns goes to
	// who asked. It must not wait. Call it before anybody is told.
	Handle(kind byte, answer func(from string, body []byte) []byte)
}

// A Once has each message that all processes read of a source outside, such as another Redis,
// published by one of them alone.
type Once interface {
	// Source begins to follow one, by a name that is the same in all processes.
	Source(name string) Source
}

// A Source is what one process has of one. Its methods may be called from any goroutine but where
// that is said, and never wait.
type Source interface {
	// Read says that this process has read a message, and what publications come of it, in every
	// process the same, maybe none. Calls come one after the other, in the order of the source. digest stands for
	// the message: another one has another, and it is the same in every process. handed, unless nil, is
	// called for each publication of which this process has seen to it that it is published, once, from
	// any goroutine; it must not wait.
	Read(digest uint64, list []*hub.Publication, handed func(p *hub.Publication, h hub.Handed))
	// Reads says whether this process reads the source at all: who does not leaves the messages to
	// others. At first it does not.
	Reads(yes bool)
	// Resign leaves all further messages to others, for a process that ends.
	Resign()
	// Leads reports whether this process publishes the messages, and can at the moment.
	Leads() bool
	// Stop ends it, and with that resigns: others take over at once. What was read before is published
	// first, as far as that is quickly done, since nobody else may be there to do it. It waits, until ctx
	// ends.
	Stop(ctx context.Context)
	// Stats are the counts of this moment.
	Stats() SourceStats
}

// SourceStats are what a process counts of a source.
type SourceStats struct {
	Leads     bool   // this process publishes the messages
	Takeovers uint64 // how often it has begun to
	Waiting   int    // bytes of messages of which it is not known that they were published
	Taken     uint64 // publications of this process

	// Publications that this process was to see to and gave up, since they had waited for too long, or
	// too much waited.
	Late, Full uint64

	// Attempts to publish, or to be the one that does, that came to nothing, and are made again.
	Failed uint64
}
