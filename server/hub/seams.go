package hub

import (
	"errors"
	"time"
)

// A Broker carries publications between the hubs of several processes. A hub has
// none unless it is given one to [NewWith]. One that is an [Explainer] too can say what
// became of them, and one that is a [Follower] when it has brought them.
//
// The hub calls it from any goroutine.
type Broker interface {
	// Publish takes over a publication of this process. It sees to it that each hub is
	// handed it by [Hub.DeliverAt] once, this one too, and every hub those of a room in the
	// same order. It may be called with a room's turn held, so it must not wait for
	// another process. done, unless nil, is called once, from any goroutine, within a time
	// that the broker bounds, maybe before Publish returns; it must not block.
	Publish(p *Publication, done func(Handed))

	// Occupied says that a room of this process has its first seat, Vacated that
	// it lost its last one, or that this is so of the room of all subscribers of
	// an app. For one room the calls alternate and come one after the other. They
	// are made with the room locked: they must neither wait nor call the hub.
	Occupied(app, room string, everyone bool)
	Vacated(app, room string, everyone bool)
}

// Handed says what became of a publication that was sent.
type Handed struct {
	Took  int   // connections of this process that took it; -1 where that is not known
	Nodes int   // processes that were handed it, whether or not somebody is in its room there
	Err   error // nil, or why not all of it was published: [ErrAway], [ErrFull] or [ErrUncertain]
}

// Why a publication was not sent, or may not have been. With the first two nothing was
// published, so whoever sends it again does not send it twice.
var (
	// ErrAway says that what joins the processes cannot be reached.
	ErrAway = errors.New("the other nodes cannot be reached, try again")
	// ErrFull says that too much waits for what joins the processes.
	ErrFull = errors.New("too much waits for the other nodes, try again")
	// ErrUncertain says that it was sent and nobody knows whether it arrived, or that it
	// crossed a bridge and reached one side alone.
	ErrUncertain = errors.New("the other nodes did not answer: it may have been published, or a part of it")
)

// A Log keeps publications for those who come back. A hub has none unless it is
// given one to [NewWith].
//
// The hub calls it from any goroutine, and never with a room or subscriber locked.
type Log interface {
	// Keeps reports whether publications of an app are kept. What it says of an app never
	// changes. Nothing below is called for one whose are not.
	Keeps(app string) bool

	// Append enters a publication that reaches this process, gives it the next position of
	// its app, and calls deliver with that, once, which hands it to the subscribers. No
	// other publication of its app is entered or delivered meanwhile, so that a subscriber
	// of several rooms gets them in the order of the log. deliver encodes nothing and
	// waits for no socket.
	Append(p *Publication, deliver func(at Position))

	// AppendAt is Append for a publication that has its position already, since a [Broker]
	// brings it. Positions of one epoch come in their order, with others' between them; with
	// another epoch the log begins anew. One that is not behind the last is there already: it
	// is neither entered nor delivered.
	AppendAt(p *Publication, at Position, deliver func(at Position))

	// Reach says that all publications up to a position have been there, in whatever process,
	// and that who comes now has missed none behind it. It is for a log whose publications have
	// their positions already; one of another epoch begins anew behind it.
	Reach(app string, at Position)

	// Read returns what is kept of some rooms. A log that is elsewhere may take its time. Work
	// that grows with what there is it does only once wanted says yes.
	Read(app string, ask []Span, wanted Wanted) Excerpt

	// Hold calls f while no publication of the app is entered or delivered: with it
	// somebody is seated who then gets what comes, and has had what was there. read is
	// Read of that moment, and head the position of the last publication; read has to
	// bring without waiting what was entered since the caller called Read.
	Hold(app string, f func(head Position, read Reader))

	// Filled says which publications did not reach this process as they were published: it was cut off, and the
	// log has them from elsewhere, or begins behind them. They are those behind a position, up to and with another
	// one of the same epoch; the zero positions say that there are none. It is called within Hold alone.
	Filled(app string) (behind, upTo Position)

	// Forget drops what is kept of an app whose publications pass the log by from here on, and
	// has no position of it be good any more, over a restart too.
	Forget(app string)
}

// A Reader is [Log.Read] of an app.
type Reader func(ask []Span, wanted Wanted) Excerpt

// Wanted is asked whether somebody wants so many publications, with so many bytes of payload,
// that are or are not all that was asked for. It neither waits nor calls the log.
type Wanted func(whole bool, n, bytes int) bool

// A Span is what is asked for of one room: the publications behind a number, up to and
// with another one.
type Span struct {
	Room        string
	Everyone    bool // what reached all subscribers of the app, in place of a room
	After, UpTo uint64

	// Last, if not 0, asks for no more than so many publications, the newest; negative for
	// all that are kept. After does not count then.
	Last int
	// Since, if set and Last is not, asks for those that entered from then on. After does not
	// count then either.
	Since time.Time
	// First, if not 0 and Last is, asks for no more than so many, the oldest of those that are
	// asked for.
	First int
}

// An Excerpt is what a log has of what was asked for.
type Excerpt struct {
	List  []*Kept // in the order of their numbers
	Whole bool    // nothing is missing that was asked for
	More  bool    // of a room there are more than the Last, or the First, that were asked for

	Unwanted bool // it was not wanted: then it is not in List
}

// A Kept is a publication in a log. It never changes once it is there.
type Kept struct {
	Publication
	At      Position
	Entered time.Time // about when it was published

	frames frameCache
}
