package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/server/cluster/resp"
	"poosh/server/guard"
	"poosh/server/hub"
)

// What one turn of a writer has in it, at the most.
const (
	batchItems = 128
	batchBytes = 1 << 20
)

// An item is a publication that waits to be written.
type item struct {
	channel  string
	home     string // a channel of one node that gets it too; "" for none
	envelope string
	cached   string // seconds for which the engine keeps it as the last of its room, and that; "" for not
	since    time.Time
	done     func(hub.Handed) // nil for nobody
}

// size is what an item counts for.
func (i *item) size() int64 {
	return int64(len(i.envelope) + len(i.channel) + len(i.home) + len(i.cached) + 128)
}

// A batch is items that are written in one command.
type batch struct {
	items    []*item
	first    uint64    // sequence number of the first
	epoch    uint64    // of the log that it was written to first; 0 while it was not
	since    time.Time // when it was
	link     uint64    // and to which link
	underWay bool      // the writer has it; guarded by partition.mu
}

// enqueue takes a publication over, or says why not.
func (p *partition) enqueue(i *item) error {
	if p.c.waiting.Add(i.size()) > int64(p.c.cfg.QueueBytes) {
		p.c.waiting.Add(-i.size())
		return hub.ErrFull
	}
	p.mu.Lock()
	if p.over || p.isAway() {
		p.mu.Unlock()
		p.c.waiting.Add(-i.size())
		return hub.ErrAway
	}
	p.queue = append(p.queue, i)
	p.mu.Unlock()
	p.worked()
	return nil
}

// takeQueue takes all that waits. mu is held.
func (p *partition) takeQueue() []*item {
	list := p.queue
	p.queue = nil
	return list
}

// flushed reports that nothing waits or is under way.
func (p *partition) flushed() bool {
	p.mu.Lock()
	waits := len(p.queue) > 0 || p.doubt != nil
	p.mu.Unlock()
	return !waits && p.desk.flushed()
}

// refuse answers items that were not published, or may not have been.
func (p *partition) refuse(list []*item, why error) {
	for _, i := range list {
		p.settle(i, hub.Handed{Took: -1, Err: why})
	}
}

// settle answers one item, once.
func (p *partition) settle(i *item, h hub.Handed) {
	p.c.waiting.Add(-i.size())
	p.c.count.settled(h.Err)
	if i.done != nil {
		guard.Call(p.c.log, "a sender is answered", func() { i.done(h) }, "partition", p.index)
	}
}

// A writing is a batch on its way.
type writing struct {
	p *partition
	b *batch
	l *link
}

// A written is what became of one: how many nodes were handed each item, -1 where that was told before
// and not heard.
type written struct {
	handed []int
	epoch  uint64
	err    error
}

// nextOf takes a batch of each partition that has one, up to what one turn may have; who is left
// comes first in a later one.
func nextOf(parts []*partition, first int) (list []writing) {
	items, bytes := 0, int64(0)
	for i := range parts {
		w := parts[(first+i)%len(parts)].next(batchItems-items, batchBytes-bytes)
		if w.b == nil {
			continue
		}
		list = append(list, w)
		for _, it := range w.b.items {
			items, bytes = items+1, bytes+it.size()
		}
		if items >= batchItems || bytes >= batchBytes {
			break
		}
	}
	return list
}

// next takes a batch and the link that there is, if there are both. What is in doubt comes first.
func (p *partition) next(items int, bytes int64) writing {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mayWrite() {
		return writing{}
	}
	b := p.doubt
	if b == nil {
		b = p.batch(items, bytes)
		p.doubt = b
	}
	b.underWay = true
	return writing{p, b, p.link}
}

// mayWrite reports that there is something to be written, and a link. mu is held.
func (p *partition) mayWrite() bool {
	if p.over || p.link == nil || p.doubt == nil && len(p.queue) == 0 {
		return false
	}
	select {
	case <-p.link.failed: // another one will come
		return false
	default:
		return true
	}
}

// batch takes items from the front of the queue. mu is held.
func (p *partition) batch(most int, mostBytes int64) *batch {
	n, bytes := 0, int64(0)
	for n < len(p.queue) && n < most && (n == 0 || bytes+p.queue[n].size() <= mostBytes) {
		bytes += p.queue[n].size()
		n++
	}
	b := &batch{items: p.queue[:n:n], first: p.seq + 1}
	p.queue = p.queue[n:]
	p.seq += uint64(n)
	return b
}

// begin notes that a batch is about to be written, or ends it.
func (w writing) begin() bool {
	b, l := w.b, w.l
	switch {
	case b.epoch == 0:
		b.epoch, b.since, b.link = l.epoch, time.Now(), l.generation
	case b.epoch != l.epoch, time.Since(b.since) > w.p.c.cfg.Timeout:
		w.p.finish(b)
		w.p.refuse(b.items, hub.ErrUncertain)
		return false
	}
	return true
}

// goesWith reports whether two batches may be written at once. One that is written once more has
// less time than others.
func (w writing) goesWith(first writing) bool {
	return w.l.line == first.l.line && w.b.link == w.l.generation && first.b.link == first.l.generation
}

// end settles a batch that has an answer.
func (w writing) end(done written) {
	p, b, l := w.p, w.b, w.l
	if refused(done.err) {
		why := hub.ErrAway
		if b.link != l.generation {
			why = hub.ErrUncertain // the first time it may have been taken
		}
		if !p.refused {
			p.refused = true
			p.c.log.Error("the engine takes no publications", "partition", p.index, "err", done.err)
		}
		p.finish(b)
		p.refuse(b.items, why)
		return
	}
	if done.err != nil {
		l.fail(fmt.Errorf("publish: %w", done.err))
		p.mu.Lock()
		b.underWay = false
		over := p.over
		p.mu.Unlock()
		if over {
			p.finish(b)
			p.refuse(b.items, hub.ErrUncertain)
		}
		return
	}
	l.epoch, p.refused = done.epoch, false
	p.finish(b)
	for i, it := range b.items {
		p.settle(it, hub.Handed{Took: -1, Nodes: done.handed[i]})
	}
}

// refused reports that an error is the engine's no to what it was told, such as for want of memory,
// and nothing was done: another connection would hear the same.
func refused(err error) bool {
	var no *resp.ServerError
	if !errors.As(err, &no) {
		return false
	}
	word, _, _ := strings.Cut(no.Error(), " ")
	return !slices.Contains([]string{"READONLY", "MOVED", "ASK", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "TRYAGAIN", "BUSY"}, word)
}

// finish ends the doubt about a batch.
func (p *partition) finish(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doubt == b {
		p.doubt = nil
	}
}

var errNotAnswer = errors.New("not an answer")

// itemArgs are what the scripts are to know of items.
func itemArgs(list []string, items []*item) []string {
	for _, i := range items {
		list = append(list, i.channel, i.envelope, i.cached, i.home)
	}
	return list
}

// publishArgs adds what publish.lua wants to know, and keep.lua in front of it.
func (p *partition) publishArgs(args []string, name string, first uint64, items []*item) []string {
	args = append(args, name, strconv.FormatUint(first, 10), p.c.backlog())
	return itemArgs(append(args, p.keepArgs()...), items)
}

// written reads what a script said of the batch.
func (b *batch) written(m resp.Value, err error) (w written) {
	if err != nil {
		return written{err: err}
	}
	answer, err := m.ToArray()
	if err != nil {
		return written{err: errors.Join(errNotAnswer, err)}
	}
	w.handed, w.epoch, w.err = parsePublished(answer, len(b.items))
	return w
}

// parsePublished reads what publish.lua answers.
func parsePublished(answer []resp.Value, items int) (handed []int, epoch uint64, err error) {
	if len(answer) != 2 {
		return nil, 0, errNotAnswer
	}
	text, err := answer[0].ToString()
	epoch, ok := parseNumber(text)
	counts, wrong := answer[1].AsIntSlice()
	if err != nil || wrong != nil || !ok || len(counts) != items {
		return nil, 0, errNotAnswer
	}
	handed = make([]int, len(counts))
	for i, n := range counts {
		handed[i] = int(n)
	}
	return handed, epoch, nil
}
