package cluster

import (
	"time"
	"unsafe"

	"poosh/server/hub"
)

// Publish is for the hub, see [hub.Broker]: the engine is handed p, and what comes back from it
// is delivered. done hears of it within twice the time that one command may take, on any
// goroutine; its count of nodes is -1 where the engine had to be asked twice.
func (c *Cluster) Publish(p *hub.Publication, done func(hub.Handed)) {
	part := c.partition(p.App, p.Room, p.Everyone)
	e := envelope{Publication: *p}
	i := &item{channel: part.channelOf(&e), envelope: c.seal(&e), since: time.Now(), done: done}
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

// seal writes an envelope.
func (c *Cluster) seal(e *envelope) string {
	e.node, e.made = c.name, uint64(time.Now().UnixNano())
	b := e.appendTo(make([]byte, 0, e.bound()))
	return unsafe.String(unsafe.SliceData(b), len(b)) // which nobody changes
}

// alone reports whether what the engine cannot be given is for this process's own clients. What
// is in one order with positions cannot be.
func (p *partition) alone(app string) bool {
	return p.c.cfg.WhenDown == Local && p.index < partitions && (p.c.opt.Together == nil || !p.c.opt.Together(app))
}

// publishHere delivers to this process alone what the engine was too far away for. The lock has it
// end before anything of the engine's begins.
func (p *partition) publishHere(pub *hub.Publication, why error) (took int, ok bool) {
	if why != hub.ErrAway || !p.alone(pub.App) {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || !p.isAway() {
		return 0, false
	}
	p.c.count.local.Add(1)
	return p.c.opt.Deliver(pub, hub.Position{}), true
}

// deliverHere does so with items that waited for the engine. It returns those that it was done
// with, and what became of them, and those that it may not be done with. mu is held.
func (p *partition) deliverHere(list []*item) (done []*item, took []int, rest []*item) {
	for _, i := range list {
		e, err := openEnvelope(i.envelope)
		if err != nil || !p.alone(e.App) {
			rest = append(rest, i)
			continue
		}
		p.c.count.local.Add(1)
		done, took = append(done, i), append(took, p.c.opt.Deliver(&e.Publication, hub.Position{}))
	}
	return done, took, rest
}
