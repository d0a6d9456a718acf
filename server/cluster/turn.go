package cluster

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"poosh/server/guard"
	"poosh/server/loop"
)

// A writer writes what waits in partitions that share a connection, of each a batch at a time: a second one
// would not be known to arrive behind the first. All of that is one turn, and meanwhile
// more gathers, so that much costs the engine less than often.
//
// A turn is begun by a reader of the loop behind all that it read in its round, and it goes on as its answer is read. Where
// no reader is on its round, the writer's own goroutine begins it.
type writer struct {
	c     *Cluster
	parts []*partition
	turn  loop.Turn     // begins one
	work  chan struct{} // has the goroutine begin one

	mu    sync.Mutex // guards what follows
	busy  bool       // a turn is under way
	first int        // of parts, that comes first in the next one
	late  time.Time  // by then it is to have its answer; zero for none that waits for one
	wire  *wire      // that it waits for
}

// startWriting starts who writes: one for all partitions that share a line.
func (c *Cluster) startWriting() {
	if c.isShared() {
		c.startWriter(c.parts)
		return
	}
	for _, p := range c.parts {
		c.startWriter([]*partition{p})
	}
}

func (c *Cluster) startWriter(parts []*partition) {
	w := &writer{c: c, parts: parts, work: make(chan struct{}, 1)}
	w.turn.Run = w.write
	for _, p := range parts {
		p.writer.Store(w)
	}
	c.writers = append(c.writers, w)
	c.running.Go(w.run)
}

// run begins turns that no reader begins. It ends with the cluster.
func (w *writer) run() {
	for {
		select {
		case <-w.c.over.Done():
			return
		case <-w.work:
		}
		w.write()
	}
}

// worked has who writes look at what there is. It may be called with any lock held but those of partitions.
func (p *partition) worked() {
	if w := p.writer.Load(); w != nil {
		w.look()
	}
}

// look sees to it that a turn begins. One that is under way looks by itself at its end.
func (w *writer) look() {
	w.mu.Lock()
	busy := w.busy
	w.mu.Unlock()
	if busy || w.c.loop.AtEnd(&w.turn) {
		return
	}
	select {
	case w.work <- struct{}{}:
	default: // it will
	}
}

// write begins a turn, unless one is under way or there is nothing to write.
func (w *writer) write() {
	w.mu.Lock()
	if w.busy {
		w.mu.Unlock()
		return
	}
	w.busy = true
	first := w.first
	w.first = (first + 1) % len(w.parts)
	w.mu.Unlock()
	if list := nextOf(w.parts, first); len(list) > 0 {
		w.begin(list)
		return
	}
	w.mu.Lock()
	w.busy = false
	w.mu.Unlock()
	// What came since it was looked for has found a turn under way.
	if slices.ContainsFunc(w.parts, (*partition).hasWork) {
		w.look()
	}
}

// isIdle reports that no turn is under way.
func (w *writer) isIdle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.busy
}

// hasWork reports that a batch could be taken.
func (p *partition) hasWork() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mayWrite()
}

// begin writes batches, and settles those that have an answer. One without stays in doubt, to
// be written once more to the next link: a number that was published before is not published
// again. That holds as long as the engine remembers, so not in another log.
func (w *writer) begin(list []writing) {
	w.next(slices.DeleteFunc(list, func(b writing) bool { return !b.begin() }))
}

// next writes those of list that may go together, and has the others follow.
func (w *writer) next(list []writing) {
	if len(list) == 0 {
		w.mu.Lock()
		w.busy = false
		w.mu.Unlock()
		w.look()
		return
	}
	n := 1
	for n < len(list) && list[n].goesWith(list[0]) {
		n++
	}
	these, others := list[:n], list[n:]
	w.mu.Lock()
	w.late, w.wire = these[0].b.since.Add(w.c.cfg.Timeout), these[0].l.line.wire
	w.mu.Unlock()
	w.c.publish(these, func(done []written) {
		w.mu.Lock()
		w.late, w.wire = time.Time{}, nil
		w.mu.Unlock()
		guard.Call(w.c.log, "publications are settled", func() {
			for i, d := range done {
				these[i].end(d)
			}
		})
		w.next(others)
	})
}

// expire ends the connection of a turn that waits for too long.
func (w *writer) expire(now time.Time) {
	w.mu.Lock()
	over, late := w.wire, !w.late.IsZero() && now.After(w.late)
	w.mu.Unlock()
	if late {
		over.fail(errLate)
	}
}

var errLate = errors.New("publish: the engine does not answer in time")

// publish writes batches of partitions that have one connection: those of which nothing is kept but the log
// by one script, and each other one by its own. done is called once, with what became of each.
func (c *Cluster) publish(list []writing, done func([]written)) {
	first := list[0]
	many := scripted{script: manyScript, args: []string{freshEpoch(), first.l.process, c.name, c.backlog()}}
	var together, alone []int // places in list
	var calls []scripted
	for i, w := range list {
		if len(w.p.kept) == 0 {
			together = append(together, i)
			many.keys = append(many.keys, w.p.tag.state())
			many.args = append(many.args, strconv.FormatUint(w.b.first, 10), strconv.Itoa(len(w.b.items)))
			many.args = itemArgs(many.args, w.b.items)
			continue
		}
		alone = append(alone, i)
		calls = append(calls, scripted{publishScript, []string{w.p.tag.state()}, w.p.publishArgs(w.l.args(), c.name, w.b.first, w.b.items)})
	}
	if len(together) > 0 {
		calls = append(calls, many)
	}
	first.l.line.scripts(calls, false, func(answers []reply) {
		was := make([]written, len(list))
		for i := range was {
			was[i].err = errNotAnswer
		}
		guard.Call(c.log, "the engine's answer is read", func() { was = published(list, together, alone, answers) })
		done(was)
	})
}

// published reads what became of batches: answers are of those alone, and then of all together.
func published(list []writing, together, alone []int, answers []reply) []written {
	done := make([]written, len(list))
	for k, i := range alone {
		done[i] = list[i].b.written(answers[k].Value, answers[k].Error())
	}
	if len(together) == 0 {
		return done
	}
	parts, err := answers[len(alone)].ToArray()
	if err == nil && len(parts) != len(together) {
		err = errNotAnswer
	}
	for k, i := range together {
		if err != nil {
			done[i].err = err
			continue
		}
		done[i] = list[i].b.written(parts[k], parts[k].Err())
	}
	return done
}
