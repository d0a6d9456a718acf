package cluster

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/guard"
	"poosh/server/hub"
)

// An inbox is what came and is not handled yet, in order. Its bytes are counted by who puts
// them there; who handles them counts them off.
type inbox struct {
	total *atomic.Int64
	spare []string // a list of before to be used again by who grabs; only that one uses it

	mu    sync.Mutex // guards what follows
	ready *sync.Cond // of mu
	list  []string
	busy  bool // some are being handled
	over  bool

	came, handled uint64 // texts, since the start
	under         int    // that are being handled
}

// spareTexts is how long a list may be that is kept to be used again.
const spareTexts = 4096

// weight is what a text counts for, among those that came and are not handled yet. An answer to the
// desk counts for nothing: it asks for one at a time, and would ask again for one that is too much.
func weight(text string) int64 {
	if text != "" && text[0] == letterDesk {
		return 0
	}
	return int64(len(text))
}

// put adds a text, which is handled once the caller has called tell, or handleNow of the partition.
func (b *inbox) put(text string) {
	b.mu.Lock()
	b.list = append(b.list, text)
	b.came++
	b.mu.Unlock()
}

// tell has what was put handled by the partition's goroutine.
func (b *inbox) tell() { b.ready.Signal() }

// tellSome is tell if there is something that nobody handles yet, and reports that.
func (b *inbox) tellSome() bool {
	b.mu.Lock()
	some := len(b.list) > 0 && !b.busy
	b.mu.Unlock()
	if some {
		b.tell()
	}
	return some
}

// take waits for something, and returns all there is; spare is a list of before to be used
// again. It returns false at the end. Behind it giveBack is to be called.
func (b *inbox) take(spare []string) ([]string, bool) {
	clear(spare)
	b.mu.Lock()
	defer b.mu.Unlock()
	for (len(b.list) == 0 || b.busy) && !b.over {
		b.ready.Wait()
	}
	return b.hand(spare), !b.over
}

// hand hands all there is to who handles it. mu is held.
func (b *inbox) hand(spare []string) []string {
	list := b.list
	b.list, b.busy, b.under = spare[:0], true, len(list)
	return list
}

// giveBack says that what was taken is handled but for the rest, and reports whether the partition's goroutine was
// told of what there is to be handled then.
func (b *inbox) giveBack(rest []string) (told bool) {
	b.mu.Lock()
	b.busy = false
	b.handled, b.under = b.handled+uint64(b.under-len(rest)), 0
	if len(rest) > 0 {
		b.list = append(slices.Clone(rest), b.list...)
	}
	told = len(b.list) > 0
	b.mu.Unlock()
	if told {
		b.ready.Signal()
	}
	return told
}

// What the reader of the loop handles itself of what it has read from the engine. What is more is left to the partition's
// goroutine, so that a flood holds up no client and is read on: the engine ends a connection that is not.
const (
	grabTexts = 64
	grabBytes = 128 << 10
	// grabTime is when it leaves the rest too: some rooms are large.
	grabTime = time.Millisecond
	// crowd is how many clients of this node are too many for it to hand something to, from one such publication on until
	// there was none for crowdTime: handed out by another goroutine, what comes meanwhile for the same clients
	// leaves together, in a fraction of the writes.
	crowd     = 64
	crowdTime = 100 * time.Millisecond
)

// grab takes all there is for the caller to handle at once, if that is publications, few, and nobody handles
// any just now; behind it giveBack is to be called. Otherwise it reports whether the partition's goroutine was told.
func (b *inbox) grab() (list []string, told bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) == 0 || b.busy || b.over {
		return nil, false // who handles looks again
	}
	if len(b.list) > grabTexts || !b.isPlain() {
		b.ready.Signal()
		return nil, true
	}
	list = b.hand(b.spare)
	b.spare = nil
	return list, false
}

// isPlain reports that all there is are publications, and not much of them. mu is held.
func (b *inbox) isPlain() bool {
	bytes := 0
	for _, text := range b.list {
		if bytes += len(text); bytes > grabBytes || !isPublished(text) {
			return false
		}
	}
	return true
}

// handleNow handles what has come on the goroutine that read it, see [inbox.grab], and reports whether the
// partition's was told instead.
func (p *partition) handleNow() (told bool) {
	// What nodes ask may take a moment.
	if p.index == partitions || time.Now().UnixNano()-p.crowded.Load() < int64(crowdTime) {
		return p.inbox.tellSome()
	}
	list, told := p.inbox.grab()
	if list == nil {
		return told
	}
	began, n := time.Now(), 0
	for n < len(list) && (n == 0 || time.Since(began) < grabTime) {
		p.handleText(list[n])
		n++
	}
	p.c.count.atOnce.Add(uint64(n))
	told = p.inbox.giveBack(list[n:])
	clear(list)
	if cap(list) <= spareTexts { // or it is of a flood
		p.inbox.spare = list[:0]
	}
	return told
}

// idle reports that everything is handled.
func (b *inbox) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.list) == 0 && !b.busy
}

// last is how many texts have come.
func (b *inbox) last() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.came
}

// behind reports that so many are handled, or never will be.
func (b *inbox) behind(n uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over || b.handled >= n
}

func (b *inbox) close() {
	b.mu.Lock()
	b.over = true
	b.mu.Unlock()
	b.ready.Signal()
}

// handle handles what comes, in order, where the reader did not. It ends with the partition.
func (p *partition) handle() {
	var list []string
	for ok := true; ; {
		if list, ok = p.inbox.take(list); !ok {
			return
		}
		for _, text := range list {
			p.handleText(text)
		}
		p.inbox.giveBack(nil)
		if cap(list) > spareTexts {
			list = nil // after a flood
		}
	}
}

func (p *partition) handleText(text string) {
	guard.Call(p.c.log, "handling what another node published", func() { p.one(text) }, "partition", p.index)
	p.c.arriving.Add(-weight(text))
}

// one handles a frame or a fence.
func (p *partition) one(text string) {
	if f, ok := parseFence(text); ok {
		p.fence(f)
		return
	}
	if p.desk != nil && text != "" && (text[0] == letterDesk || text[0] == letterFailed) {
		p.desk.one(text)
		return
	}
	if p.heldText(text) {
		return
	}
	f, ok := parseFrame(text)
	if !ok {
		p.drop(errMalformed)
		return
	}
	if !p.advance(f) {
		p.c.count.again.Add(1)
		return
	}
	if n, ok := parseNews(f.envelope); ok && p.desk != nil {
		p.desk.news(&n, hub.Position{Epoch: f.epoch, Number: f.number})
		return
	}
	e, err := openEnvelope(f.envelope)
	if err != nil {
		p.drop(err)
		return
	}
	p.c.count.received.Add(1)
	p.c.count.late(e.made)
	if p.index == partitions {
		p.c.heard(&e)
		return
	}
	at := hub.Position{Epoch: f.epoch, Number: f.number}
	if e.id != "" && p.c.opt.Explain != nil {
		p.c.explained(&e, at)
		return
	}
	if p.c.opt.Deliver(&e.Publication, at) >= crowd {
		p.crowded.Store(time.Now().UnixNano())
	}
}

// advance notes a frame's place, and reports false for what was there before.
func (p *partition) advance(f frame) bool {
	p.place.Lock()
	defer p.place.Unlock()
	if f.epoch == p.at.Epoch && f.number <= p.at.Number {
		return false
	}
	// Another epoch on a link that did not end: the engine has forgotten everything, and
	// nothing was missed.
	p.at = hub.Position{Epoch: f.epoch, Number: f.number}
	return true
}

// fence notes where the log is, and answers who asked.
func (p *partition) fence(f fence) {
	p.place.Lock()
	if f.epoch != p.at.Epoch || f.number > p.at.Number {
		p.at = hub.Position{Epoch: f.epoch, Number: f.number}
	}
	p.place.Unlock()
	p.heardOf(f.before, f.reached)
	p.desk.heardOf(f.epoch)
	p.reached(f)
	p.answerEntries(f.request, hub.Position{Epoch: f.epoch, Number: f.number})
}

// reached tells how far the logs of apps were handed out that are in this partition as a whole.
func (p *partition) reached(f fence) {
	if p.c.opt.Reached == nil {
		return
	}
	for _, app := range p.c.togetherIn(p) {
		p.c.opt.Reached(app, hub.Position{Epoch: f.epoch, Number: f.number})
	}
}

// drop counts what cannot be read, and says so once.
func (p *partition) drop(err error) {
	by := &p.c.count.malformed
	if errors.Is(err, errVersion) {
		by = &p.c.count.unknown
	}
	if by.Add(1) == 1 {
		p.c.log.Warn("dropped what came from the engine, and will drop what is like it without saying so", "why", err, "partition", p.index)
	}
}

// late notes how long an envelope was on its way, as far as clocks agree.
func (c *counts) late(made uint64) {
	if d := time.Now().UnixNano() - int64(made); d > 0 {
		c.lag.Store(d)
	}
}
