// Package dialect says what a dialect is to the server: one value, of the same shape
// for all, that a dialect's own package declares and that package server lists.
package dialect

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"poosh/server/admission"
	"poosh/server/closed"
	"poosh/server/handover"
	"poosh/server/health"
	"poosh/server/http1"
	"poosh/server/hub"
	"poosh/server/idempotency"
	"poosh/server/metric"
	"poosh/server/network"
	"poosh/server/presence"
	"poosh/server/quota"
	"poosh/server/rate"
	"poosh/server/route"
	"poosh/server/sends"
	"poosh/server/setting"
	"poosh/server/standing"
	"poosh/server/websocket"
)

// A Dialect is one language that clients and senders speak, with the settings of one
// process. Nothing of it runs before Start. Fields that say nil may be nil.
type Dialect struct {
	Name     string         // in the log
	Settings *setting.Group // with their defaults; they fill what the functions below read

	// Options are what the settings fill, in the dialect's own type: for [Running].Reload.
	// nil for a dialect that has none.
	Options any

	// On reports whether the settings ask for the dialect. It is asked when all are
	// read, and from then on.
	On func() bool
	// Applications are those that the settings name, as who signs for one must know them.
	// It is asked when all are read; nil for a dialect that tells of none.
	Applications func() []Application
	// Missing says what to set when no dialect is on; nil for one that nobody misses.
	Missing func(*setting.Mistakes)
	// Outbox is how many bytes must be able to wait for a connection where OUTBOX_BYTES
	// is not set; nil for a dialect that is content with the default.
	Outbox func() int
	// Bridge is what the dialect that is on shares with others, or asks others for;
	// nil, and a result of nil, for nothing.
	Bridge func() *Bridge

	// Kept is what is kept of the dialect that is on for clients that come back, beside what
	// the server keeps anyhow; nil for nothing.
	Kept func() []Kept

	// Reach looks whether a server that the dialect needs answers, for who checks the
	// settings, and changes nothing there. The error begins with a setting and says what to do.
	// nil for one that needs none.
	Reach func(context.Context) error

	// Alone says why the dialect cannot be on several nodes of a cluster as it is set; it begins
	// with a setting and a colon. The error is nil for one that can, and so may be Alone.
	Alone func() error

	Ports []Port // that are opened when the dialect is on

	// Start makes the dialect run. When it fails, nothing of it is left.
	Start func(*Host) (*Running, error)

	Commands []Command // of the program's command line
}

// An Application is one whose servers sign what they send, as commands do in their place.
type Application struct {
	ID, Key, Secret string // Key is empty where there is none beside the id
	Off             bool   // nobody is let in
}

// A Kept is an app of the hub whose publications are kept.
type Kept struct {
	App    string
	Age    time.Duration // for how long
	Bytes  int64         // of all publications
	Events int           // of one room
}

// A Port is an address that a dialect listens on.
type Port struct {
	Setting string // names it, in the log too
	Number  *int   // what that is set to

	Visitors Visitors
	Ready    bool // there is /ready, for balancers; see package health
	// Where says where a request is served; see [http1.Config].
	Where func(*http.Request) http1.Where
	// ClientPath is what paths begin with below which a good answer shows a client.
	// Elsewhere everybody may look at what is there, and the rest wants a secret. Empty
	// for none.
	ClientPath string
}

// Proves says what a good answer to a request shows; it is for [http1.Config].Proves.
func (p *Port) Proves(r *http.Request) http1.Proof {
	switch {
	case p.ClientPath != "" && strings.HasPrefix(r.URL.Path, p.ClientPath):
		return http1.Client
	case r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions:
		return http1.Nothing
	}
	return http1.Sender
}

// Visitors are who comes to a port. Connections of clients and of senders count apart.
type Visitors int

const (
	Clients Visitors = 1 << iota // who listens
	Senders                      // who publishes
)

// A Bridge is one side of a bridge between two dialects: an app of the hub whose
// rooms are shared. What crosses it has JSON text for its Data, as [hub.Hub.Bridge] has
// it.
type Bridge struct {
	App string
	// Export makes of a publication of the app one whose Data is JSON text, and Import
	// the other way round; both report whether there may be one, and nil does nothing.
	Export, Import func(*hub.Publication) bool

	// Setting asks for the bridge, and Alone says why it is a mistake when no other
	// dialect has a side; empty for a side that only offers itself.
	Setting, Alone string
}

// A Host is what the server gives a dialect that starts.
type Host struct {
	Hub *hub.Hub
	// WebSockets are those of all dialects, on the loop of all connections.
	WebSockets *websocket.Server
	Gate       *admission.Gate    // asked before anything is published
	Rooms      *quota.Quota       // what the rooms of all connections may take
	Health     *health.Health     // is told on ports that balancers ask
	Closed     *closed.Book       // is told of connections that leave
	Sends      *sends.Feed        // numbers what is sent, and is told of it
	Keys       *idempotency.Store // remembers what is sent with an idempotency key
	Network    network.Config
	Log        *slog.Logger

	// Begun is closed once what the last process left is restored and bridges lead to their other sides.
	// Who takes from senders that come to none of the ports publishes nothing before. nil in a cluster,
	// where one of the processes publishes what all take.
	Begun <-chan struct{}

	// Who is asked about all processes of a cluster; nil in one process alone. Hub is
	// [hub.Hub.Across] where they are not.
	Desk   presence.Desk
	Holder presence.Holder
	Census presence.Census
	Bus    presence.Bus
	Once   presence.Once // of what all processes read elsewhere
	Node   Node
	// Subscribe has answer called once what is published to a room of an app reaches this process,
	// on whatever goroutine, maybe before it returns, and within a time that is bounded; who is seated within it
	// misses nothing from then on. With an error nobody knows when that will be: the others cannot
	// be reached. nil in one process alone.
	Subscribe func(app, room string, answer func(error))
	// Delivered has count called whenever a publication of an app has been handed to clients of this
	// process, with how many; nil for nobody any more. Whoever publishes is not told that in a cluster,
	// and counts none by himself. count must not wait. nil in one process alone.
	Delivered func(app string, count func(p *hub.Publication, took int))
}

// A Node is what a process of a cluster is to clients that a balancer sends to any of them. The
// zero Node is one process alone.
type Node struct {
	Name string // begins the ids of sessions, so that other processes know whose they are
	// Passer hands on what came to a port, by the setting that names it, and is for a session of
	// another process.
	Passer func(port string) Passer
}

// A Passer is what package socketio says of its own.
type Passer interface {
	Pass(w http.ResponseWriter, r *http.Request, session string) (passed bool)
}

// A Running dialect is what the server serves, counts and ends.
type Running struct {
	Routes map[string]*route.Router // of each of the ports, by its setting

	// Leave takes no client any more, and returns those who are there, to be sent away one
	// by one. Senders are served on. It is called once, before Shutdown.
	Leave func() []Leaver

	// EndSenders takes nothing more from senders that come to none of the ports, and has what has come
	// from them published, as the ports of senders have it at the same time; nil for a dialect
	// without such. It is called once, before Shutdown, and returns soon after ctx ended.
	EndSenders func(ctx context.Context)

	// Shutdown takes nobody any more, writes what waits for clients, and closes them so
	// that they connect anew elsewhere. Publications have ended before, and ports serve
	// on meanwhile. It returns when all are gone, or soon after ctx ended.
	Shutdown func(ctx context.Context) error

	// Save writes what the next process is to know of clients, for its Restore; nil for nothing.
	// It is called once, after Shutdown, and Restore before anybody is served. With an error
	// of that, what it has taken over may be a part.
	Save    func(*handover.Writer)
	Restore func(*handover.Reader) error

	// Ready returns nil while what the dialect needs beside the server is there, such as a
	// database; nil for a dialect that needs nothing. It returns soon after ctx ended, and
	// what it says goes to the log.
	Ready func(ctx context.Context) error

	// Kick closes clients for an operator, in the way in which the dialect tells a client
	// that the server does not want it, and returns how many there were. They count as
	// [closed.Kicked]. It waits for none of them.
	Kick func(Whom) int

	// Reload prepares what follows from options that were read anew, the [Dialect].Options
	// of settings that are right and have been checked, in which nothing has changed that
	// needs a restart. n is what the ports of all dialects share then. It changes nothing;
	// commit does, all at once, and cannot fail. nil for a dialect without settings that
	// change while the server runs.
	Reload func(options any, n network.Config) (commit func(), err error)

	// Polling tells of clients that have no connection of their own; nil without any.
	Polling func() Polling
	// Metrics are the numbers of this moment for who operates the server, beside those of
	// Apps.
	Metrics func() []metric.Reading
	// Apps are the numbers that all dialects have, for each application.
	Apps func() []App
	// Sign makes the request that a sender would send for a form; nil for a dialect whose
	// senders sign with keys of their own. The error is for the operator.
	Sign func(Form) (*Request, error)
}

// A Leaver is a client of a server that goes away.
type Leaver interface {
	// Leave writes what waits for the client, and then closes it so that it connects anew
	// elsewhere, in the dialect's own words for that. It returns at once, and does nothing
	// for a client that has left already.
	Leave()
}

// Leavers is a list of clients as [Running].Leave returns it.
func Leavers[T Leaver](clients []T) []Leaver {
	list := make([]Leaver, len(clients))
	for i, c := range clients {
		list[i] = c
	}
	return list
}

// An App is the numbers of one application of a dialect.
type App struct {
	ID      string // names it, to operators; never a stranger's word
	Hub     string // what it is called in the hub
	Single  bool   // the dialect has no apps: this is all of it, and sends name none
	Clients string // the setting of the port that its clients come to
	Senders string // the setting of the port that its senders come to

	Connected int // clients of this moment
	// Kinds are these by transport and by the version of the protocol, as package standing
	// has them: sums, which cost the same however many there are.
	Kinds   []metric.Sample
	Ends    *closed.Source // those that came, and those that left, by reason
	Traffic metric.Totals

	// By the kind of channel, where there are kinds: subscriptions that were made, and those
	// that ended.
	Subscribed, Left []metric.Sample
	// Channels are those with somebody in them now, by kind too; nil for a dialect without.
	// It may go through all of them, so it is asked for a scrape alone.
	Channels func() []metric.Sample
	// Client finds a client by an id that logs or other clients name it by; nil for a dialect
	// whose clients have one id each and are in the room of that. who is nil if there is none, and seat is nil for one that is in no
	// room.
	Client func(id string) (who standing.Stander, seat *hub.Subscriber)
	// Standing yields the clients there are, with the ids that Client finds them by, for a
	// dialect whose subscribers in the hub are none; nil for others. Who comes or goes
	// meanwhile may be yielded or not.
	Standing iter.Seq2[string, standing.Stander]
	// Refused are connects that were turned away, by reason.
	Refused []metric.Sample
	Limits  []Limit
	// Previous are requests and clients that were let in by a secret that has been replaced,
	// as [rotation.Samples] has them; nil for an application without secrets.
	Previous []metric.Sample
}

// A Limit is what a limit on a rate did.
type Limit struct {
	Of, By string // what it limits, and what each has a share by: app or address
	On     bool   // there is one

	Asked, Over uint64 // how often it was asked, and how often it said no
}

// LimitOf tells of a limiter, which may be nil.
func LimitOf(of, by string, l *rate.Limiter) Limit {
	asked, over := l.Counts()
	return Limit{of, by, l != nil, asked, over}
}

// Polling is what is known of clients that poll.
type Polling struct {
	Queued int64  // bytes that wait for them
	Slow   uint64 // that were closed because too much waited
}

// A Command is one of the program's command line, "poosh <Words> <Arguments>".
type Command struct {
	Words     []string
	Arguments string // names of those that follow, for people
	Help      string // one line
	Codes     string // what its exit codes mean, for people, as "0 done, 2 misused"
	// Run returns the exit code. args are what follows the words.
	Run func(args []string, stdout, stderr io.Writer) int
}

// Growth is by how much an event may be larger on the wire than it came: a broken byte
// becomes U+FFFD and is written as the six characters \ufffd.
const Growth = 6

// FrameBytes is room for what an event has around it on the wire.
const FrameBytes = 64
