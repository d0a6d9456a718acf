package fleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"poosh/server/eventstream"
	"poosh/server/guard"
	"poosh/server/passing"
	"poosh/server/sends"
)

const (
	// pace is the least time between two looks at what one node has: so much is gathered. The first
	// send after a pause is told at once.
	pace = 250 * time.Millisecond
	// each is the least time for each of the sends that were told: nobody reads more than a thousand
	// a second of each node. What a flood has beyond a queue in that time is dropped where it arises.
	each = time.Millisecond
	// keepAlive is how often a watcher is written to, sends or none: proxies cut what is silent.
	keepAlive = 15 * time.Second
	// lookAgain is how often is looked who has come or gone.
	lookAgain = 500 * time.Millisecond
	// endWithin is how long another node may take to hear that nobody watches any more.
	endWithin = time.Second
	// askAgain is how long a node that did not answer is left alone.
	askAgain = time.Second
)

// The states of a node in [NodeState].
const (
	Watched = "watched" // what it takes is told from now on
	Lost    = "lost"    // what it takes is not told, and why
	Gone    = "gone"    // it is no node any more
)

// A NodeState is what a stream tells of a node, as an event "node".
type NodeState struct {
	Node  string `json:"node"`
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
}

// ServeTail answers GET with sends as they happen, on all nodes or on the one that the parameter node
// names. In one process alone it is [sends.Feed.Stream]; in a cluster each object says its node, as
// does one of an event "dropped", and an event "node" says from when on, or no longer, the sends of a
// node are told.
func (f *Fleet) ServeTail(w http.ResponseWriter, r *http.Request) {
	list, ok := f.chosen(w, r.URL.Query())
	if !ok {
		return
	}
	if f.alone() {
		f.cfg.Feed.Stream(w, r)
		return
	}
	t := &tail{fleet: f, filter: without(r.URL.Query()), come: make(chan news), following: make(map[string]context.CancelFunc)}
	var only url.Values
	if r.URL.Query().Has("node") {
		only = url.Values{"node": {list[0].Name}} // not its address, at which another one may be later
	}
	t.list = func() []Node {
		list, _ := f.nodes(only) // none where it has gone
		return list
	}
	t.serve(w, r)
}

// A tail is one stream of sends of several nodes.
type tail struct {
	fleet  *Fleet
	filter url.Values
	list   func() []Node // whom to follow
	come   chan news     // not buffered: who does not read keeps whoever follows from asking

	// Of the request's goroutine.
	out       *eventstream.Stream
	following map[string]context.CancelFunc
	followers sync.WaitGroup
}

// news is what a follower has of its node.
type news struct {
	node    string
	lines   [][]byte
	dropped uint64
	state   string // a change of state, empty for none; it is before the rest
	why     string
	over    bool // this node ends
}

// serve tells until its client goes or does not read, or this node ends.
func (t *tail) serve(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer t.followers.Wait()
	defer cancel()
	var here *sends.Watcher
	var err error
	for _, n := range t.list() {
		if t.fleet.isHere(n) {
			if here, err = t.fleet.cfg.Feed.Watch(sends.FilterOf(t.filter)); err == nil {
				defer here.Stop()
			}
		}
	}
	if t.out = eventstream.Begin(w, r, err); t.out == nil {
		return
	}
	t.out.Comment("watching")
	if here != nil {
		t.tell(news{node: t.fleet.cfg.Name, state: Watched})
		t.follow(ctx, t.fleet.cfg.Name, func(ctx context.Context) { t.followHere(ctx, here) })
	}
	t.look(ctx)
	if !t.out.Flush() {
		return
	}
	again, idle := time.NewTicker(lookAgain), time.NewTicker(keepAlive)
	defer again.Stop()
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-t.come:
			if n.over {
				return
			}
			t.tell(n)
		case <-again.C:
			if !t.look(ctx) {
				continue
			}
		case <-idle.C:
			t.out.Comment("")
		}
		if !t.out.Flush() {
			return
		}
	}
}

// follow starts a follower of a node, which ends with ctx or when the node is gone.
func (t *tail) follow(ctx context.Context, node string, do func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	t.following[node] = cancel
	t.followers.Go(func() {
		defer cancel()
		if !guard.Call(t.fleet.cfg.Log, "telling of sends", func() { do(ctx) }, "node", node) {
			t.give(ctx, news{node: node, state: Lost, why: errPanicked.Error()})
		}
	})
}

// look follows nodes that have come and tells of those that are gone, and reports whether it said
// something.
func (t *tail) look(ctx context.Context) (said bool) {
	there := map[string]bool{t.fleet.cfg.Name: true}
	for _, n := range t.list() {
		there[n.Name] = true
		if t.following[n.Name] == nil && !t.fleet.isHere(n) {
			t.follow(ctx, n.Name, func(ctx context.Context) { t.followOther(ctx, n.Name) })
		}
	}
	for name, cancel := range t.following {
		if !there[name] {
			cancel()
			delete(t.following, name)
			t.tell(news{node: name, state: Gone})
			said = true
		}
	}
	return said
}

// tell adds what a follower has to what is written.
func (t *tail) tell(n news) {
	if n.state != Gone && t.following[n.node] == nil && n.node != t.fleet.cfg.Name {
		return // it was on its way when the node was given up
	}
	if n.state != "" {
		text, _ := json.Marshal(NodeState{n.node, n.state, n.why}) // of texts, which never fails
		t.out.Event("node", text)
	}
	for _, line := range n.lines {
		t.out.Event("send", ofNode(n.node, line))
	}
	if n.dropped > 0 {
		t.out.Event("dropped", fmt.Appendf(nil, `{"node":%q,"count":%d}`, n.node, n.dropped))
	}
}

// ofNode puts a node's name into an object.
func ofNode(node string, line []byte) []byte {
	if len(line) < 2 || line[0] != '{' {
		return line
	}
	b := append(make([]byte, 0, len(line)+len(node)+16), `{"node":"`...) // a name has no character that JSON escapes
	return append(append(append(b, node...), `",`...), line[1:]...)
}

// give hands news to the request's goroutine, and reports whether there is one.
func (t *tail) give(ctx context.Context, n news) bool {
	select {
	case t.come <- n:
		return true
	case <-ctx.Done():
		return false
	}
}

// rest waits between two looks, as long as so many sends take.
func rest(ctx context.Context, sends int) {
	sleep(ctx, max(pace, time.Duration(sends)*each))
}

func sleep(ctx context.Context, d time.Duration) {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

// followHere follows this node.
func (t *tail) followHere(ctx context.Context, w *sends.Watcher) {
	idle := time.NewTicker(keepAlive)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.Over():
			t.give(ctx, news{over: true})
			return
		case <-w.More():
		case <-idle.C: // what was dropped last wakes nobody
		}
		lines, dropped := w.Lines(t.fleet.cfg.Trusted)
		if len(lines) > 0 || dropped > 0 {
			if !t.give(ctx, news{node: t.fleet.cfg.Name, lines: lines, dropped: dropped}) {
				return
			}
		}
		rest(ctx, len(lines))
	}
}

// followOther follows another node, until that is gone, or cannot tell.
func (t *tail) followOther(ctx context.Context, node string) {
	query := without(t.filter)
	query.Set("watch", rand.Text()) // one, whatever fails: it takes a place there
	begin, lost, none := true, "", true
	defer func() {
		if !none { // or it is kept there for a while, for nobody
			t.fleet.endAt(node, query.Get("watch"))
		}
	}()
	for ctx.Err() == nil {
		if begin {
			query.Set("begin", "1")
		} else {
			query.Del("begin")
		}
		var got tailed
		none = false
		err := t.fleet.ask(ctx, holdTail+askWithin, node, pathTail, query, &got)
		if ctx.Err() != nil {
			return
		}
		n := news{node: node, dropped: got.Dropped}
		for _, s := range got.Sends {
			n.lines = append(n.lines, s)
		}
		switch {
		case err != nil:
			n.state, n.why = Lost, err.Error()
			begin = true
			if n.why == lost { // and said to be
				n.state = ""
			}
			lost = n.why
		case begin:
			n.state, begin, lost = Watched, false, ""
		}
		if (n.state != "" || len(n.lines) > 0 || n.dropped > 0) && !t.give(ctx, n) {
			return
		}
		switch {
		case errors.Is(err, passing.ErrUnknown), errors.Is(err, errNoToken): // and will not
			none = true
			return
		case got.Over != "":
			none = true
			t.give(ctx, news{node: node, state: Lost, why: got.Over})
			return
		case err != nil:
			sleep(ctx, askAgain)
		default:
			rest(ctx, len(n.lines))
		}
	}
}

// endAt has a watcher of this node's end at another one, if that can be told at once.
func (f *Fleet) endAt(node, watch string) {
	var none tailed
	_ = f.ask(context.Background(), endWithin, node, pathTail, url.Values{"watch": {watch}, "end": {"1"}}, &none)
}
