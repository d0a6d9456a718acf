package cluster

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"poosh/server/hub"
)

// This file is what becomes of a publication whose sender asks for an account of it. Its envelope has the id of a
// question, as those between nodes have: each node that it comes to answers as it answers questions. A node of an older
// version hands it out like any other, and does not answer.

var _ hub.Explainer = (*Cluster)(nil)

// A told is what one node says of a publication, as JSON. Its clock is nobody's: it says how long ago
// something was.
type told struct {
	Took   int         `json:"took"`
	Parts  []hub.Part  `json:"parts,omitempty"`
	Causes []hub.Cause `json:"causes,omitempty"`
	Left   []toldLeft  `json:"left,omitempty"`
}

type toldLeft struct {
	ID  string        `json:"id"`
	Why string        `json:"why,omitempty"`
	Ago time.Duration `json:"ago"`
}

func tellOf(e *hub.Explanation) []byte {
	t := told{Took: e.Took, Parts: e.Parts, Causes: e.Causes}
	for _, d := range e.Left {
		t.Left = append(t.Left, toldLeft{d.ID, d.Why, time.Since(d.At)})
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil // which nobody understands, and counts as no answer
	}
	return text
}

// explanationOf reads what tellOf wrote on a node.
func explanationOf(node string, text []byte) (*hub.Explanation, bool) {
	var t told
	if json.Unmarshal(text, &t) != nil {
		return nil, false
	}
	e := &hub.Explanation{Took: t.Took, Nodes: 1, Parts: t.Parts, Causes: t.Causes}
	now := time.Now()
	for _, d := range t.Left {
		e.Left = append(e.Left, hub.Departure{ID: d.ID, Why: d.Why, At: now.Add(-d.Ago)})
	}
	e.Each = []hub.NodeTally{{Node: node, Matched: e.Matched(), Took: e.Took}}
	return e, true
}

// Explain is for the hub, see [hub.Explainer]. It waits for the engine as Publish does, and then until all nodes that
// were handed p have said what became of it, for the time of one command. It is Uncounted unless all have said it.
func (c *Cluster) Explain(p *hub.Publication) *hub.Explanation {
	id, came, end := c.asks.open(len(c.Nodes()))
	defer end()
	handed := make(chan hub.Handed, 1)
	part := c.partition(p.App, p.Room, p.Everyone)
	i := part.item(p)
	i.envelope, i.done = c.seal(&envelope{Publication: *p, id: id}), func(h hub.Handed) { handed <- h }
	asked := part.enqueue(i) == nil
	if !asked { // it becomes what it would without a question
		c.Publish(p, i.done)
	}
	h := <-handed // within the engine's time
	all := &hub.Explanation{}
	switch {
	case h.Err != nil:
		all.Err = h.Err
	case h.Took >= 0: // this node alone had it
		all.Took, all.Parts = h.Took, []hub.Part{{App: p.App, Elsewhere: h.Took}}
	case !asked:
		all.Uncounted = true
	default:
		c.gather(all, h.Nodes, came)
	}
	all.Nodes = h.Nodes
	return all
}

// gather waits for what so many nodes say, or all that there are where their number is not known.
func (c *Cluster) gather(all *hub.Explanation, wanted int, came <-chan answer) {
	late := time.NewTimer(c.cfg.Timeout)
	defer late.Stop()
	sure := wanted >= 0
	if !sure {
		wanted = len(c.Nodes())
	}
	began, heard := time.Now(), make(map[string]bool)
	for over := false; !over && len(heard) < wanted; {
		select {
		case a := <-came:
			e, ok := explanationOf(a.from, a.body)
			if ok && !heard[a.from] {
				heard[a.from] = true
				all.Add(e)
			}
		case <-late.C:
			over = true
		case <-c.over.Done():
			over = true
		}
	}
	all.Uncounted = len(heard) < wanted
	all.Causes = nil
	slices.SortFunc(all.Each, func(a, b hub.NodeTally) int { return strings.Compare(a.Node, b.Node) })
	if len(c.Nodes()) > 1 {
		c.asks.asked.end(time.Since(began), !all.Uncounted)
	}
}

// WhyNobody is for the hub too. It asks all nodes, for the time of one command: who was not handed p knows who is elsewhere.
func (c *Cluster) WhyNobody(p *hub.Publication, all *hub.Explanation) {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Timeout)
	defer cancel()
	about := envelope{Publication: *p}
	about.Data = nil
	answers, silent := c.Ask(ctx, kindWhy, []byte(c.seal(&about)))
	unsaid := len(silent) > 0
	var why *hub.Explanation
	for node, text := range answers {
		e, ok := explanationOf(node, text)
		switch {
		case !ok:
			unsaid = true
		case why == nil:
			why = e
		default:
			why.Add(e)
		}
	}
	if why == nil {
		return
	}
	all.Causes, all.Left = why.Causes, why.Left
	if unsaid && slices.Contains(all.Causes, hub.NobodyThere) {
		all.Causes = nil // somebody may be where nobody has answered
	}
}

// absent answers [Cluster.WhyNobody] on this node.
func (c *Cluster) absent(_ string, text []byte) []byte {
	e, err := openEnvelope(string(text))
	if err != nil || c.opt.Absent == nil {
		return nil
	}
	return tellOf(c.opt.Absent(&e.Publication))
}

// explained hands out what somebody wants to know more of, and tells the node that asks.
func (c *Cluster) explained(e *envelope, at hub.Position) {
	became := c.opt.Explain(&e.Publication, at)
	became.Causes = nil // of this node alone they are none
	if e.node != c.name {
		c.asks.asked.heard.Add(1)
	}
	c.tell(kindAnswer, e.node, e.id, tellOf(became), nil)
}
