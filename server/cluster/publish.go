package cluster

import (
	"time"
	"unsafe"

	"poosh/server/guard"
	"poosh/server/hub"
)

// Publish is for the hub, see [hub.Broker]: the engine is handed p, and what comes back from it
// is delivered. done hears of it within twice the time that one command may take, on any
// goroutine; its count of nodes is -1 where the engine had to be asked twice.
func (c *Cluster) Publish(p *hub.Publication, done func(hub.Handed)) {
	part := c.partition(p.App, p.Room, p.Everyone)
	i := part.item(p)
	i.done = done
	err := part.enqueue(i)
	if err == nil {
		return
	}
	h := hub.Handed{Took: -1, Err: err}
	if took, ok := part.publishHere(p, err); ok {
		h = hub.Handed{Took: took, Nodes: 1}
	}
	c.count.settled(h.Err)
	if done != nil {
		done(h)
	}
}

// item is a publication of the partition, to be written.
func (p *partition) item(pub *hub.Publication) *item {
	e := envelope{Publication: *pub}
	i := &item{channel: p.channelOf(&e), envelope: p.c.seal(&e), since: time.Now()}
	if !pub.Everyone && !pub.Passing {
		i.cached = pub.Cached
	}
	if !pub.Everyone {
		if name := p.c.home(pub.App, pub.Room); name != "" {
			i.home = p.tag.node(name)
		}
	}
	return i
}

// seal writes an envelope.
func (c *Cluster) seal(e *envelope) string {
	e.node, e.made = c.name, uint64(time.Now().UnixNano())
	b := e.appendTo(make([]byte, 0, e.bound()))
	return unsafe.String(unsafe.SliceData(b), len(b)) // which nobody changes
}

// alone reports whether what the engine cannot be given is for this process's own clients. What
// is in one order with positions cannot be.
func (p *partition) alone(app string) bool {
	return p.c.cfg.WhenDown == Local && p.index < partitions && !p.c.together(app)
}

// publishHere delivers to this process alone what the engine was too far away for, behind what waited
// for it. The lock has it end before anything of the engine's begins.
func (p *partition) publishHere(pub *hub.Publication, why error) (took int, ok bool) {
	if why != hub.ErrAway || !p.alone(pub.App) {
		return 0, false
	}
	p.mu.Lock()
	if p.over || !p.isAway() || !p.inbox.idle() {
		p.mu.Unlock()
		return 0, false
	}
	here := p.deliverHere(p.takeQueue())
	took = p.deliverAlone(pub)
	p.mu.Unlock()
	p.settleHere(here)
	return took, true
}

// A local is what became of items that waited for an engine that is away.
type local struct {
	done []*item // delivered to this process alone
	took []int   // by so many
	rest []*item // not to be delivered without the engine
}

// deliverHere does what publishHere does with items that waited. mu is held, and there is no link.
func (p *partition) deliverHere(list []*item) (l local) {
	if !p.inbox.idle() {
		return local{rest: list} // those of the engine that came before are first, on another goroutine
	}
	for _, i := range list {
		e, err := openEnvelope(i.envelope)
		if err != nil || !p.alone(e.App) {
			l.rest = append(l.rest, i)
			continue
		}
		l.done, l.took = append(l.done, i), append(l.took, p.deliverAlone(&e.Publication))
	}
	return l
}

// deliverAlone delivers one; -1 took it if that panicked. mu is held.
func (p *partition) deliverAlone(pub *hub.Publication) (took int) {
	p.c.count.local.Add(1)
	took = -1
	guard.Call(p.c.log, "a publication is handed out without the engine", func() { took = p.c.opt.Deliver(pub, hub.Position{}) }, "partition", p.index)
	return took
}

// settleHere answers who sent them.
func (p *partition) settleHere(l local) {
	for n, i := range l.done {
		p.settle(i, hub.Handed{Took: l.took[n], Nodes: 1})
	}
	p.refuse(l.rest, hub.ErrAway)
}
