//go:build unix

package cluster

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/pusher/pushertest"
	"poosh/server/pushsocket/store/postgrestest"
	"poosh/test/process"
)

var (
	rigSeed       = flag.Uint64("rig.seed", 20, "which way TestRig goes")
	rigOnly       = flag.String("rig.only", "", "the one fault that TestRig knows")
	rigEngineName = flag.String("rig.engine", "redis", "the Redis of TestRig: redis, sentinel, cluster, or replicas for a Redis Cluster with a replica for each")
	rigBalancer   = flag.String("rig.balancer", "own", "what stands in front of the clients of socket.io in TestRig: own, nginx, haproxy, or mixed for each in front of some")
	rigMore       = flag.Bool("rig.more", false, "have TestRig read histories whole, and look at who is left while a node is dead")
	rigFor        = flag.Duration("rig.for", 45*time.Second, "for how long TestRig begins new rounds, once it has played each fault")
)

// everyone is the room of what is sent without one.
const everyone = "everyone"

// A rig is a cluster of three that serves all dialects, with clients and senders that do what dice say,
// and what is true about all of them.
type rig struct {
	t        *testing.T
	redis    *rigEngine
	balancer string // in front of clients of socket.io
	more     bool   // histories are read whole
	nodes    []*rigNode
	truth    *chronicle
	hooks    *rigHooks
	dice     *rand.Rand // of who runs the rounds; each worker has its own

	poosh    []*pooshSlot
	pusher   []*pusherSlot
	octopus  []*octopusSlot
	devices  []*device
	crowd    *crowd
	visitors *visitors

	names   atomic.Int64
	dead    *rigNode        // is killed, and asked nothing; nil for none
	calm    atomic.Bool     // no client of Pusher comes or goes
	answers [3]atomic.Int64 // by fate
	rare    rarities        // how often what is rare has happened
	round   rigRound        // written between rounds alone
	until   time.Time       // when a quiet moment is to have come
	stuck   bool            // it has not: the test ends
	victim  atomic.Int64    // of the round, for who reads connections
	stall   atomic.Int64    // the longest time that the machine stood still, since the last quiet moment

	mu      sync.Mutex // guards what follows
	faults  []string
	ends    []ending
	sound   int            // sends to nodes that nothing happened to, since the last quiet moment
	unsound []string       // those that were not taken
	moves   map[string]int // how often pages far from the fault were told that a member came or went, since then
	began   time.Time
	unsure  map[string]time.Time // when it was last not known whether an application has sent somebody away
	sent    map[string]int64     // whom applications have sent away, and until when they may go for it
	anew    []ending             // streams that could not go on where they were
	doomed  []*guest             // who is to go for that
	story   map[string][]string  // of a member of a channel, and of everything: what happened when
}

// A rigRound is what happens from one quiet moment to the next.
type rigRound struct {
	number int
	fault  rigFault
	victim int
	began  int64 // by the chronicle's clock
	reset  bool  // Redis had forgotten all in the round before
}

// An ending is a connection that ended though its client did not want that.
type ending struct {
	who  string
	node int
	why  error
	at   int64 // since when it was in all of its rooms, by the clock
}

// TestRig has three nodes serve all dialects through everything that can happen to them, and looks at each
// quiet moment whether everybody knows what is true, and whether all got what they should have.
// All faults come once, however long that takes; -rig.seed and -rig.for say how it goes, and for how long it
// goes on after that, and -rig.engine which Redis they have. It ends at the first quiet moment at which something is wrong.
func TestRig(t *testing.T) {
	r := newRig(t, *rigEngineName, *rigBalancer, *rigMore)
	all := slices.DeleteFunc(slices.Concat(rigFaults, r.redis.faults), func(f rigFault) bool {
		return *rigOnly != "" && f.name != *rigOnly || *rigOnly == "" && f.more && !*rigMore
	})
	if len(all) == 0 {
		t.Fatalf("no fault has the name %q", *rigOnly)
	}
	r.playAll(all, *rigFor)
}

// TestRigSentinel is TestRig with a primary and a replica that Sentinels look after, for what can happen to those.
func TestRigSentinel(t *testing.T) {
	t.Parallel() // with TestRigCluster: both wait for most of their time
	r := newRig(t, "sentinel", "mixed", true)
	r.playAll(r.redis.faults, 0)
}

// TestRigCluster is TestRig with a Redis Cluster of three, for what can happen to one of those.
func TestRigCluster(t *testing.T) {
	t.Parallel()
	r := newRig(t, "cluster", "mixed", true)
	r.playAll(r.redis.faults, 0)
}

// playAll plays some faults, each once, and then goes on until its time is over.
func (r *rig) playAll(all []rigFault, long time.Duration) {
	deck, played := []rigFault(nil), []string(nil)
	for began := time.Now(); !r.t.Failed() && (len(played) < len(all) || time.Since(began) < long); deck = deck[1:] {
		if len(deck) == 0 { // each once, in an order of the dice
			deck = slices.Clone(all)
			r.dice.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		r.play(deck[0])
		played = append(played, deck[0].name)
	}
	r.t.Logf("played: %s", strings.Join(played, ", "))
	r.rare.tell(r.t)
	r.t.Logf("-rig.seed %d: %d rounds; sends taken %d, unsure %d, refused %d; %d webhooks", *rigSeed, r.round.number,
		r.answers[taken].Load(), r.answers[unsure].Load(), r.answers[refused].Load(), r.hooks.count())
}

// newRig starts all of it, with an engine and a balancer of these names. more has it read histories whole.
func newRig(t *testing.T, engine, balancer string, more bool) *rig {
	start := rigEngines[engine]
	if start == nil {
		t.Fatalf("-rig.engine %q is none of %v", engine, slices.Sorted(maps.Keys(rigEngines)))
	}
	r := &rig{t: t, redis: start(t), balancer: balancer, more: more, truth: &chronicle{spaces: make(map[string]*space)}, dice: rand.New(rand.NewPCG(*rigSeed, 0)), began: time.Now(), story: make(map[string][]string), moves: make(map[string]int), sent: make(map[string]int64), unsure: make(map[string]time.Time)}
	r.hooks = newRigHooks(t, r.happened)
	db := postgrestest.Start(t, "fsync=off").Schema(t)
	for range 3 {
		r.nodes = append(r.nodes, r.startNode(db))
	}
	t.Cleanup(func() {
		for i, n := range r.nodes {
			if t.Failed() {
				log := n.Log()
				t.Logf("node %d:\n%s", i, log[max(0, len(log)-8000):])
			}
		}
	})
	r.seatAll()
	r.crowd, r.visitors = newCrowd(r), newVisitors(r)
	t.Cleanup(r.leave)
	go r.watch(t.Context())
	return r
}

// startNode starts a node with wires of its own.
func (r *rig) startNode(db string) *rigNode {
	var addrs []string
	for _, s := range r.redis.servers {
		addrs = append(addrs, s.Addr)
	}
	server := process.FreePort(r.t)
	n := &rigNode{wires: redistest.NewWires(r.t, addrs...), pusher: process.FreePort(r.t), socktopus: process.FreePort(r.t), pushsocket: process.FreePort(r.t)}
	n.node = startAt(r.t, r.redis.url(n.wires.Addrs()), "CLIENT_PORT", "SERVER_PORT="+strconv.Itoa(server), "SERVER_SECRET="+secret,
		"CLUSTER_TIMEOUT="+(lease/2).String(), "HISTORY=10m", "HISTORY_EVENTS=100000", "TRUSTED_PROXIES=127.0.0.0/8",
		"PUSHER_PORT="+strconv.Itoa(n.pusher), "PUSHER_APP_ID="+pushertest.ID, "PUSHER_APP_KEY="+pushertest.Key, "PUSHER_APP_SECRET="+pushertest.Secret,
		"PUSHER_WEBHOOK_URL="+r.hooks.URL, "PUSHER_SUBSCRIBE_RATE=off", "PUSHER_CLIENT_EVENTS=on", "PUSHER_CLIENT_EVENT_RATE=off", "PUSHER_WATCHLIST=on",
		"PUSHER_HISTORY=10m", "PUSHER_HISTORY_EVENTS=100000", "ADMIN_TOKEN="+adminToken,
		"SOCKTOPUS_PORT="+strconv.Itoa(n.socktopus), "MYAPP_SOCKTOPUS_SECRET="+socktopusSecret, "SOCKTOPUS_READ_TIMEOUT=10m",
		"PUSH_SOCKET_PORT="+strconv.Itoa(n.pushsocket), "PUSH_SOCKET_DB="+db, "PUSH_SOCKET_REQUESTS=off")
	n.server, n.token = server, adminToken
	return n
}

// rigStall is how long the machine has to have stood still for nodes to take Redis for away.
const rigStall = lease / 8

// watch notes how long the machine stands still. It ends with the test.
func (r *rig) watch(ctx context.Context) {
	for last := time.Now(); ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond)
		now := time.Now()
		r.stall.Store(max(r.stall.Load(), int64(now.Sub(last))))
		last = now
	}
}

// seatAll makes the clients, none of which is connected yet.
func (r *rig) seatAll() {
	for i := range 18 {
		r.poosh = append(r.poosh, &pooshSlot{r: r, stream: i%3 == 2, stays: i < 6, node: i % 3})
	}
	for i := range 18 {
		r.pusher = append(r.pusher, &pusherSlot{r: r, user: fmt.Sprint("u", i%8), stays: i < 3, node: i % 3})
	}
	for i := range octopusSlots {
		r.octopus = append(r.octopus, &octopusSlot{r: r, id: fmt.Sprint("id-", i%7), stays: i < 3, node: i % 3})
	}
	for i := range 5 {
		r.devices = append(r.devices, newDevice(r, i))
	}
}

// leave ends all clients.
func (r *rig) leave() {
	for _, s := range r.poosh {
		s.end()
	}
	for _, s := range r.pusher {
		s.end()
	}
	for _, s := range r.octopus {
		s.end()
	}
	for _, d := range r.devices {
		d.end()
	}
}

// name makes a name for a connection.
func (r *rig) name(kind string, node int) string {
	return fmt.Sprintf("%s %d at node %d", kind, r.names.Add(1), node)
}

// blame notes what is wrong.
func (r *rig) blame(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) < 40 {
		r.faults = append(r.faults, fmt.Sprintf(format, args...))
	}
}

// happened notes what happened to a member of a channel, or an id of Socktopus, to be told if something is wrong with it.
func (r *rig) happened(to, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := append(r.story[to], fmt.Sprintf("%.3f "+format, append([]any{time.Since(r.began).Seconds()}, args...)...))
	r.story[to] = list[max(0, len(list)-30):]
}

// tale is what happened to a member of a channel, or an id of Socktopus, and to all nodes.
func (r *rig) tale(of string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%s; %s", strings.Join(r.story[of], ", "), strings.Join(r.story[""], ", "))
}

// ended notes a connection that ended against its client's will.
func (r *rig) ended(who string, node int, since int64, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, ending{who, node, why, since})
}

// worker is what does something again and again in a round.
type worker func(*rand.Rand)

// workers are all of a round: each has the clients that nobody else has, or sends.
func (r *rig) workers() (list []worker) {
	act := func(each []func(*rand.Rand)) worker {
		return func(dice *rand.Rand) {
			each[dice.IntN(len(each))](dice)
			time.Sleep(time.Duration(dice.IntN(20)) * time.Millisecond) // how busy it is
		}
	}
	var all []func(*rand.Rand)
	for _, s := range r.poosh {
		all = append(all, s.act)
	}
	for _, s := range r.pusher {
		all = append(all, s.act)
	}
	for _, s := range r.octopus {
		all = append(all, s.act)
	}
	for _, d := range r.devices {
		all = append(all, d.act)
	}
	for part := range slices.Chunk(all, 4) {
		list = append(list, act(part))
	}
	for _, send := range []func(*rand.Rand){r.sendSome, r.sendSome, r.sendReal, r.triggerSome, r.triggerSome, r.whisperSome, r.deliverSome, r.mailSome, r.sendAwaySome} {
		list = append(list, act([]func(*rand.Rand){send}))
	}
	return list
}

func (r *rig) anyNode(dice *rand.Rand) *rigNode { return r.nodes[dice.IntN(len(r.nodes))] }

// play is one round: all do something, something happens to a node or to Redis, and when it is over
// and all rest, everything has to be right.
func (r *rig) play(f rigFault) {
	r.round = rigRound{number: r.round.number + 1, fault: f, victim: r.dice.IntN(len(r.nodes)), began: r.truth.now(), reset: r.round.fault.reset}
	r.victim.Store(int64(r.round.victim))
	began := time.Now()
	r.until = began.Add(2 * rigQuiet)
	var working sync.WaitGroup
	stop := make(chan struct{})
	rest := sync.OnceFunc(func() {
		close(stop)
		working.Wait()
	})
	defer func() { // also where a node does not start again
		rest()
		r.tellFaults()
	}()
	for i, work := range r.workers() {
		dice := rand.New(rand.NewPCG(r.dice.Uint64(), uint64(i)))
		working.Go(func() { // ends with stop
			for {
				select {
				case <-stop:
					return
				default:
					work(dice)
				}
			}
		})
	}
	holders := r.holders()
	f.do(r)
	rest()
	if now := r.holders(); !f.reset && !slices.Equal(now, holders) {
		r.t.Logf("round %d: %v had the data, and now %v: Redis counts as failed", r.round.number, holders, now)
		r.round.fault.reset = true
	}
	during := time.Since(began)
	r.until = time.Now().Add(rigQuiet)
	r.quiet()
	r.t.Logf("round %d: %s, node %d: %v, quiet after %v", r.round.number, f.name, r.round.victim, during.Round(time.Millisecond), (time.Since(began) - during).Round(time.Millisecond))
}

// holders are the servers whose data holds.
func (r *rig) holders() []string {
	if r.redis.holders == nil {
		return nil
	}
	return slices.Sorted(slices.Values(r.redis.holders()))
}

// tellFaults has the test fail by all that is wrong.
func (r *rig) tellFaults() {
	r.mu.Lock()
	faults := r.faults
	r.faults = nil
	r.mu.Unlock()
	for _, text := range faults {
		r.t.Errorf("-rig.seed %d, round %d, %s of node %d: %s", *rigSeed, r.round.number, r.round.fault.name, r.round.victim, text)
	}
}

// rigQuiet is how long it may take until all rest, also on a machine that is busy.
const rigQuiet = 90 * time.Second

// await polls until done has no complaint, and blames what is left of them. Once it has done so it waits for
// nothing else.
func (r *rig) await(what string, done func() []string) {
	if r.stuck {
		return
	}
	began := time.Now()
	end := began.Add(process.Patience)
	if end.After(r.until) {
		end = r.until
	}
	for {
		left := done()
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			r.stuck = true
			r.blame("not within %v: %s: %s", time.Since(began).Round(time.Millisecond), what, strings.Join(left[:min(6, len(left))], "; "))
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ready waits until all nodes are there, and know that.
func (r *rig) ready() {
	r.await("all nodes are ready and know each other", func() (left []string) {
		for i, n := range r.nodes {
			if a := asked(http.MethodGet, "http://"+n.at(n.admin)+"/ready", "Bearer "+adminToken, nil); a.status != http.StatusOK {
				left = append(left, fmt.Sprintf("node %d: %d %.300s %v", i, a.status, a.body, a.err))
			} else if a := asked(http.MethodGet, "http://"+n.at(n.admin)+"/metrics", "Bearer "+adminToken, nil); !strings.Contains(a.body, fmt.Sprintf("\npoosh_cluster_nodes %d\n", len(r.nodes))) {
				left = append(left, fmt.Sprintf("node %d does not know all: %d %v", i, a.status, a.err))
			}
		}
		return left
	})
}
