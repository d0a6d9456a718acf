// Package cluster has several processes act as one, through Redis 7 or Valkey: it carries
// publications between their hubs, tells each which others there are, and knows no dialect. It is
// the only importer of rueidis.
//
// # How
//
// Rooms are divided into partitions, 2 where one server is the engine, and 16 in a Redis Cluster. All that a node and the engine say to each other about
// one goes over one connection, by a [link]: what the node publishes, what it subscribes to, and
// what comes back. So there is one order, and what a node was told of is behind all that it was
// told before. Each publication is numbered in the log of its partition, by a script that also keeps
// it for a while; every node delivers what comes back from the engine, the one that accepted it
// too, and nothing before that.
//
// A node whose connection was cut asks for what it missed from its last number on. Where the
// engine cannot say, the clients of the rooms concerned are closed, so that they ask for
// themselves what they need: nothing is missed without a word. A request for a fence, each second,
// keeps the last number fresh and finds an engine that does not answer.
//
// Most of what a publication costs is not the script but to write and to wake up. So partitions that are at one server
// share a connection, a [line], which is on the event loop beside those of the clients, see [wire]: what its reader has read
// of senders in a round is written to the engine at the end of that, and what comes back is handed out as it is
// read. While an answer is awaited more gathers, and the next call has a batch of each partition, see [writer].
//
// # Who owns what
//
// A [Cluster] starts goroutines for each partition, see there, one for each writer, and those that beat, watch and sweep;
// [Cluster.Close] ends them all, and has nothing called on the loop any more. What waits, either way, is bounded in bytes and
// time.
//
// Lock order: partition.mu, or subscriptions.mu, behind desk.mu for moments, each by itself, and inbox.mu last of all. wire.reading is held by
// the loop's reader while it hands out, so in front of all of these, and by nobody else but to end that. lines.mu is
// held alone, while a connection is made; a hub may hold a room's lock as it
// calls [Cluster.Occupied]. With partition.mu held a hub is called only to deliver while the
// engine is away, see [Local].
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/seldom"
)

// Options are what a process has to say to and hear from its cluster. All functions
// are called from goroutines of the cluster, and may not call it back but where that is said.
type Options struct {
	Log     *slog.Logger
	Version string // of this process, for operators
	// Loop is what the connections to the engine are on, beside those of the clients. It is to be there until the cluster is left;
	// nil for one of the cluster's own.
	Loop *loop.Loop

	// Load is what this node has to do, which the others are told with each beat; nil for nothing. Calls
	// come one after the other, and must not wait. What is no number in JSON keeps the node from
	// saying that it is there.
	Load func() Load

	// Apps are the apps that reach everyone in them; others only by rooms.
	Apps []string
	// Together reports whether all rooms of an app are to be in one order, and every node to get
	// what is published to any of them, whoever is there; nil for none. Such an app is one of Apps.
	Together func(app string) bool

	// Keeping says how much is to be kept of an app that is Together; the engine keeps that, so that a node
	// that starts has it too. nil for nothing of any app. It may be called from any goroutine, and must not wait.
	Keeping func(app string) Keeping
	// Fill begins to fill the log of an app with what is kept of it behind a place, before Deliver is called for
	// any. It is nil if Keeping is.
	Fill func(app string, behind hub.Position) Filling

	// Home names the node whose client has a room's name as its id, by the name alone; "" for none, and
	// nil for no app. That node gets what is published there without a subscription of its own, from
	// before anybody can know the id. It is the same on all nodes.
	Home func(app, room string) string

	// Deliver hands out what comes from the engine, with its place in the log, which is the zero
	// position for what reaches this process alone, and reports how many took it. Calls for rooms
	// of one partition come one after the other, on a reader of Loop mostly. It must not wait.
	Deliver func(p *hub.Publication, at hub.Position) int
	// Explain is Deliver for a publication whose sender asks what becomes of it, and says that of this process; nil
	// for a cluster whose publications nobody explains. Absent says why nobody here may have been in p's room, in
	// Causes and Left. They must not wait either.
	Explain func(p *hub.Publication, at hub.Position) *hub.Explanation
	Absent  func(p *hub.Publication) *hub.Explanation
	// Reached says how far the log of an app that is Together was handed out, in the order of Deliver:
	// once it begins, and each second; nil for nobody.
	Reached func(app string, at hub.Position)
	// Begin has the log of an app that is Together begin anew behind a place: of what was published before, this
	// process may lack some. It is called before Missed; nil for nobody.
	Begin func(app string, at hub.Position)
	// Missed says that who is in a room may have missed a publication up to a place in the log: close their
	// connections, so that they know. It may be called before Deliver of what comes then.
	Missed func(app, room string, everyone bool, at hub.Position)

	// Mirror is told who is in the rooms of this process, see [presence.Desk]; nil for nobody.
	Mirror Mirror

	fillTime time.Duration // see there; 0 for the standard
	absent   time.Duration // how long nobody has to lead a source, see onceAbsent; 0 for the standard
	linger   time.Duration // how long a room without seats stays subscribed to; 0 for the standard
}

// A Mirror keeps who the members of rooms are, see [hub.Hub.MembersAre]. It is called in the order of
// what happens, on the goroutine that calls Deliver.
type Mirror interface {
	MembersAre(app, room string, all []hub.Member) (came, went []hub.Member)
	MemberIn(app, room string, m hub.Member) (news bool)
	MemberOut(app, room, user string) (news bool)
}

var (
	_ hub.Broker   = (*Cluster)(nil)
	_ hub.Follower = (*Cluster)(nil)
)

// A Cluster is what one process has of it. Make one with [New].
type Cluster struct {
	cfg     Config
	opt     Options
	log     *slog.Logger
	client  rueidis.Client
	name    string        // of this node, for the life of its process
	idLife  time.Duration // see there; set before Join
	nodes   tag
	secret  atomic.Pointer[string]
	parts   []*partition // the last one is the nodes' own; set before Join begins to use them
	own     *partition   // that
	table   table
	asks    asks
	hears   hears
	once    sources
	count   counts
	losses  seldom.Word // links that ended
	lines   lines
	wires   atomic.Int64 // connections to the engine
	loop    *loop.Loop   // that the connections to the engine are on; set before Join begins to use it
	writers []*writer    // set before Join returns

	keeping atomic.Pointer[map[string]Keeping] // the most that any node keeps; nil before that is known
	filled  filled

	waiting  atomic.Int64 // bytes that wait for the engine
	arriving atomic.Int64 // bytes that came from it and are not handled yet

	closed  atomic.Bool // [Cluster.Close] was called
	hold    hold
	over    context.Context // done when the cluster is to end
	end     context.CancelFunc
	running sync.WaitGroup // what Close waits for
	// Beats end before the lease is given back: a later one would enter this node again.
	beating   context.Context // of over; done when the beats are to end
	endBeats  context.CancelFunc
	beatsOver chan struct{}         // closed when they have; nil before they begin
	up        atomic.Bool           // the engine is there
	refuses   atomic.Pointer[error] // why it did not take the last beat, though it was there; nil for nothing
	kick      chan struct{}         // has the node beat at once
}

// New returns what this process will have of a cluster, once it has joined it. Before that it may be told who
// hears and asks (Hear, Handle, Source), and Occupied, Vacated and Publish may be called by a hub that nobody uses
// yet. Enter, Claim and Subscribe have to wait for Join: where rooms are is not known before.
func New(cfg Config) *Cluster {
	c := &Cluster{cfg: cfg, name: newName(), kick: make(chan struct{}, 1), idLife: idLife}
	c.asks.waiting = make(map[string]chan answer)
	c.asks.handlers = map[byte]func(string, []byte) []byte{kindWhy: c.absent}
	c.over, c.end = context.WithCancel(context.Background())
	c.beating, c.endBeats = context.WithCancel(c.over)
	tags, nodes := tagsOf(&cfg)
	c.nodes = nodes
	for i, t := range tags {
		c.parts = append(c.parts, newPartition(c, i, t))
	}
	c.own = newPartition(c, partitions, c.nodes)
	c.parts = append(c.parts, c.own)
	c.own.want(&subscription{channel: c.nodes.all()})
	return c
}

// Join makes this process one of the cluster. It returns once the engine has it in the table of
// nodes and every partition is there, or with an error that says why not, without secrets, within
// a few times the time of a command: a node never starts alone by mistake. Call it once; behind
// an error there is nothing to close.
func (c *Cluster) Join(ctx context.Context, opt Options) error {
	c.opt, c.log = opt, opt.Log
	whole := ctx
	ctx, cancel := context.WithTimeout(whole, 5*c.cfg.Timeout)
	defer cancel()
	client, err := dial(ctx, &c.cfg, c.name)
	if err != nil {
		c.end()
		return fmt.Errorf("CLUSTER_REDIS: %s %w", c.cfg.Redis, c.cfg.Redis.worded(err))
	}
	c.client = client
	if c.isShared() {
		c.narrow()
	}
	if err = c.openLoop(); err == nil {
		err = c.agreeFirst(ctx)
	}
	if err != nil {
		c.end()
		client.Close()
		c.closeLoop()
		return err
	}
	for _, app := range opt.Apps {
		p := c.partition(app, "", true)
		p.want(p.channel(app, "", true))
	}
	for _, p := range c.parts {
		p.kept = c.keptIn(p)
	}
	c.startWriting()
	for _, p := range c.parts {
		p.start()
	}
	if err := c.begin(ctx, whole); err != nil {
		_ = c.Close(context.Background())
		return fmt.Errorf("CLUSTER_REDIS: %s %w", c.cfg.Redis, c.cfg.Redis.worded(err))
	}
	c.sayFilled()
	ctx, cancel = context.WithTimeout(whole, 5*c.cfg.Timeout) // to be filled may have taken longer
	defer cancel()
	// Another one may have started at the same moment and said otherwise: from here on it is heard.
	if err := c.whenBack(ctx, c.agreeAgain); err != nil {
		_ = c.Close(context.Background())
		return err
	}
	c.checkEviction(ctx)
	c.running.Go(c.watch)
	c.running.Go(c.sweep)
	c.once.begin()
	c.beatsOver = make(chan struct{})
	c.running.Go(func() {
		defer close(c.beatsOver)
		c.beats()
	})
	return nil
}

func tagsOf(cfg *Config) ([partitions]tag, tag) { return tags(cfg.Prefix, cfg.Redis.db) }

// begin waits until every partition is there, and enters this node in the table. It may take longer than
// ctx, within whole, while a partition is being filled.
func (c *Cluster) begin(ctx, whole context.Context) error {
	for _, p := range c.parts {
		for there := false; !there; {
			select {
			case <-p.first:
				there = true
			case <-ctx.Done():
				if whole.Err() == nil && c.filled.goesOn(5*c.cfg.Timeout) {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(whole, c.cfg.Timeout)
					defer cancel()
					continue
				}
				if err := p.lastError(); err != nil {
					return err
				}
				return errors.New("it does not answer")
			}
		}
	}
	c.up.Store(true)
	ctx, cancel := context.WithTimeout(whole, 5*c.cfg.Timeout)
	defer cancel()
	return c.whenBack(ctx, c.beat)
}

// whenBack does something once the engine is there: a link may have ended while others were filled.
func (c *Cluster) whenBack(ctx context.Context, do func(context.Context) error) error {
	for {
		err := do(ctx)
		if err == nil || !errors.Is(err, hub.ErrAway) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Name is what this node is called, for the life of its process: 6 characters.
func (c *Cluster) Name() string { return c.name }

// Secret is what nodes sign with what they ask each other. One that no operator has set may
// become another one when the engine has forgotten everything.
func (c *Cluster) Secret() string { return *c.secret.Load() }

// Up reports whether the engine is there.
func (c *Cluster) Up() bool { return c.up.Load() }

// Close ends everything: what waits is answered with [hub.ErrAway], and nothing is
// delivered any more once it returns. See [Cluster.Flush] for who has still to be answered.
func (c *Cluster) Close(ctx context.Context) error {
	if c.closed.Swap(true) {
		return nil
	}
	c.endBeats()
	if c.beatsOver != nil {
		<-c.beatsOver
	}
	c.leave(ctx)
	c.end()
	for _, p := range c.parts {
		p.stop()
	}
	c.lines.close()
	c.running.Wait()
	c.endTurns()
	c.client.Close()
	c.closeLoop()
	return nil
}

// endTurns waits for those that a reader of the loop has begun, and answers what is in them. There is no connection any more, so
// none takes long.
func (c *Cluster) endTurns() {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Timeout)
	defer cancel()
	for _, w := range c.writers {
		_ = wait(ctx, w.isIdle)
	}
}

// Flush waits until all that was published before is answered and handed out here, or ctx ends.
func (c *Cluster) Flush(ctx context.Context) error {
	for _, p := range c.parts {
		if err := wait(ctx, p.flushed); err != nil {
			return err
		}
		// What the engine has sent back came with its answer.
		if l := p.current(); l != nil {
			if err := wait(ctx, l.line.rests); err != nil {
				return err
			}
		}
		last := p.inbox.last()
		if err := wait(ctx, func() bool { return p.inbox.behind(last) }); err != nil {
			return err
		}
	}
	return nil
}

// wait polls what nobody signals, until it is so or ctx ends.
func wait(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// Occupied is for the hub, see [hub.Broker]: a room of this process has its first seat.
func (c *Cluster) Occupied(app, room string, everyone bool) {
	p := c.partition(app, room, everyone)
	p.want(p.channel(app, room, everyone))
}

// Vacated is for the hub too: a room has lost its last seat.
func (c *Cluster) Vacated(app, room string, everyone bool) {
	p := c.partition(app, room, everyone)
	p.unwant(p.channel(app, room, everyone))
}
