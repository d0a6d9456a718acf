package history

import (
	"math/rand/v2"
	"slices"
	"time"

	"poosh/server/handover"
	"poosh/server/hub"
)

// A gap is numbers that no publication has: those behind after, and before before.
//
// There is one where a process goes on with what the last one left. What that published when
// its log had been saved, or one that went on with a copy of the same file, had numbers from
// behind its end. Their positions are in a gap, and known to be of no use.
type gap struct{ after, before uint64 }

const (
	// A gap is so large at the least, more than anybody publishes behind the end; and up to
	// so large, so that two processes that go on with copies of a file do not meet behind it.
	leastGap, mostGap = 1 << 20, 1 << 34

	maxGaps = 32 // what was before the oldest is forgotten then

	// lastNumber is the last with which a log goes on: there is room for as many events again
	// as anybody publishes.
	lastNumber = 1<<50 - 1<<45
)

// inGap reports whether a number is in a gap. mu is held.
func (a *app) inGap(n uint64) bool {
	for _, g := range a.gaps {
		if n > g.after && n < g.before {
			return true
		}
	}
	return false
}

// goOn leaves a gap behind all that there was. mu is held.
func (a *app) goOn() {
	if len(a.gaps) >= maxGaps {
		a.forget(a.gaps[0].before - 1)
		a.gaps = slices.Delete(a.gaps, 0, 1)
	}
	next := a.head + leastGap + rand.Uint64N(mostGap-leastGap)
	a.gaps = append(a.gaps, gap{a.head, next})
	a.head = next
}

// forget drops all up to a number, as if it were too old. mu is held.
func (a *app) forget(upTo uint64) {
	for e := a.first; e != nil && e.At.Number <= upTo; e = a.first {
		a.floor, a.dropped = e.At.Number, e.Entered
		a.drop(e)
	}
	a.floor = max(a.floor, upTo)
	a.quiet.forget(cut{upTo, a.dropped})
	a.everyone.forget(upTo, a.dropped)
	for _, r := range a.rooms {
		r.forget(upTo, a.dropped)
	}
}

// forget has all up to a number be gone, the last of which entered at some time.
func (r *room) forget(upTo uint64, at time.Time) {
	if r.cut >= upTo {
		return
	}
	r.cut = upTo
	if at.After(r.dropped) {
		r.dropped = at
	}
}

// A snapshot is an app's log as of a moment. Its entries do not change any more but for their
// places in the list.
type snapshot struct {
	epoch, head     uint64
	floor, everyone cut
	gaps            []gap
	cuts            map[string]cut // of rooms whose first entry is not written yet
	entries         []*entry       // in order
}

// A cut is up to which number publications may be gone, and when the last of those entered.
type cut struct {
	upTo    uint64
	dropped time.Time
}

// cutOff is up to where the room is cut.
func (r *room) cutOff() cut { return cut{r.cut, r.dropped} }

func (c cut) save(w *handover.Writer) {
	w.Uint(c.upTo)
	if c.dropped.IsZero() {
		w.Uint(0)
	} else {
		w.Uint(uint64(c.dropped.UnixNano()))
	}
}

func restoreCut(r *handover.Reader, now time.Time) (c cut) {
	c.upTo = r.Uint()
	if nano := r.Uint(); nano != 0 {
		c.dropped = before(now, nano)
	}
	return c
}

// before is a time in Unix nanoseconds as one of this process's clock, which may be set
// meanwhile. Nothing is of the future.
func before(now time.Time, nano uint64) time.Time {
	return now.Add(-max(0, now.Sub(time.Unix(0, int64(nano)))))
}

func (a *app) snapshot() *snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over.Load() {
		return &snapshot{epoch: newEpoch()} // in which nobody has a position
	}
	a.cut()
	s := &snapshot{a.epoch, a.head, cut{a.floor, a.dropped}, a.everyone.cutOff(), slices.Clone(a.gaps), make(map[string]cut, len(a.rooms)), make([]*entry, 0, a.events)}
	for name, r := range a.rooms {
		s.cuts[name] = r.cutOff()
	}
	for e := a.first; e != nil; e = e.next {
		s.entries = append(s.entries, e)
	}
	return s
}

// Save writes the log as it is now, with all its apps, for [Log.Restore].
func (l *Log) Save(w *handover.Writer) {
	w.Uint(uint64(len(l.apps)))
	for name, a := range l.apps {
		w.Text(name)
		a.snapshot().save(w)
	}
}

// What is said of an entry.
const (
	flagEveryone = 1 << iota
	flagFirst    // of its room: where that is cut follows
	flagUnion    // beside the others: it is narrowed down to one
	flagCopy     // beside that: it is of the publication of the one before it, and no more than its room is told
)

func (s *snapshot) save(w *handover.Writer) {
	w.Uint(s.epoch)
	w.Uint(s.head)
	s.floor.save(w)
	s.everyone.save(w)
	w.Uint(uint64(len(s.gaps)))
	for _, g := range s.gaps {
		w.Uint(g.after)
		w.Uint(g.before)
	}
	w.Uint(uint64(len(s.entries)))
	number, all := uint64(0), (*common)(nil)
	for _, e := range s.entries {
		w.Uint(e.At.Number - number)
		number = e.At.Number
		w.Uint(uint64(e.Entered.UnixNano()))
		cut, first := s.cuts[e.Room]
		union := uint64(0)
		if e.Narrowed {
			union = flagUnion
		}
		isCopy := e.common != nil && e.common == all
		if all = e.common; isCopy {
			union |= flagCopy
		}
		switch {
		case e.Everyone:
			w.Uint(union | flagEveryone)
		case first:
			delete(s.cuts, e.Room)
			w.Uint(union | flagFirst)
			cut.save(w)
		default:
			w.Uint(union)
		}
		if w.Text(e.Room); isCopy {
			continue
		}
		w.Text(e.Event)
		w.Bytes(e.Data)
		w.Text(e.Meta)
		w.Text(e.Except)
	}
}

// Restored says what became of what was saved.
type Restored struct {
	Events int // that are kept again
	Late   int // apps that were saved longer ago than they keep anything: they begin anew
}

// Restore has the log go on with what [Log.Save] wrote at some time, as far as it keeps these
// apps, within its own bounds: positions of then are good on, but for those that are not in
// it. Call it before anything is published. With an error the log is as it was.
func (l *Log) Restore(r *handover.Reader, written time.Time) (done Restored, err error) {
	type pair struct{ old, new *app }
	var apps []pair
	names := make(map[string]bool)
	for range r.Count(9) {
		name := r.Text()
		if names[name] {
			r.Fail("an app is there twice")
		}
		names[name] = true
		mine := l.apps[name]
		a := &app{name: name, cfg: Config{Age: 1}, rooms: make(map[string]*room)} // for what nobody keeps any more
		if mine != nil {
			a.cfg = mine.cfg
		}
		a.restore(r)
		switch {
		case r.Err() != nil:
			return Restored{}, r.Err()
		case mine == nil:
		case time.Since(written) > a.cfg.Age, a.head > lastNumber:
			done.Late++
		default:
			apps = append(apps, pair{mine, a})
			done.Events += a.events
		}
	}
	if err := r.End(); err != nil {
		return Restored{}, err
	}
	for _, p := range apps {
		p.old.become(p.new)
	}
	return done, nil
}

// become takes over what was restored into another.
func (a *app) become(b *app) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.takeOver(b)
	a.goOn()
}

// takeOver has the log be another one. mu is held.
func (a *app) takeOver(b *app) {
	a.epoch, a.head, a.floor, a.dropped, a.quiet, a.gaps = b.epoch, b.head, b.floor, b.dropped, b.quiet, b.gaps
	a.first, a.last, a.rooms, a.everyone = b.first, b.last, b.rooms, b.everyone
	a.events, a.bytes, a.early = b.events, b.bytes, b.early
}

// restore reads what snapshot.save wrote. What is wrong the reader says.
func (a *app) restore(r *handover.Reader) {
	a.epoch = r.Uint()
	head := r.Uint()
	now := time.Now()
	floor, everyone := restoreCut(r, now), restoreCut(r, now)
	a.floor, a.dropped = floor.upTo, floor.dropped
	a.quiet.forget(floor) // of quiet rooms no more is saved
	a.everyone.cut, a.everyone.dropped = everyone.upTo, everyone.dropped
	if a.epoch == 0 || a.epoch >= 1<<50 || head >= 1<<50 || max(a.floor, a.everyone.cut) > head {
		r.Fail("a log has numbers that no log has")
	}
	a.restoreGaps(r, head)
	var before *entry
	var to addressed
	for range r.Count(8) {
		e := a.restoreEntry(r, now, before, &to)
		if e == nil || e.At.Number > head || e.At.Number <= max(a.head, floor.upTo) && !a.isCopy(e, before, to) {
			r.Fail("an event is not in its order")
			return
		}
		e.share(before)
		a.head, before = e.At.Number, e
		a.add(e)
		a.cut()
	}
	a.head = head
}

func (a *app) restoreGaps(r *handover.Reader, head uint64) {
	n := r.Count(2)
	if n > maxGaps {
		r.Fail("it has more gaps than there may be")
		return
	}
	for range n {
		g := gap{r.Uint(), r.Uint()}
		if g.after >= g.before || g.before > head || len(a.gaps) > 0 && g.after < a.gaps[len(a.gaps)-1].before {
			r.Fail("a gap is none")
			return
		}
		a.gaps = append(a.gaps, g)
	}
}

// An addressed is whom the publication for several rooms is to that was read last. Its copies follow each
// other, and say the same: it is read once for all of them.
type addressed struct {
	text  string // Publication.Except
	rooms map[string]bool
}

// read reads whom a publication is to, and reports whether it can be. Texts of one publication are one
// text: to compare them costs nothing.
func (to *addressed) read(p *hub.Publication) bool {
	if to.rooms != nil && to.text == p.Except {
		return true
	}
	u, ok := p.Union()
	if !ok {
		return false
	}
	to.text, to.rooms = p.Except, make(map[string]bool, len(u.Rooms))
	for _, name := range u.Rooms {
		to.rooms[name] = true
	}
	return true
}

// isCopy reports whether an entry is of the publication that the one before it is of, for another
// room of those that it is to.
func (a *app) isCopy(e, before *entry, to addressed) bool {
	if e == nil || before == nil || !e.Narrowed || !before.Narrowed || before.At != e.At || e.Everyone || e.Except != before.Except {
		return false
	}
	r := a.rooms[e.Room]
	return to.rooms[e.Room] && (r == nil || r.len() == 0 || r.events[len(r.events)-1].At != e.At)
}

// restoreEntry reads an entry, and makes its room as that was; nil for what is none. former is the one before it,
// and to whom that is for, and then this one, where they are for several rooms.
func (a *app) restoreEntry(r *handover.Reader, now time.Time, former *entry, to *addressed) *entry {
	number, entered, flags, gone := a.head+r.Uint(), r.Uint(), r.Uint(), a.everyone.cutOff()
	union, isCopy := flags&flagUnion != 0, flags&flagCopy != 0
	if flags &^= flagUnion | flagCopy; flags == flagFirst {
		gone = restoreCut(r, now)
	}
	p := hub.Publication{App: a.name, Narrowed: union, Everyone: flags == flagEveryone, Room: r.Text()}
	switch {
	case !isCopy:
		p.Event, p.Data, p.Meta, p.Except = r.Text(), r.Bytes(), r.Text(), r.Text()
	case !union || former == nil || former.common == nil || former.At.Number != number:
		return nil
	default:
		p.Event, p.Data, p.Meta, p.Except = former.Event, former.Data, former.Meta, former.Except
	}
	if union && !to.read(&p) {
		r.Fail("what an event is for cannot be read")
	}
	if r.Err() != nil || flags > flagFirst || flags != 0 && gone.upTo >= number {
		return nil
	}
	e := newEntry(&p)
	e.Entered = before(now, entered)
	if a.last != nil && e.Entered.Before(a.last.Entered) {
		e.Entered = a.last.Entered
	}
	e.At = hub.Position{Epoch: a.epoch, Number: number}
	if flags == flagFirst {
		if a.rooms[p.Room] != nil {
			return nil
		}
		made := a.roomOf(&e.Publication)
		made.cut, made.dropped = gone.upTo, gone.dropped
	}
	return e
}
