package hub

import "slices"

// An Explainer is a [Broker] that can say what became of a publication in all processes.
type Explainer interface {
	// Explain is Publish for who waits for an account of it: what [Hub.ExplainHere] says in
	// each process, put together by [Explanation.Add]. It waits for the others within a time
	// that it bounds, and then answers with what it has. With an error in Err nothing is known
	// of some or of all. Why nobody was in the room it need not say.
	Explain(p *Publication) *Explanation
	// WhyNobody says that in Causes and Left of e: what [Hub.Absent] says in each process, as far as
	// they do within a time that it bounds. It is asked once what p is beyond bridges reached nobody either.
	WhyNobody(p *Publication, e *Explanation)
}

// ExplainHere is [Hub.DeliverAt] for who wants to know what became of the publication in this
// process. It takes longer, in the room too, and allocates.
func (h *Hub) ExplainHere(p *Publication, at Position) *Explanation {
	s := h.shardFor(p)
	s.brought.Add(1)
	e := &Explanation{Nodes: 1}
	e.take(h.explain(s, p, at))
	h.explainNobody(p, h.joinedTo(p.App), e)
	return e
}

// Absent says, in Causes and Left, why nobody of this process is in p's room, if that is so. It publishes nothing.
func (h *Hub) Absent(p *Publication) *Explanation {
	e := &Explanation{Nodes: 1}
	h.explainNobody(p, h.joinedTo(p.App), e)
	return e
}

// joinedTo are an app and those to which a bridge leads from it.
func (h *Hub) joinedTo(app string) map[string]bool {
	all := map[string]bool{app: true}
	if bridges := h.bridges.Load(); bridges != nil {
		for i := range *bridges {
			if b := &(*bridges)[i]; b.from == app {
				all[b.to] = true
			}
		}
	}
	return all
}

// explainAcross is [Hub.Explain] in one of several processes.
func (h *Hub) explainAcross(p *Publication) *Explanation {
	h.shardFor(p).published.Add(1)
	e := h.askBroker(p)
	if bridges := h.bridges.Load(); bridges != nil && !p.Everyone {
		for i := range *bridges {
			if b := &(*bridges)[i]; b.from == p.App {
				h.explainBeyond(b, p, e)
			}
		}
	}
	switch x, ok := h.broker.(Explainer); {
	case e.Matched() > 0 || e.Uncounted:
		e.Causes = nil
	case ok && e.Err == nil:
		x.WhyNobody(p, e)
	}
	return e
}

// askBroker publishes p, and says what the broker tells of it.
func (h *Hub) askBroker(p *Publication) *Explanation {
	if x, ok := h.broker.(Explainer); ok {
		return x.Explain(p)
	}
	answer := make(chan Handed, 1)
	h.broker.Publish(p, func(h Handed) { answer <- h })
	got := <-answer // within the broker's time
	took := max(0, got.Took)
	return &Explanation{Took: took, Nodes: got.Nodes, Err: got.Err, Uncounted: got.Err == nil && got.Took < 0, Parts: []Part{{App: p.App, Elsewhere: took}}}
}

// explainBeyond is [Hub.explainBridge] in one of several processes. Of those whom it does not
// lead to it knows those of this one.
func (h *Hub) explainBeyond(b *bridge, p *Publication, e *Explanation) {
	there := *p
	there.App, there.Cached = b.to, 0
	if b.carry(&there) {
		other := h.askBroker(&there)
		e.Took += other.Took
		e.Parts = append(e.Parts, other.Parts...)
		e.Uncounted = e.Uncounted || other.Uncounted
		e.addEach(other.Each)
		e.Nodes, e.Err = max(e.Nodes, other.Nodes), both(e.Err, other.Err)
	} else if r := h.shard(b.to, p.Room).find(b.to, p.Room, false); r != nil {
		e.take(Part{App: b.to, Tallies: r.without(RefusedName)}, 0)
	}
}

// Add puts to e what another process says of the same publication.
func (e *Explanation) Add(other *Explanation) {
	before, after := e.Causes, other.Causes
	if e.Nodes == 0 {
		before = after
	}
	e.Took += other.Took
	e.Nodes += other.Nodes
	e.Uncounted = e.Uncounted || other.Uncounted
	e.addEach(other.Each)
	if e.Err == nil {
		e.Err = other.Err
	}
	for i := range other.Parts {
		e.addPart(&other.Parts[i])
	}
	e.Left = append(slices.Clip(e.Left), other.Left...)
	slices.SortStableFunc(e.Left, func(a, b Departure) int { return b.At.Compare(a.At) })
	e.Left = e.Left[:min(len(e.Left), maxLeft)]
	e.Causes = nil
	if e.Matched() == 0 && !e.Uncounted {
		e.Causes = inBoth(before, after)
	}
}

func (e *Explanation) addEach(list []NodeTally) {
	for _, t := range list {
		i := slices.IndexFunc(e.Each, func(is NodeTally) bool { return is.Node == t.Node })
		if i < 0 {
			e.Each = append(e.Each, t)
			continue
		}
		e.Each[i].Matched += t.Matched
		e.Each[i].Took += t.Took
	}
}

// inBoth says why nobody was in a room of two processes: who is elsewhere in one of them is
// somewhere.
func inBoth(one, other []Cause) (why []Cause) {
	for _, c := range []Cause{Closed, OtherApp} {
		if slices.Contains(one, c) || slices.Contains(other, c) {
			why = append(why, c)
		}
	}
	switch {
	case len(why) > 0:
		return why
	case slices.Contains(one, NoSuchRoom) || slices.Contains(other, NoSuchRoom):
		return []Cause{NoSuchRoom}
	}
	return []Cause{NobodyThere}
}

func (e *Explanation) addPart(other *Part) {
	for i := range e.Parts {
		if p := &e.Parts[i]; p.App == other.App {
			p.Elsewhere += other.Elsewhere
			for j := range other.Tallies {
				p.Tallies = addTally(p.Tallies, &other.Tallies[j])
			}
			return
		}
	}
	e.Parts = append(e.Parts, *other)
}

func addTally(list []Tally, other *Tally) []Tally {
	i := slices.IndexFunc(list, func(t Tally) bool { return t.Kind == other.Kind })
	if i < 0 {
		return append(list, *other)
	}
	t := &list[i]
	t.Matched += other.Matched
	t.Handed += other.Handed
	t.Waiting += other.Waiting
	for why, n := range other.LeftOut {
		if t.LeftOut == nil {
			t.LeftOut = make(map[Cause]int)
		}
		t.LeftOut[why] += n
	}
	return list
}
