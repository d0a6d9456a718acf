package authorize

import (
	"container/list"
	"net/netip"
)

// A queue is the questions that wait and that run. Networks take turns, so that one with a
// thousand questions costs another one a single request of waiting. It is guarded by
// Asker.mu.
type queue struct {
	lanes          map[laneKey]*lane // those with something in them
	turns          *list.List        // of *lane with something that waits, whose turn it is in front
	waiting, bytes int
	running        int
}

// A laneKey is whose questions stand in one line: those of a network, or where nobody knows
// it those of a page.
type laneKey struct {
	from netip.Addr
	page string
}

// A lane is the questions of one network.
type lane struct {
	key            laneKey
	turn           *list.Element  // in queue.turns; nil when nothing waits
	waits          *list.List     // of *inquiry
	pages          map[string]int // how many wait of each page
	waiting, bytes int
	running        int
}

func newQueue() queue { return queue{lanes: make(map[laneKey]*lane), turns: list.New()} }

// What one network may have of n: a fourth of what waits, half of that for one page, and all
// but a fourth of what runs; at least one of each.
func share(n int) int     { return max(1, n/4) }
func sharePage(n int) int { return max(1, n/8) }
func shareRun(n int) int  { return max(1, n-n/4) }

// add has a question wait, or says why it must not.
func (q *queue) add(in *inquiry, conf Config) (refused Reason) {
	key := laneKey{from: in.From}
	if !in.From.IsValid() {
		key.page = in.SocketID
	}
	l := q.lanes[key]
	if l == nil {
		l = &lane{key: key, waits: list.New(), pages: make(map[string]int)}
	}
	n := in.size()
	switch {
	case q.waiting >= conf.Waiting || q.bytes+n > waitingBytes:
		return full
	case l.waiting >= share(conf.Waiting) || l.bytes+n > share(waitingBytes) || l.pages[in.SocketID] >= sharePage(conf.Waiting):
		return crowded
	}
	in.lane = l
	q.lanes[key] = l
	in.at = l.waits.PushBack(in)
	l.pages[in.SocketID]++
	q.count(l, 1, n)
	if l.turn == nil {
		l.turn = q.turns.PushBack(l)
	}
	return allowed
}

// count counts what waits.
func (q *queue) count(l *lane, n, bytes int) {
	l.waiting, l.bytes = l.waiting+n, l.bytes+bytes
	q.waiting, q.bytes = q.waiting+n, q.bytes+bytes
}

// next takes the question whose turn it is and counts it as running; nil for none, or no room.
func (q *queue) next(conf Config) *inquiry {
	if q.running >= conf.Running {
		return nil
	}
	for e := q.turns.Front(); e != nil; e = e.Next() {
		l := e.Value.(*lane)
		if l.running >= shareRun(conf.Running) {
			continue // one lane at the most, since its share is more than half
		}
		q.turns.MoveToBack(e)
		l.running++
		q.running++
		in := l.waits.Front().Value.(*inquiry)
		q.remove(in)
		return in
	}
	return nil
}

// done says that a question does not run any more.
func (q *queue) done(in *inquiry) {
	in.lane.running--
	q.running--
	q.settle(in.lane)
}

// remove takes a question out that waits. It reports false if it does not.
func (q *queue) remove(in *inquiry) bool {
	if in.at == nil {
		return false
	}
	l := in.lane
	l.waits.Remove(in.at)
	in.at = nil
	if l.pages[in.SocketID]--; l.pages[in.SocketID] == 0 {
		delete(l.pages, in.SocketID)
	}
	q.count(l, -1, -in.size())
	q.settle(l)
	return true
}

// settle forgets of a lane what is not needed any more.
func (q *queue) settle(l *lane) {
	if l.waiting > 0 {
		return
	}
	if l.turn != nil {
		q.turns.Remove(l.turn)
		l.turn = nil
	}
	if l.running == 0 && q.lanes[l.key] == l {
		delete(q.lanes, l.key)
	}
}

// overhead is about what a question takes beside its texts.
const overhead = 256

// size is about what a question holds, in bytes.
func (in *inquiry) size() int {
	n := overhead + len(in.Channel) + len(in.SocketID) + len(in.Cookie)
	for name, value := range in.Headers {
		n += len(name) + len(value)
	}
	return n
}
