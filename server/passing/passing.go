// Package passing hands on requests for sessions of other nodes, and their answers back, so that a
// balancer may send each request of a session to any node: polls, POSTs, and WebSockets that
// take over from polling. It knows names and addresses of nodes, and no dialect.
//
// # One idea
//
// Node A, to which a request came, keeps one connection, a link, to node B, whose session it is,
// and sends requests over it as they come, each with a number; B answers in whatever order.
// So a poll that waits costs an entry in a table on both sides, no goroutine and no
// descriptor, and under load what goes between two nodes leaves many in one write. HTTP/1.1
// would need a connection for each poll that waits.
//
// A WebSocket has a connection of its own between the nodes, whose bytes A does not look at: B
// serves it as if the client had come to it.
//
// # Who may ask
//
// Both begin with a request in HTTP/1.1, the [hello], which is signed with HMAC-SHA256 and
// the cluster's secret: kind, both nodes, the time, a number used once (see [counter]) and, for a WebSocket,
// the port's setting, the client's address and the client's whole request. B refuses with 403
// what is not signed so, is for another node, is more than [skew] off its clock, or came before.
// Both sides then have a key of that link alone, from the secret and a number of each of them.
// Each frame on it, thus each request with its method, path, headers and body, port and
// the client's address, carries an HMAC-SHA256 of that key over its place in the order and
// its bytes: none can be made, changed, left out or sent again by somebody else. Of a WebSocket
// that is carried the hello alone is signed. Nothing is encrypted.
//
// # How it fails
//
// A request for a node that nobody knows is not passed: the session is unknown. One that
// cannot be answered, for that node is out of reach or has not said a word for
// [Options].Timeout, is answered 502; clients of all versions close and connect anew then. A poll that
// nobody can answer any more, since A is gone, is kept by B for a moment: a balancer that
// asks once more finds the session as it was. What was answered is lost with the link unless A has said
// that it came, which A does at once.
//
// What one client says costs nobody else anything: a signed frame that is no request is answered 400, and
// only what the other node did not sign ends a link.
//
// # Who owns what
//
// A [Node] has one goroutine that accepts and one that looks after links, from the first on, one for each hello under
// way, in either direction, which has Timeout, one for each question of another node's operators, which are bounded, and the
// links and WebSockets on the loop. [Node.Close] ends them, but for a question that hangs: that is left behind, and logged.
//
// Lock order: a session's, then link.mu or Node.mu, each by itself, then a connection's. Nobody who answers or is told of an
// end is called with one of ours held.
package passing

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/loop"
	"poosh/server/metric"
	"poosh/server/websocket"
)

// Nodes says where nodes are.
type Nodes interface {
	// Addr is where a node is reached, host:port; ok is false for one that is not there. It is
	// asked for each request, and must not wait.
	Addr(name string) (addr string, ok bool)
}

// Options are what a [Node] works with. Fields but Context, Timeout and QueueBytes must be set.
type Options struct {
	Name   string // of this node: what the ids of its sessions begin with
	Nodes  Nodes
	Secret func() string // of the cluster; it may change for what begins then

	Sockets *websocket.Server // on whose loop connections live
	// Context makes what passed requests have as their context, as that of [http1.Config].
	Context func() context.Context

	// Timeout is how long another node may be silent, or take for a hello, before it counts as
	// out of reach; 5 s.
	Timeout time.Duration
	// QueueBytes are those that may wait for another node, by which requests are refused
	// with 503; 32 MiB.
	QueueBytes int

	Log *slog.Logger
}

// A Port is what requests that came to another node's port of the same setting are served by here.
type Port struct {
	// Handler serves polls and POSTs, on the goroutine that reads for many: it must not block. It
	// is given what [http1.Config].Handler is, but with the client's address as RemoteAddr.
	Handler http.Handler
	Taker   Taker // serves WebSockets

	counts served // requests as
}

// A Taker is what [http1.Server] is to a WebSocket that another node passes on.
type Taker interface {
	Take(raw *loop.Conn, remote netip.AddrPort, early []byte) bool
}

// A Node passes requests to others and serves what others pass. Make one with [New].
type Node struct {
	opt   Options
	count counts
	ports map[string]Port // set before Serve

	seen     nonces
	numbers  counter
	arrivals arrivals
	warned   warnings
	work     sync.WaitGroup // grows with mu held, and not once over is done
	asked    questions
	running  sync.Once
	over     context.Context // done when all is to end
	end      context.CancelFunc

	draining atomic.Bool

	mu      sync.Mutex // guards what follows
	leaving bool       // no WebSocket is carried any more that is not in pipes
	ln      net.Listener
	peers   map[string]*peer
	in      map[*inLink]struct{}
	pipes   map[*pipe]struct{}
}

// New returns a node, which passes requests at once and is asked none before [Node.Serve].
func New(opt Options) *Node {
	opt.Timeout = cmp.Or(opt.Timeout, 5*time.Second)
	opt.QueueBytes = cmp.Or(opt.QueueBytes, 32<<20)
	if opt.Context == nil {
		opt.Context = context.Background
	}
	n := &Node{opt: opt, ports: make(map[string]Port), peers: make(map[string]*peer), in: make(map[*inLink]struct{}), pipes: make(map[*pipe]struct{})}
	n.count.init()
	n.asked.gone = make(chan struct{}, 1)
	n.over, n.end = context.WithCancel(context.Background())
	return n
}

// Add says what serves the port of a setting. Call it before [Node.Serve].
func (n *Node) Add(setting string, p Port) { n.ports[setting] = p }

// Serve accepts other nodes on ln, until [Node.Close], which closes it, and returns nil then. Call it
// once.
func (n *Node) Serve(ln net.Listener) error {
	n.mu.Lock()
	n.ln = ln
	n.mu.Unlock()
	if n.over.Err() != nil {
		_ = ln.Close() // which Close may have done
		return nil
	}
	n.run()
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
		case n.over.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of descriptors, most likely
			select {
			case <-time.After(50 * time.Millisecond):
			case <-n.over.Done():
			}
			continue
		}
		a := n.arrivals.enter(nc)
		if !n.start(func() { n.greet(a) }) { // has Timeout
			n.arrivals.leave(a)
			_ = nc.Close()
		}
	}
}

// Drain has polls that wait on other nodes answered with nothing, now and four times a second from
// now on, so that their clients ask once more, of another node than this one. What is passed
// by others is served on.
func (n *Node) Drain() {
	n.mu.Lock()
	n.leaving = true
	n.mu.Unlock()
	n.draining.Store(true)
	n.yield()
}

// Close waits until nothing is under way in either direction, or ctx ends, and then ends
// everything. Questions that are being answered have a second more, since who answers hears of the end then. Ports must have ended before: theirs are the requests that are under way.
func (n *Node) Close(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n.busy() && ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	err := ctx.Err()
	n.mu.Lock()
	n.end() // no question is taken any more
	if n.ln != nil {
		_ = n.ln.Close()
	}
	n.mu.Unlock()
	n.work.Wait() // each has a time
	n.waitForQuestions(ctx)
	for _, l := range n.links() {
		l.finish()
	}
	for _, p := range n.allPipes() {
		p.abort(loop.ErrShutdown)
	}
	return err
}

// busy reports whether something is under way.
func (n *Node) busy() bool {
	for _, l := range n.links() {
		if l.busy() {
			return true
		}
	}
	return len(n.allPipes()) > 0
}

// A side is either end of a link.
type side interface {
	busy() bool
	finish()
	check(now time.Duration) // looks whether the other node is there
}

func (n *Node) links() []side {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []side
	for _, p := range n.peers {
		if p.link != nil {
			list = append(list, p.link)
		}
	}
	for l := range n.in {
		list = append(list, l)
	}
	return list
}

func (n *Node) allPipes() []*pipe {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*pipe, 0, len(n.pipes))
	for p := range n.pipes {
		list = append(list, p)
	}
	return list
}

// run has somebody look after links and pipes, from the first of them on.
func (n *Node) run() {
	n.running.Do(func() { n.start(n.look) }) // ends with over
}

// start has a goroutine do something that [Node.Close] waits for, unless the node is over, and reports whether it does.
func (n *Node) start(do func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over.Err() != nil {
		return false
	}
	n.work.Go(do)
	return true
}

// look looks after links and pipes until the node ends.
func (n *Node) look() {
	every := min(n.opt.Timeout/5, 250*time.Millisecond)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-n.over.Done():
			return
		case <-tick.C:
		}
		now := n.opt.Sockets.Now()
		for _, l := range n.links() {
			l.check(now)
		}
		n.lookAfterPipes(now)
		n.forget()
		if n.draining.Load() {
			n.yield()
		}
	}
}

// lookAfterPipes cuts those to nodes that have been unknown for two times Timeout: a node that dies
// closes its connections, unless the machine or the network dies with it. When the engine has lost
// its table, nodes are unknown for less than that.
func (n *Node) lookAfterPipes(now time.Duration) {
	there := make(map[string]bool)
	for _, p := range n.allPipes() {
		is, asked := there[p.to]
		if !asked {
			_, is = n.where(p.to)
			there[p.to] = is
		}
		switch {
		case is:
			p.unknown = 0
		case p.unknown == 0:
			p.unknown = now
		case now-p.unknown > 2*n.opt.Timeout:
			p.abort(loop.ErrReset)
		}
	}
}

// yield has what waits elsewhere answered.
func (n *Node) yield() {
	for _, l := range n.links() {
		if out, ok := l.(*outLink); ok {
			out.yield()
		}
	}
}

// A WebSocket is one that is carried to another node.
type WebSocket struct{ *pipe }

// Leave cuts the client off, so that it connects anew elsewhere.
func (w WebSocket) Leave() { w.client.conn.Finish() }

// Leave returns the WebSockets that are carried to other nodes, for who sends their clients away one by
// one: none is carried any more that comes from now on, and its client stays on polling.
func (n *Node) Leave() []WebSocket {
	n.mu.Lock()
	n.leaving = true
	n.mu.Unlock()
	var list []WebSocket
	for _, p := range n.allPipes() {
		list = append(list, WebSocket{p})
	}
	return list
}

// Readings are the numbers of this moment.
func (n *Node) Readings() []metric.Reading {
	waiting, pipes := 0, len(n.allPipes())
	for _, l := range n.links() {
		if out, ok := l.(*outLink); ok {
			waiting += out.waiting()
		}
	}
	return n.count.readings(waiting, pipes)
}
