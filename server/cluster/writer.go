package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"poosh/server/guard"
	"poosh/server/hub"
)

// What one command of the writer has in it, at the most.
const (
	batchItems = 128
	batchBytes = 1 << 20
)

// An item is a publication that waits to be written.
type item struct {
	channel  string
	home     string // a channel of one node that gets it too; "" for none
	envelope string
	cached   uint32 // seconds for which the engine keeps it as the last of its room; 0 for not
	since    time.Time
	done     func(hub.Handed) // nil for nobody
}

// size is what an item counts for.
func (i *item) size() int64 { return int64(len(i.envelope) + len(i.channel) + len(i.home) + 128) }

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
	p.work.Signal()
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

// write writes what waits, a batch at a time: a second one would not be known to arrive behind
// the first. It ends with the partition.
func (p *partition) write() {
	for {
		b, l := p.next()
		if b == nil {
			return
		}
		p.send(b, l)
	}
}

// next waits for a batch and a link; nil at the end. What is in doubt comes first.
func (p *partition) next() (*batch, *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.over {
		if p.link != nil && (p.doubt != nil || len(p.queue) > 0) {
			select {
			case <-p.link.failed: // another one will come
			default:
				b := p.doubt
				if b == nil {
					b = p.batch()
					p.doubt = b
				}
				b.underWay = true
				return b, p.link
			}
		}
		p.work.Wait()
	}
	return nil, nil
}

// batch takes items from the front of the queue. mu is held.
func (p *partition) batch() *batch {
	n, bytes := 0, int64(0)
	for n < len(p.queue) && n < batchItems && (n == 0 || bytes+p.queue[n].size() <= batchBytes) {
		bytes += p.queue[n].size()
		n++
	}
	b := &batch{items: p.queue[:n:n], first: p.seq + 1}
	p.queue = p.queue[n:]
	p.seq += uint64(n)
	return b
}

// send writes a batch, and settles it if there is an answer. Without one it stays in doubt, to
// be written once more to the next link: a number that was published before is not published
// again. That holds as long as the engine remembers, so not in another log.
func (p *partition) send(b *batch, l *link) {
	switch {
	case b.epoch == 0:
		b.epoch, b.since, b.link = l.epoch, time.Now(), l.generation
	case b.epoch != l.epoch, time.Since(b.since) > p.c.cfg.Timeout:
		p.finish(b)
		p.refuse(b.items, hub.ErrUncertain)
		return
	}
	ctx, cancel := context.WithDeadline(p.c.over, b.since.Add(p.c.cfg.Timeout))
	handed, epoch, err := p.publish(ctx, b, l)
	cancel()
	if refused(err) {
		why := hub.ErrAway
		if b.link != l.generation {
			why = hub.ErrUncertain // the first time it may have been taken
		}
		if !p.refused {
			p.refused = true
			p.c.log.Error("the engine takes no publications", "partition", p.index, "err", err)
		}
		p.finish(b)
		p.refuse(b.items, why)
		return
	}
	if err != nil {
		l.fail(fmt.Errorf("publish: %w", err))
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
	l.epoch, p.refused = epoch, false
	p.finish(b)
	for i, it := range b.items {
		p.settle(it, hub.Handed{Took: -1, Nodes: handed[i]})
	}
}

// refused reports that an error is the engine's no to what it was told, such as for want of memory,
// and nothing was done: another connection would hear the same.
func refused(err error) bool {
	var no *rueidis.RedisError // maybe within others, where rueidis.IsRedisErr does not look
	if !errors.As(err, &no) || no.IsNil() {
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

// publish writes a batch, and returns how many nodes were handed each, -1 where that was told
// before and not heard.
func (p *partition) publish(ctx context.Context, b *batch, l *link) (handed []int, epoch uint64, err error) {
	args := p.publishArgs(l.args(), p.c.name, b.first, b.items)
	answer, err := publishScript.on(ctx, l.conn, []string{p.tag.state()}, args).ToArray()
	if err != nil {
		return nil, 0, err
	}
	return parsePublished(answer, len(b.items))
}

// publishArgs adds what publish.lua wants to know.
func (p *partition) publishArgs(args []string, name string, first uint64, items []*item) []string {
	args = append(args, name, strconv.FormatUint(first, 10), strconv.Itoa(max(p.c.cfg.Backlog, 0)))
	for _, i := range items {
		args = append(args, i.channel, i.envelope, strconv.FormatUint(uint64(i.cached), 10), i.home)
	}
	return args
}

// parsePublished reads what publish.lua answers.
func parsePublished(answer []rueidis.RedisMessage, items int) (handed []int, epoch uint64, err error) {
	if len(answer) != 2 {
		return nil, 0, errors.New("not an answer")
	}
	text, err := answer[0].ToString()
	epoch, ok := parseNumber(text)
	counts, wrong := answer[1].AsIntSlice()
	if err != nil || wrong != nil || !ok || len(counts) != items {
		return nil, 0, errors.New("not an answer")
	}
	handed = make([]int, len(counts))
	for i, n := range counts {
		handed[i] = int(n)
	}
	return handed, epoch, nil
}
