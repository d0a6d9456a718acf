package cluster

import "time"

// A seen is a message, or a publication of one, that this node has read of a source.
type seen struct {
	digest uint64
	at     time.Time
	gap    bool // messages in front of it may be missing: the node was not there
}

// An aligned is how what a node has read stands to what was taken.
type aligned struct {
	taken int // of those read, from the first on
	ahead int // of those taken last, that this node has not read: not yet, or since it was not there
	run   int // how many in a row say so; 0 for a guess
}

// onceTail is how many of those that were taken last the engine keeps for each source, in each partition.
const onceTail = 256

// gapsAtOnce is how many gaps are looked across.
const gapsAtOnce = 3

// align finds how many of list were taken, by what was taken last: both are the same messages in the same
// order, but either may begin and end anywhere, and miss what the other has. The longest row of equal ones
// that ends where what was taken ends says so. Of rows of one length, as messages with equal texts have
// them, the latest counts that was read before the last was taken, which was at about the time at; the zero
// time is none.
func align(tail []uint64, at time.Time, list []seen) (best aligned) {
	for k := len(list); k > 0; k-- {
		most := 0
		if k == len(list) || list[k].gap {
			most = len(tail) - 1
		}
		for x := 0; x <= most; x++ {
			run := rowOf(tail[:max(0, len(tail)-x)], list[:k], gapsAtOnce)
			if run > best.run && (at.IsZero() || !list[k-1].at.After(at)) {
				best = aligned{k, x, run}
			}
		}
	}
	if best.run == 0 && !at.IsZero() {
		return align(tail, time.Time{}, list) // clocks are no proof
	}
	return best
}

// rowOf is how many at the end of both are equal. Behind a gap in list, tail may have more.
func rowOf(tail []uint64, list []seen, gaps int) (run int) {
	for run < len(tail) && run < len(list) && tail[len(tail)-1-run] == list[len(list)-1-run].digest {
		run++
		if !list[len(list)-run].gap {
			continue
		}
		tail, list = tail[:len(tail)-run], list[:len(list)-run]
		if gaps == 0 || len(list) == 0 {
			return run
		}
		beyond := 0
		for len(tail) > beyond {
			beyond = max(beyond, rowOf(tail, list, gaps-1))
			tail = tail[:len(tail)-1]
		}
		return run + beyond
	}
	return run
}
