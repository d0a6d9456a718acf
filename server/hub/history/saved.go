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
	for a.first != nil && a.first.At.Number <= upTo {
		a.drop(a.first)
	}
	a.floor, a.everyone.cut = max(a.floor, upTo), max(a.everyone.cut, upTo)
	for _, r := range a.rooms {
		r.cut = max(r.cut, upTo)
	}
}

// A snapshot is an app's log as of a moment. Its entries do not change any more but for their
// places in the list.
type snapshot struct {
	epoch, head, floor, everyone uint64
	gaps                         []gap
	cuts                         map[string]uint64 // of rooms whose first entry is not written yet
	entries                      []*entry          // in order
}

func (a *app) snapshot() *snapshot {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cut()
	s := &snapshot{a.epoch, a.head, a.floor, a.everyone.cut, slices.Clone(a.gaps), make(map[string]uint64, len(a.rooms)), make([]*entry, 0, a.events)}
	for name, r := range a.rooms {
		s.cuts[name] = r.cut
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
)

func (s *snapshot) save(w *handover.Writer) {
	for _, n := range []uint64{s.epoch, s.head, s.floor, s.everyone, uint64(len(s.gaps))} {
		w.Uint(n)
	}
	for _, g := range s.gaps {
		w.Uint(g.after)
		w.Uint(g.before)
	}
	w.Uint(uint64(len(s.entries)))
	number := uint64(0)
	for _, e := range s.entries {
		w.Uint(e.At.Number - number)
		number = e.At.Number
		w.Uint(uint64(e.Entered.UnixNano()))
		cut, first := s.cuts[e.Room]
		switch {
		case e.Everyone:
			w.Uint(flagEveryone)
		case first:
			delete(s.cuts, e.Room)
			w.Uint(flagFirst)
			w.Uint(cut)
		default:
			w.Uint(0)
		}
		w.Text(e.Room)
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
	for range r.Count(7) {
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
	a.epoch, a.head, a.floor, a.gaps = b.epoch, b.head, b.floor, b.gaps
	a.first, a.last, a.rooms, a.everyone = b.first, b.last, b.rooms, b.everyone
	a.events, a.bytes, a.early = b.events, b.bytes, b.early
	a.goOn()
}

// restore reads what snapshot.save wrote. What is wrong the reader says.
func (a *app) restore(r *handover.Reader) {
	a.epoch = r.Uint()
	head := r.Uint()
	a.floor, a.everyone.cut = r.Uint(), r.Uint()
	if a.epoch == 0 || a.epoch >= 1<<50 || head >= 1<<50 || max(a.floor, a.everyone.cut) > head {
		r.Fail("a log has numbers that no log has")
	}
	a.restoreGaps(r, head)
	now := time.Now()
	for range r.Count(8) {
		e := a.restoreEntry(r, now)
		if e == nil || e.At.Number > head || e.At.Number <= a.head {
			r.Fail("an event is not in its order")
			return
		}
		a.head = e.At.Number
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

// restoreEntry reads an entry, and makes its room as that was; nil for what is none.
func (a *app) restoreEntry(r *handover.Reader, now time.Time) *entry {
	number, entered, flags, cut := a.head+r.Uint(), time.Unix(0, int64(r.Uint())), r.Uint(), a.everyone.cut
	if flags == flagFirst {
		cut = r.Uint()
	}
	p := hub.Publication{App: a.name, Everyone: flags == flagEveryone, Room: r.Text(), Event: r.Text(), Data: r.Bytes(), Meta: r.Text(), Except: r.Text()}
	if r.Err() != nil || flags > flagFirst || flags != 0 && cut >= number {
		return nil
	}
	e := newEntry(&p)
	// As a time of this process's clock, which may be set meanwhile; nothing is of the future.
	e.Entered = now.Add(-max(0, now.Sub(entered)))
	if a.last != nil && e.Entered.Before(a.last.Entered) {
		e.Entered = a.last.Entered
	}
	e.At = hub.Position{Epoch: a.epoch, Number: number}
	if flags == flagFirst {
		if a.rooms[p.Room] != nil {
			return nil
		}
		a.roomOf(&e.Publication).cut = cut
	}
	return e
}
