package hub

// A Cause says why somebody did not get a publication, or why nobody did. Its text is
// for programs.
type Cause string

// The causes. Of those who were in the room:
const (
	Excluded    Cause = "excluded"     // it is who [Publication].Except names
	TooSlow     Cause = "too_slow"     // too much waited for it already; its connection ends
	Closed      Cause = "closed"       // its connection was ending, or it left lately
	RefusedName Cause = "refused_name" // its kind of connection may not get an event or room of that name
)

// And where nobody was. [Closed] is one of these too: somebody was there until lately,
// as far as that is remembered; see [Hub.Remember].
const (
	OtherApp    Cause = "other_app"    // a room of that name is in use in another app, to which no bridge leads
	NobodyThere Cause = "nobody_there" // nobody at all is in the app
	NoSuchRoom  Cause = "no_such_room" // somebody is, but has not joined a room of that name
)

// An Explanation is what became of a publication.
type Explanation struct {
	Took  int    // connections that took it
	Parts []Part // of the publication's app, and then of those that it crossed a bridge to

	// Nodes is how many processes this is of, and Err why the publication, or what it is
	// beyond a bridge, did not reach them all, as [Handed] has both.
	Nodes int
	Err   error
	// Uncounted says that nobody knows who took it: the broker tells of processes alone, or not all of
	// them have said what became of it.
	Uncounted bool
	// Each is what became of it in each process that has said so; nil in one alone.
	Each []NodeTally

	// Causes say why nobody was in the room; nil if somebody was.
	Causes []Cause
	// Left are those who left the room lately, newest first, as far as that is
	// remembered.
	Left []Departure
}

// A NodeTally is what became of a publication in one process of several.
type NodeTally struct {
	Node    string // the name of the process
	Matched int    // in the room there
	Took    int    // and took it
}

// Matched is how many subscribers were in the room, in all apps.
func (e *Explanation) Matched() int {
	n := 0
	for _, p := range e.Parts {
		n += p.Elsewhere
		for _, t := range p.Tallies {
			n += t.Matched
		}
	}
	return n
}

// Handed is what [Hub.Send] would have told of the publication.
func (e *Explanation) Handed() Handed {
	took := e.Took
	if e.Uncounted {
		took = -1
	}
	return Handed{Took: took, Nodes: e.Nodes, Err: e.Err}
}

// A Part is what became of a publication in one app.
type Part struct {
	App       string
	Tallies   []Tally // one for each kind of connection that was in the room
	Elsewhere int     // connections that a [Broker] knows of, which tells no more
}

// A Tally is what became of a publication among the subscribers of one kind.
type Tally struct {
	Kind    string // as [Describer] says it; empty for receivers that are none
	Matched int    // in the room
	Handed  int    // and took it
	Waiting int    // of those, whose client has yet to ask for it
	LeftOut map[Cause]int
}

// A Describer is a [Receiver] that says more of itself to who asks for an explanation.
// What is said of Deliver holds for its methods.
type Describer interface {
	// Describe says what kind of connection it is, of a few, and whether what it took
	// last waits until its client asks for it.
	Describe() (kind string, waits bool)
	// Ending says why it takes nothing any more, empty while it does, and whether that
	// is because too much waited for its client.
	Ending() (why string, slow bool)
}

// Explain is [Hub.Publish] for who wants to know what became of the publication. It
// takes longer, in the room too, and allocates. What comes later it cannot know: who
// took the publication may still be closed before its client has it.
//
// In a hub that is [Hub.Across] it waits for the other processes, for as long as the [Broker]
// lets it: then it is for goroutines that may block.
func (h *Hub) Explain(p *Publication) *Explanation {
	if h.broker != nil {
		return h.explainAcross(p)
	}
	s := h.shardFor(p)
	s.published.Add(1)
	e := &Explanation{Nodes: 1}
	e.take(h.explain(s, p, Position{}))
	bridged := map[string]bool{p.App: true}
	if bridges := h.bridges.Load(); bridges != nil && !p.Everyone {
		for i := range *bridges {
			if b := &(*bridges)[i]; b.from == p.App {
				bridged[b.to] = true
				h.explainBridge(b, p, e)
			}
		}
	}
	h.explainNobody(p, bridged, e)
	return e
}

// explainNobody says why nobody was in p's room, if that is so.
func (h *Hub) explainNobody(p *Publication, bridged map[string]bool, e *Explanation) {
	e.Left = h.leftLately(p)
	if e.Matched() == 0 {
		e.Causes = h.causes(p, bridged, len(e.Left) > 0)
	}
}

func (e *Explanation) take(p Part, took int) {
	e.Took += took
	e.Parts = append(e.Parts, p)
}

// explain is [Hub.deliverAt] with an account of it; at no position the log gives p one.
func (h *Hub) explain(s *shard, p *Publication, at Position) (part Part, took int) {
	part.App = p.App
	var f frames
	var c *crowd // with a Union
	if p.Narrowed {
		c = h.crowd(p)
	} else if r := s.find(p.App, p.Room, p.Everyone); r != nil {
		f.encode(r, p)
	}
	deliver := func(at Position) {
		var refused int
		if c != nil {
			c.find(h)
			c.place(at)
			part.Tallies, took, refused = c.explain()
		} else if r := s.find(p.App, p.Room, p.Everyone); r != nil {
			f.place(at)
			part.Tallies, took, refused = r.explain(&f, p)
		}
		s.count(took, refused)
	}
	if p.Passing || !h.Keeps(p.App) || h.broker != nil && at.IsZero() {
		deliver(Position{})
	} else {
		h.enterLog(p, at, deliver)
	}
	return part, took
}

// explainBridge is [Hub.cross] for one bridge. Those whom it does not lead to are left
// out for the name.
func (h *Hub) explainBridge(b *bridge, p *Publication, e *Explanation) {
	s := h.shard(b.to, p.Room)
	r := s.find(b.to, p.Room, false)
	if r == nil && !h.Keeps(b.to) {
		return
	}
	there := *p
	there.App = b.to
	if b.carry(&there) {
		e.take(h.explain(s, &there, Position{}))
	} else if r != nil {
		e.take(Part{App: b.to, Tallies: r.without(RefusedName)}, 0)
	}
}

// tallies counts by kind.
type tallies []Tally

// kind returns the tally of a receiver's kind, in which the receiver is counted.
func (list *tallies) kind(name string) *Tally {
	for i := range *list {
		if t := &(*list)[i]; t.Kind == name {
			t.Matched++
			return t
		}
	}
	*list = append(*list, Tally{Kind: name, Matched: 1})
	return &(*list)[len(*list)-1]
}

// handed counts a receiver that took the publication.
func (list *tallies) handed(recv Receiver) {
	kind, waits := describe(recv)
	t := list.kind(kind)
	t.Handed++
	if waits {
		t.Waiting++
	}
}

// leaveOut counts a receiver that did not get it.
func (list *tallies) leaveOut(recv Receiver, why Cause) {
	kind, _ := describe(recv)
	t := list.kind(kind)
	if t.LeftOut == nil {
		t.LeftOut = make(map[Cause]int)
	}
	t.LeftOut[why]++
}

func describe(recv Receiver) (kind string, waits bool) {
	if d, ok := recv.(Describer); ok {
		return d.Describe()
	}
	return "", false
}

// ending is why a receiver takes nothing any more, as far as it says so.
func ending(recv Receiver) (why string, slow bool) {
	if d, ok := recv.(Describer); ok {
		return d.Ending()
	}
	return "", false
}

// whyNot is why a receiver did not take a frame.
func whyNot(recv Receiver) Cause {
	if _, slow := ending(recv); slow {
		return TooSlow
	}
	return Closed
}

// explain is push with an account of it.
func (r *room) explain(f *frames, p *Publication) (list tallies, took, refused int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := r.first.Load(); g != nil; g = g.next.Load() {
		frame := f.get(g, p)
		for _, st := range g.seats {
			switch {
			case frame == nil && g.encoder != nil:
				list.leaveOut(st.receiver, RefusedName)
			case p.Except != "" && st.seat.sub.id == p.Except:
				list.leaveOut(st.receiver, Excluded)
			case st.receiver.Deliver(frame):
				took++
				list.handed(st.receiver)
			default:
				refused++
				list.leaveOut(st.receiver, whyNot(st.receiver))
			}
		}
	}
	return list, took, refused
}

// without has everybody in the room left out for one cause.
func (r *room) without(why Cause) (list tallies) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := r.first.Load(); g != nil; g = g.next.Load() {
		for _, st := range g.seats {
			list.leaveOut(st.receiver, why)
		}
	}
	return list
}

// causes say why nobody is in p's room, nor where bridges lead to.
func (h *Hub) causes(p *Publication, bridged map[string]bool, left bool) (why []Cause) {
	if left {
		why = append(why, Closed)
	}
	if !p.Everyone && h.inOtherApp(p.Room, bridged) {
		why = append(why, OtherApp)
	}
	switch {
	case len(why) > 0:
		return why
	case p.Everyone && !p.Narrowed || h.Len(p.App) == 0:
		return []Cause{NobodyThere}
	}
	return []Cause{NoSuchRoom}
}

// inOtherApp reports whether somebody is in a room of that name in an app that is none
// of these.
func (h *Hub) inOtherApp(room string, bridged map[string]bool) bool {
	for i := range h.shards {
		for _, app := range h.shards[i].apps() {
			if n, _ := h.Count(app, room); n > 0 && !bridged[app] {
				return true
			}
		}
	}
	return false
}

// apps lists the apps whose room of all subscribers is here.
func (s *shard) apps() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]string, 0, len(s.everyone))
	for app := range s.everyone {
		list = append(list, app)
	}
	return list
}
