package cluster

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/hub"
	"poosh/server/presence"
)

// What nodes tell each other goes the way of publications, through a partition of its own, so
// that a node that was cut off hears it when it is back; but for answers, which are for one node
// that waits no longer by then. In its envelopes the app is empty, the
// room is the node that it is for, empty for all, and the event says what it is.

// The kinds that are the cluster's own; others are what [Cluster.Handle] is given.
const (
	kindNode   byte = 0 // somebody has come or gone
	kindAnswer byte = 1
	kindOnce   byte = 2 // a source has nobody who leads it; see [source]
	kindWhy    byte = 3 // why is nobody in a room? see [Cluster.WhyNobody]
)

var _ presence.Bus = (*Cluster)(nil)

// An answer is what a node said to a question.
type answer struct {
	from string
	body []byte
}

// asks are the questions that wait, and who answers others'.
type asks struct {
	last  atomic.Uint64
	asked asked

	mu       sync.Mutex // guards what follows
	waiting  map[string]chan answer
	handlers map[byte]func(from string, body []byte) []byte
}

// open begins to wait for answers of so many nodes, and a few more that come meanwhile, until end is called.
func (a *asks) open(nodes int) (id string, came chan answer, end func()) {
	id, came = strconv.FormatUint(a.last.Add(1), 36), make(chan answer, nodes+16)
	a.mu.Lock()
	a.waiting[id] = came
	a.mu.Unlock()
	return id, came, func() {
		a.mu.Lock()
		delete(a.waiting, id)
		a.mu.Unlock()
	}
}

// Handle says who is to hear what is told and asked of a kind, from 16 on, and answers; see
// [presence.Bus].
func (c *Cluster) Handle(kind byte, f func(from string, body []byte) []byte) {
	if kind < 16 {
		panic("a kind of the cluster's own")
	}
	c.asks.mu.Lock()
	defer c.asks.mu.Unlock()
	c.asks.handlers[kind] = f
}

// Tell tells all nodes, this one too. It never waits; what cannot be told within the time of one
// command, since the engine is away, is lost.
func (c *Cluster) Tell(kind byte, body []byte) { c.tell(kind, "", "", body, nil) }

func (c *Cluster) tell(kind byte, to, id string, body []byte, done func(hub.Handed)) {
	c.publishNodes(&envelope{Publication: hub.Publication{Room: to, Event: string([]byte{kind}), Data: body}, id: id}, done)
}

// publishNodes publishes in the nodes' own partition.
func (c *Cluster) publishNodes(e *envelope, done func(hub.Handed)) {
	p := c.own
	i := &item{channel: c.nodes.all(), envelope: c.seal(e), since: time.Now(), done: done}
	if e.Room != "" {
		i.channel = c.nodes.node(e.Room)
	}
	if err := p.enqueue(i); err != nil {
		c.count.settled(err)
		if done != nil {
			done(hub.Handed{Took: -1, Err: err})
		}
	}
}

// Ask asks all nodes, this one too, and returns their answers by name once all that the engine
// reached have answered, or ctx ends; and then who of the table has not: everybody, while the
// engine is away. It waits, so it is not for goroutines of the loop or of the cluster.
func (c *Cluster) Ask(ctx context.Context, kind byte, body []byte) (answers map[string][]byte, silent []string) {
	began, nodes := time.Now(), c.Nodes()
	id, came, end := c.asks.open(len(nodes))
	defer end()
	handed := make(chan hub.Handed, 1)
	c.tell(kind, "", id, body, func(h hub.Handed) { handed <- h })
	answers = make(map[string][]byte)
	wanted := -1
	for wanted < 0 || len(answers) < wanted {
		select {
		case h := <-handed:
			handed, wanted = nil, h.Nodes
			switch {
			case h.Err != nil:
				wanted = 0
			case wanted < 0:
				wanted = len(nodes)
			}
		case a := <-came:
			answers[a.from] = a.body
		case <-ctx.Done():
			wanted = 0
		case <-c.over.Done():
			wanted = 0
		}
	}
	for _, n := range nodes {
		if _, ok := answers[n.Name]; !ok {
			silent = append(silent, n.Name)
		}
	}
	if len(nodes) > 1 {
		c.asks.asked.end(time.Since(began), len(silent) == 0)
	}
	return answers, silent
}

var errKind = errors.New("of a kind that is not known here")

// heard handles what a node told. It is called by the partition's goroutine.
func (c *Cluster) heard(e *envelope) {
	if len(e.Event) != 1 {
		c.own.drop(errMalformed)
		return
	}
	switch kind := e.Event[0]; kind {
	case kindNode:
		c.beatNow()
	case kindOnce:
		c.heardOnce(string(e.Data))
	case kindAnswer:
		c.asks.mu.Lock()
		came := c.asks.waiting[e.id]
		c.asks.mu.Unlock()
		select {
		case came <- answer{e.node, e.Data}:
			if e.node != c.name {
				c.asks.asked.answers.Add(1)
			}
		default: // nobody asked, or asks any more
		}
	default:
		c.asks.mu.Lock()
		f := c.asks.handlers[kind]
		c.asks.mu.Unlock()
		if f == nil {
			c.own.drop(errKind)
			return
		}
		body := f(e.node, e.Data)
		if e.id != "" {
			if e.node != c.name {
				c.asks.asked.heard.Add(1)
			}
			c.tell(kindAnswer, e.node, e.id, body, nil)
		}
	}
}
