package cluster

import "time"

// A wholeness tells whether a node has read all that is yet to be taken of a source. One that has just begun to read,
// or was cut off, lacks what was published before that: if who leads dies just then, and such a node went on, all that
// would be lost although another node has it.
//
// Who leads notes with its lease up to when it has taken what it read, and each node when it began to read, both as
// times of the engine: clocks of nodes are not compared. Both are found from answers. The engine's time in one is before that at
// which it came, so what was read before it came was read, at the latest, about then. Its source's mu guards it.
type wholeness struct {
	gaps  uint64    // in what this node reads
	from  uint64    // it has read all that came since, in microseconds; 0 while that is not known
	clear uint64    // what was read before is taken; 0 for nothing known
	asked uint64    // the engine's time in the last answer
	got   time.Time // when that came
}

// wholeMargin is by how many microseconds nodes may read a message at different times.
const wholeMargin = 250_000

// gap is for a node that begins to read, or does not any more.
func (w *wholeness) gap() { w.gaps, w.from = w.gaps+1, 0 }

// heard notes an answer: the engine's time, what it knows of clear, and when it came. gaps is what that was when it was
// asked for.
func (w *wholeness) heard(gaps, now, clear uint64, got time.Time) {
	if w.from == 0 && w.gaps == gaps {
		w.from = now
	}
	w.clear, w.asked, w.got = max(w.clear, clear), now, got
}

// took notes that who leads has taken all that it read before a time; the zero time for who does not know.
func (w *wholeness) took(before time.Time) {
	if w.asked != 0 && !before.Before(w.got) {
		w.clear = max(w.clear, w.asked)
	}
}

// wants is what clear has to be for a node to lack nothing; 0 for one that does not know when it began.
func (w *wholeness) wants() uint64 {
	if w.from == 0 {
		return 0
	}
	return w.from + wholeMargin
}

// is reports that this node lacks nothing, as far as it knows.
func (w *wholeness) is() bool { return w.from != 0 && w.clear >= w.wants() }
