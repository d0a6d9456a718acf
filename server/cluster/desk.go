package cluster

import (
	"maps"
	"sync"
	"time"

	"poosh/server/guard"
	"poosh/server/hub"
	"poosh/server/presence"
)

// A desk says to the engine who of this process is in the rooms of a partition, and hears what
// comes of it. See scripts/roster.lua for what the engine has.
//
// # How
//
// Steps are told in their order, a batch at a time, by a script that answers among the frames of
// the partition. What is told is how many connections this node has in a room, and never one
// more or one less. A batch without an answer is told once more, under the same number, so that it is
// not done twice.
//
// All that this node has is under its seat there. It takes another seat when it was given up,
// when the engine has forgotten everything, and when another process of the engine answers, which may
// know less. Then it says anew what it has by its own book, each room in the place of what is
// there under the seat before; what is left of that one is taken away after it. So nobody who
// stays is seen to go.
//
// Its goroutine is run. Nobody is called with mu held.
type desk struct {
	p    *partition
	wake chan struct{}

	mu    sync.Mutex // guards what follows; p.subs.mu may be taken with it held
	over  bool
	queue []*step // to be told, in order
	doubt *slip   // was told and not answered
	last  uint64  // number of the last batch
	book  map[place]*booked
	late  []*step // were not told in time, and are to be answered

	seat  seat
	old   []string // seats before, of which something may be left
	again []place  // rooms that are to be told of anew
	steps []*step  // of one of them
	look  []place  // rooms whose members are to be heard anew

	lookAt    time.Time                // when that is to be done for all rooms; zero for never
	renew     time.Time                // when all is told anew that the engine forgets after a day
	looksGone bool                     // it is for who is gone since the log before
	left      map[parted]parting       // of which the applications may not have been told
	trimAt    time.Time                // when those are looked through
	wellAt    time.Time                // when the engine was last known to have all that it was told
	endedAt   time.Time                // when that was not so any more; zero while it is
	lookGone  bool                     // and so are those in look
	held      time.Time                // until when who enters and leaves waits for other nodes; zero for not
	others    []string                 // those
	retry     time.Time                // when the engine is to be asked again that has said no
	saidNo    bool                     // it has, and that is in the log
	full      bool                     // it has said no to who enters: who leaves goes first
	told      int                      // batches in a row
	alone     int                      // how many steps are told one by one: its script breaks at one of them
	dueAt     time.Time                // when the applications may have to be told of something
	telling   map[happening]*taken     // what they are being told
	tells     map[string]int           // how much that is, by apps
	known     map[parted]wasTold       // what they were told by this node
	caught    map[string]time.Time     // when nothing was due that no node had taken, by apps
	holds     map[string]time.Duration // how long they are told of who leaves after it, by apps
	eras      []uint64                 // epochs of the logs that it had a seat in, in their order
	watched   time.Time                // until when nobody is told anything, for other nodes to say what was; zero for not
	watchAt   time.Time                // when they are looked at next
}

// A place is a room.
type place struct{ app, room string }

// A seat is a node's in a partition.
type seat struct {
	name   string // empty for none
	lease  string
	epoch  uint64 // of the log when it was taken
	link   uint64 // by which it was used last
	lost   bool   // it is none any more
	beats  uint64 // how often the node had been said to be there when that was found
	kept   bool   // the one before was still there when it was taken
	silent bool   // what is told anew is news to nobody: the engine has forgotten
	number uint64 // of seats
	all    bool   // all was told anew
	before before // the log before it
}

// A booked is what this node has in a room, as far as the engine has answered.
type booked struct {
	entered int // entries that were let in and have not left
	people  int // those of them with a user
	counted int // those of them that count
	told    bool
	hold    time.Duration     // of those who are told of
	users   map[string]member // members by this node
	arrived                   // the first of those who are told of
}

// A member is a user by this node.
type member struct {
	presence.Entry
	arrived
}

// The kinds of steps, as the script has them.
const (
	stepEnter = 'E'
	stepLeave = 'L'
	stepCount = 'R'
	stepUser  = 'U'
	stepLook  = 'Y'
	stepDone  = 'D'
	stepBack  = 'B'
	stepAll   = 'Z'
	stepGone  = 'G'
	stepKnown = 'K'
)

// A step is one that the engine is told.
type step struct {
	kind   byte
	entry  presence.Entry
	answer func(presence.Seated, error) // of who enters; of a look, of who is let in and waits for it
	sub    *subscription                // that has to be there first; nil for none
	since  time.Time
	gone   bool // it was answered already, without having been heard of; guarded by desk.mu

	connections int          // of this node in the room, as the engine is told
	members     bool         // who is in the room is to be in the answer
	noted       bool         // the book has it already, or is not to have it
	tries       int          // how often the script broke at it
	doubtful    bool         // it may have been done under a seat before
	silent      bool         // it is news to nobody
	newer       bool         // nobody may know whether the applications know of it, see isNewer
	at          hub.Position // of the answer
	know        string       // from that, see verdict
}

func (s *step) place() place { return place{s.entry.App, s.entry.Room} }

// size is what a step counts for.
func (s *step) size() int64 {
	e := &s.entry
	return int64(256 + len(e.App) + len(e.Room) + len(e.User) + len(e.Info) + len(e.Socket))
}

// hears are who is told, by apps.
type hears struct {
	mu sync.Mutex // guards of
	of map[string]presence.Listener
}

var _ presence.Desk = (*Cluster)(nil)

// Hear is for dialects, see [presence.Desk].
func (c *Cluster) Hear(app string, l presence.Listener) {
	c.hears.mu.Lock()
	if c.hears.of == nil {
		c.hears.of = make(map[string]presence.Listener)
	}
	if l == nil {
		delete(c.hears.of, app)
	} else {
		c.hears.of[app] = l
	}
	c.hears.mu.Unlock()
	for _, p := range c.parts {
		p.desk.giveBackOf(app)
		p.desk.dueNow()
	}
}

// listener is who is told of an app; nil for nobody.
func (c *Cluster) listener(app string) presence.Listener {
	c.hears.mu.Lock()
	defer c.hears.mu.Unlock()
	return c.hears.of[app]
}

func (c *Cluster) heardApps() (apps []string) {
	c.hears.mu.Lock()
	defer c.hears.mu.Unlock()
	for app := range maps.Keys(c.hears.of) {
		apps = append(apps, app)
	}
	return apps
}

func (c *Cluster) wakeDesks() {
	for _, p := range c.parts {
		p.desk.wakeUp()
	}
}

// Enter is for dialects, see [presence.Desk]. The answer comes within the time that one command
// may take. [presence.ErrAway] is also for who would be one too many of those that wait. Where the
// engine did not answer in time it may have let in who is told that error; then that is taken back.
func (c *Cluster) Enter(e presence.Entry, answer func(presence.Seated, error)) {
	p := c.partition(e.App, e.Room, false)
	if !p.desk.enter(e, answer) {
		answer(presence.Seated{}, presence.ErrAway)
	}
}

// Leave is for dialects too. Those that wait are not bounded but by who has entered.
func (c *Cluster) Leave(e presence.Entry) {
	c.partition(e.App, e.Room, false).desk.put(&step{kind: stepLeave, entry: e})
}

func newDesk(p *partition) *desk {
	return &desk{p: p, wake: make(chan struct{}, 1), book: make(map[place]*booked), telling: make(map[happening]*taken), tells: make(map[string]int),
		holds: make(map[string]time.Duration)}
}

// wakeUp has run look at what there is to do. d may be nil, which has nothing to do.
func (d *desk) wakeUp() {
	if d == nil {
		return
	}
	select {
	case d.wake <- struct{}{}:
	default: // it will
	}
}

func (d *desk) put(s *step) {
	d.mu.Lock()
	if !d.over {
		d.queue = append(d.queue, s)
	}
	d.mu.Unlock()
	d.wakeUp()
}

// enter takes over who enters, or reports that it does not.
func (d *desk) enter(e presence.Entry, answer func(presence.Seated, error)) bool {
	s := &step{kind: stepEnter, entry: e, answer: answer, since: time.Now()}
	p := d.p
	p.mu.Lock()
	refused := p.over || p.isAway()
	p.mu.Unlock()
	if refused {
		return false
	}
	if p.c.waiting.Add(s.size()) > int64(p.c.cfg.QueueBytes) {
		p.c.waiting.Add(-s.size())
		return false
	}
	s.sub = p.want(p.channel(e.App, e.Room, false))
	d.mu.Lock()
	over := d.over
	if !over {
		d.queue = append(d.queue, s)
	}
	d.mu.Unlock()
	if over {
		p.c.waiting.Add(-s.size())
		p.unwant(s.sub)
		return false
	}
	d.wakeUp()
	return true
}

// settle answers who enters, once.
func (d *desk) settle(s *step, seated presence.Seated, err error) {
	guard.Call(d.p.c.log, "who enters a room is answered", func() { s.answer(seated, err) }, "partition", d.p.index)
	d.p.c.waiting.Add(-s.size())
	d.p.unwant(s.sub)
}

// expire has everybody answered who has waited since before a time, or everybody if the engine is away.
func (d *desk) expire(limit time.Time) {
	if d == nil {
		return
	}
	d.p.mu.Lock()
	all := d.p.isAway()
	d.p.mu.Unlock()
	d.mu.Lock()
	before := len(d.late)
	rest := d.queue[:0]
	for _, s := range d.queue {
		if s.answer == nil || !all && !s.since.Before(limit) {
			rest = append(rest, s)
			continue
		}
		d.late = append(d.late, s)
		if s.kind == stepLook { // it was let in
			rest = append(rest, &step{kind: stepLeave, entry: s.entry})
		}
	}
	clear(d.queue[len(rest):])
	d.queue = rest
	if d.doubt != nil {
		for _, s := range d.doubt.steps {
			if s.answer != nil && !s.gone && (all || s.since.Before(limit)) {
				s.gone = true
				d.late = append(d.late, s)
			}
		}
	}
	some := len(d.late) > before
	d.mu.Unlock()
	if some {
		d.answerLate()
	}
}

// failLate answers who was not told in time.
func (d *desk) failLate() {
	d.mu.Lock()
	late := d.late
	d.late = nil
	d.mu.Unlock()
	for _, s := range late {
		d.settle(s, presence.Seated{}, presence.ErrAway)
	}
}

// stop answers who waits. The partition's goroutines end by then.
func (d *desk) stop() {
	if d == nil {
		return
	}
	d.mu.Lock()
	d.over = true
	list := d.queue
	if d.doubt != nil {
		list = append(list, d.doubt.steps...)
	}
	d.queue, d.doubt = nil, nil
	for _, s := range list {
		if s.answer != nil && !s.gone {
			d.late = append(d.late, s)
		}
	}
	d.mu.Unlock()
	d.wakeUp()
	d.failLate()
}

// flushed reports that nothing waits or is under way.
func (d *desk) flushed() bool {
	if d == nil {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over || len(d.queue) == 0 && d.doubt == nil
}

// heardOf compares the epoch of a fence with that of the seat: the engine may have forgotten
// everything with nobody at the desk.
func (d *desk) heardOf(epoch uint64) {
	if d == nil {
		return
	}
	d.mu.Lock()
	lost := d.seat.name != "" && d.seat.epoch != epoch && !d.seat.lost
	if lost {
		d.lose()
	} else if d.seat.epoch == epoch {
		d.isWell()
	}
	d.mu.Unlock()
	if lost {
		d.wakeUp()
	}
}

// lose notes that the seat is none any more. mu is held.
func (d *desk) lose() {
	d.seat.lost, d.seat.beats = true, d.p.c.table.beats.Load()
	d.isIll()
	d.p.c.beatNow()
}

// lookAgain has the members of all rooms heard anew: something may have been missed.
func (d *desk) lookAgain() {
	if d == nil {
		return
	}
	d.mu.Lock()
	if !d.looksGone { // that is to come when all have told, and is for this too
		d.lookAt = time.Now()
	}
	d.mu.Unlock()
	d.wakeUp()
}
