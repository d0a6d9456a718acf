package cluster

import (
	"slices"
	"time"
)

// A seen is a message, or a publication of one, that this node has read of a source.
type seen struct {
	mark mark
	at   time.Time
	gap  bool // messages in front of it may be missing: the node was not there
}

// A mark stands for a message: 32 bits for itself, and behind that as many for those in front of it in the
// source, so that messages with equal texts are told apart by what is around them. The second is 0 where a node
// does not know all of these, since it began to read there, or missed some.
type mark = uint64

// contextSize is for how many messages in front of it a mark stands.
const contextSize = 4

func sameText(a, b mark) bool { return a>>32 == b>>32 }

// sameFront and otherFront report that two with one text have the same messages in front of them, or have not. Neither
// is so where one does not know.
func sameFront(a, b mark) bool  { return uint32(a) != 0 && uint32(a) == uint32(b) }
func otherFront(a, b mark) bool { return uint32(a) != 0 && uint32(b) != 0 && uint32(a) != uint32(b) }

// An aligned is how what a node has read stands to what was taken.
type aligned struct {
	taken int // of those read, from the first on
	ahead int // of those taken last, that this node has not read: not yet, or since it was not there
	row   row // what says so; none for a guess
}

// A row is how many were equal, one after the other.
type row struct {
	texts  int
	marks  int  // of these, with equal ones in front
	others int  // of these, with other ones in front
	broken bool // and then there are two that differ
}

// wrong reports that these are other messages, with the same texts. Two nodes that read different servers of a Redis
// Cluster may differ in what is in front of a few.
func (r row) wrong() bool { return r.others > r.marks }

func (r row) better(other row) bool {
	return r.marks > other.marks || r.marks == other.marks && r.texts > other.texts
}

// onceTail is how many of those that were taken last the engine keeps for each source, in each partition.
const onceTail = 256

// gapsAtOnce is how many gaps are looked across.
const gapsAtOnce = 3

// align finds how many of list were taken, by what was taken last: both are the same messages in the same
// order, but either may begin and end anywhere, and miss what the other has. The best row of equal ones
// that ends where what was taken ends says so. Where rows are as good as any, as messages with equal texts
// have them, the latest counts that was read before the last was taken, which was at about the time at;
// the zero time is none.
func align(tail []mark, at time.Time, list []seen) aligned {
	var best, timely aligned
	ways := 0 // to lay them beside each other
	for k := len(list); k > 0; k-- {
		most := 0
		if k == len(list) || list[k].gap {
			most = len(tail) - 1
		}
		for x := 0; x <= most; x++ {
			found := aligned{k, x, rowOf(tail[:max(0, len(tail)-x)], list[:k], gapsAtOnce)}
			if found.row.wrong() {
				continue
			}
			if found.row.better(best.row) {
				best = found
			}
			if x == 0 && found.row.texts > 0 {
				ways++
			}
			if !at.IsZero() && !list[k-1].at.After(at) && found.row.better(timely.row) {
				timely = found
			}
		}
	}
	if timely.row.texts > 0 && !timely.row.broken && (timely.row.marks > 0 || best.row.marks == 0) {
		return timely
	}
	if best.row.marks == 0 && !at.IsZero() && (ways > 1 || oneText(list[:best.taken])) {
		return aligned{} // equal ones, all of which came later
	}
	return best // clocks are no proof
}

// oneText reports that all are equal, as far as texts tell: such prove nothing.
func oneText(list []seen) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(e seen) bool { return !sameText(e.mark, list[0].mark) })
}

// rowOf is how many at the end of both are equal. Behind a gap in list, tail may have more.
func rowOf(tail []mark, list []seen, gaps int) (r row) {
	for r.texts < len(tail) && r.texts < len(list) {
		theirs, ours := tail[len(tail)-1-r.texts], list[len(list)-1-r.texts]
		if !sameText(theirs, ours.mark) {
			r.broken = true
			return r
		}
		r.texts++
		if sameFront(theirs, ours.mark) {
			r.marks++
		} else if otherFront(theirs, ours.mark) {
			r.others++
		}
		if !ours.gap {
			continue
		}
		tail, list = tail[:len(tail)-r.texts], list[:len(list)-r.texts]
		if gaps == 0 || len(list) == 0 {
			return r
		}
		var beyond row
		for len(tail) > beyond.texts {
			if found := rowOf(tail, list, gaps-1); !found.wrong() && found.better(beyond) {
				beyond = found
			}
			tail = tail[:len(tail)-1]
		}
		return row{r.texts + beyond.texts, r.marks + beyond.marks, r.others + beyond.others, beyond.broken}
	}
	return r
}
