package cluster

import (
	"encoding/binary"
	"slices"
	"time"

	"poosh/server/hub"
)

// A tape is what a node has read of a source for one partition, in order: what it knows to be taken, of
// which some are left to compare with, and behind that what may have to be. Its source's mu guards it.
type tape struct {
	part *partition

	list  []played
	next  int    // of list: the first that is not known to be taken
	under int    // behind next: those that are being written
	cut   int    // of list: behind those, before it none has a publication
	past  uint64 // entries that were in front of list
	gone  bool   // the next entry is behind a gap

	// Where it is known how what was read and what was taken stand to each other: the count that is
	// named so in the engine is offset more than ours; and how much that was when it was looked at.
	name   string
	count  uint64
	offset int64
	fixed  bool
	gapped bool // there was a gap since

	quiet   begun     // what the engine had when nothing had been read yet
	quietAt time.Time // since when; zero for no such time

	begun   uint64 // the token that this node has written there
	leads   bool   // what was taken under the name was taken by this node, up to next
	writing bool   // somebody writes
}

// A played is a publication of a message. Without a publication it is dealt with, or given up.
type played struct {
	seen
	pub    *hub.Publication
	handed func(*hub.Publication, hub.Handed)
}

// size is what an entry counts for.
func (e *played) size() int {
	if e.pub == nil {
		return 0
	}
	return sizeOf(e.pub)
}

// sizeOf is what a publication counts for that was read.
func sizeOf(p *hub.Publication) int {
	return len(p.Data) + len(p.App) + len(p.Room) + len(p.Event) + len(p.Meta) + len(p.Except) + 256
}

// put adds one, and returns what it counts for.
func (t *tape) put(e played) int {
	e.gap, t.gone = t.gone, false
	t.list = append(t.list, e)
	t.trim()
	return e.size()
}

// fix notes how the two stand to each other, when so many of list are taken, and ahead more.
func (t *tape) fix(name string, count uint64, taken, ahead int) {
	t.name, t.count, t.fixed, t.gapped = name, count, true, false
	t.offset = int64(count) - int64(ahead) - int64(t.past) - int64(taken)
}

// gap notes that messages may be missing between the last and the next. Ours are fewer than those of other
// nodes by who knows how many from here on. What this node took itself it has counted itself.
func (t *tape) gap() {
	t.gone, t.gapped, t.quietAt = len(t.list) > 0, true, time.Time{}
	if !t.leads {
		t.fixed = false
	}
}

// unlead is for a node that leads no more: others count from here on.
func (t *tape) unlead() {
	if t.leads && t.gapped {
		t.fixed = false
	}
	t.begun, t.leads = 0, false
}

// front is the oldest that may have to be published; nil for none.
func (t *tape) front() *played {
	for t.cut = max(t.cut, t.next+t.under); t.cut < len(t.list); t.cut++ {
		if t.list[t.cut].pub != nil {
			return &t.list[t.cut]
		}
	}
	return nil
}

// drop gives that one up, and returns what it counted for. That it was there stays known.
func (t *tape) drop() int {
	e := t.front()
	size := e.size()
	e.pub, e.handed = nil, nil
	t.trim()
	return size
}

// advance notes that the first so many of list are taken, and returns what those counted for.
func (t *tape) advance(next int) (size int) {
	for ; t.next < next; t.next++ {
		size += t.list[t.next].size()
		t.list[t.next].pub, t.list[t.next].handed = nil, nil
	}
	t.trim()
	return size
}

// trim forgets what is not even needed to compare with. Who leads has yet to deal with what it gave up.
func (t *tape) trim() {
	done := t.next
	if !t.leads {
		t.front()
		done = max(done, t.cut)
	}
	n := done - onceTail
	if n < onceTail {
		return // so that it is not done for each
	}
	t.past += uint64(n)
	t.next, t.cut = max(0, t.next-n), max(0, t.cut-n)
	t.list = append([]played(nil), t.list[n:]...)
}

// A begun is what the engine has of a source in a partition.
type begun struct {
	name  string // of the count; empty for nothing
	count uint64
	tail  []mark
	at    time.Time // when the last was taken, by this node's clock, about
}

// onceSlack is how much later this node may have read a message than another one took it.
const onceSlack = 10 * time.Millisecond

// parseTail reads what the engine has of what was taken last: each 8 bytes that stand for it, and 8 for when.
// now is the engine's time when the answer was made, and got ours when it came.
func parseTail(list []string, now uint64, got time.Time) (tail []mark, at time.Time, ok bool) {
	for _, text := range list {
		if len(text) != 16 {
			return nil, at, false
		}
		tail = append(tail, binary.BigEndian.Uint64([]byte(text[:8])))
		taken := binary.BigEndian.Uint64([]byte(text[8:]))
		at = got.Add(-time.Duration(int64(now)-int64(taken))*time.Microsecond + onceSlack)
	}
	return tail, at, true
}

// look compares with what the engine has, and returns how many of list are taken. It changes nothing but
// what is known of that.
func (t *tape) look(b *begun) (taken int) {
	if b.name == "" {
		t.fixed = false
		return t.next
	}
	ok, proof := t.agrees(b)
	ok = ok && t.fixed && b.name == t.name
	var a aligned
	if !ok || !proof {
		list := make([]seen, len(t.list))
		for i := range t.list {
			list[i] = t.list[i].seen
		}
		a = align(b.tail, b.at, list)
	}
	if ok && a.row.marks == 0 { // which would prove more
		t.count = max(t.count, b.count)
		return max(t.next, t.at(b.count))
	}
	t.fixed = false
	switch {
	case a.row.texts == 0:
		return t.next
	case a.taken < t.next: // what is known is not unlearned
		t.fix(b.name, b.count, t.next, 0)
	case !t.gapsBehind(a.taken): // of what is missing there more may yet be taken
		t.fix(b.name, b.count, a.taken, a.ahead)
	}
	return max(t.next, a.taken)
}

// gapsBehind reports that something is missing behind the first so many of list.
func (t *tape) gapsBehind(n int) bool {
	return t.gone || slices.ContainsFunc(t.list[n:], func(e played) bool { return e.gap })
}

// ahead is how many were taken that this node has yet to read, as far as that is known.
func (t *tape) ahead() int {
	if !t.fixed {
		return 0
	}
	return max(0, int(int64(t.count)-t.offset-int64(t.past))-len(t.list))
}

// at is how many of list are taken when the engine counts so many.
func (t *tape) at(count uint64) int {
	return int(min(max(0, int64(count)-t.offset-int64(t.past)), int64(len(t.list))))
}

// agrees reports that nothing speaks against what is known of how the two stand to each other, which is
// so from the last gap on, and whether anything proves it: what this node has yet to read does not.
func (t *tape) agrees(b *begun) (ok, proof bool) {
	from := t.next // who leads knows what was before
	for i := range t.list {
		if !t.leads && (i == 0 || t.list[i].gap) {
			from = i
		}
	}
	last := int64(b.count) - t.offset - int64(t.past) // how many of list, and more
	if last < int64(max(from, t.next)) {
		return false, false
	}
	same, others := 0, 0
	for i := range b.tail {
		at := last - int64(len(b.tail)-i)
		if at < int64(from) || at >= int64(len(t.list)) {
			continue
		}
		if !sameText(t.list[at].mark, b.tail[i]) {
			return false, false
		}
		if sameFront(t.list[at].mark, b.tail[i]) {
			same++
		} else if otherFront(t.list[at].mark, b.tail[i]) {
			others++
		}
	}
	return others <= same, same > 0 // equal texts with others around them
}

// settle notes how the two stand to each other where nothing has been read since reading began, and nothing
// was taken for a while either.
func (t *tape) settle(b *begun, now time.Time, quiet time.Duration) {
	switch {
	case t.fixed || b.name == "" || t.next < len(t.list) || len(t.list) > 0 && !t.gone:
		t.quietAt = time.Time{}
	case t.quietAt.IsZero() || t.quiet.name != b.name || t.quiet.count != b.count:
		t.quiet, t.quietAt = *b, now
	case now.Sub(t.quietAt) >= quiet:
		t.fix(b.name, b.count, len(t.list), 0)
	}
}
