package cluster

import (
	"testing"
	"time"

	"poosh/server/hub"
)

// readOf makes what was read of a text, a letter each; | is a gap.
func readOf(text string) (list []seen) {
	gap := false
	for i := range len(text) {
		if text[i] == '|' {
			gap = true
			continue
		}
		list = append(list, seen{mark: uint64(text[i])<<32 | 1, gap: gap, at: time.UnixMilli(int64(len(list)))})
		gap = false
	}
	return list
}

func takenOf(text string) (list []uint64) {
	for i := range len(text) {
		list = append(list, uint64(text[i])<<32)
	}
	return list
}

func TestAlign(t *testing.T) {
	for _, c := range []struct {
		why, taken, read string
		at               int // of the last taken: with the entry of that number
		want             aligned
	}{
		{"nothing is known", "", "abc", 99, aligned{}},
		{"none of them was taken", "xyz", "abc", 99, aligned{}},
		{"some were", "xyzab", "abcd", 99, aligned{2, 0, row{texts: 2}}},
		{"all were", "abc", "abc", 99, aligned{3, 0, row{texts: 3}}},
		{"it began to read later", "abcde", "cdefg", 99, aligned{3, 0, row{texts: 3}}},
		{"more was taken than it has read yet", "abcdef", "cd", 99, aligned{2, 2, row{texts: 2}}},
		{"equal ones: the latest", "aaaa", "aaa", 99, aligned{3, 0, row{texts: 3}}},
		{"equal ones, of which the last came behind what was taken", "aaaa", "aaa", 1, aligned{2, 0, row{texts: 2}}},
		{"a clock that is wrong", "ab", "ab", -5, aligned{2, 0, row{texts: 2}}},
		{"equal ones, all of which came behind what was taken", "aaaa", "aaa", -5, aligned{}},
		{"who took missed some", "abef", "abcdefg", 99, aligned{6, 0, row{texts: 2}}},
		{"this node missed some", "abcdef", "ab|efg", 99, aligned{4, 0, row{texts: 4}}},
		{"what was taken last is in a gap of this node", "abcd", "ab|fg", 99, aligned{2, 2, row{texts: 2}}},
		{"and the gap has not ended", "abcd", "ab", 99, aligned{2, 2, row{texts: 2}}},
		{"turns", "ababab", "babab", 99, aligned{5, 0, row{texts: 5}}},
		{"turns, with more read", "ababab", "bababab", 4, aligned{5, 0, row{texts: 5}}},
		{"two gaps", "abcdefgh", "ab|d|gh|j", 99, aligned{5, 0, row{texts: 5}}},
	} {
		got := align(takenOf(c.taken), time.UnixMilli(int64(c.at)), readOf(c.read))
		got.row.broken = false
		if got != c.want {
			t.Errorf("%s: %q taken, %q read: %+v, want %+v", c.why, c.taken, c.read, got, c.want)
		}
	}
}

// TestAlignBehindABacklog: what was taken last came before this node began to read, and was taken late, so that
// times say that it was what this node has read. Texts are all equal, but what is in front of them is not.
func TestAlignBehindABacklog(t *testing.T) {
	stream := func(from, to int) (list []seen) {
		for i := from; i < to; i++ {
			list = append(list, seen{mark: uint64('a')<<32 | uint64(i+1), at: time.UnixMilli(int64(i))})
		}
		list[0].mark = uint64('a') << 32 // it began to read there
		return list
	}
	for _, c := range []struct{ upTo, want int }{{1513, 0}, {1515, 2}, {1536, 23}, {1700, 187}} {
		var tail []mark
		for i := c.upTo - onceTail; i < c.upTo; i++ {
			tail = append(tail, uint64('a')<<32|uint64(i+1))
		}
		late := time.UnixMilli(1746)
		if got := align(tail, late, stream(1513, 1746)); got.taken > c.want+1 || got.taken < c.want {
			t.Errorf("%d were taken: %+v, want %d", c.upTo, got, c.want)
		}
		tape := &tape{}
		for _, e := range stream(1513, 1746) {
			tape.put(played{seen: e, pub: &hub.Publication{}})
		}
		if got := tape.look(&begun{name: "n", count: uint64(c.upTo), tail: tail, at: late}); got > c.want+1 {
			t.Errorf("%d were taken: a tape says %d, want %d", c.upTo, got, c.want)
		}
	}
}

// TestTapeThatWasWrong: the first message that a node read has the text of the last that was taken, before that. It
// has to find that this was another one, though what was taken since is more than the engine tells of.
func TestTapeThatWasWrong(t *testing.T) {
	of := func(i int) mark { return uint64('a')<<32 | uint64(i+1) }
	tape := &tape{}
	read := func(from, to int) {
		for i := from; i < to; i++ {
			e := played{seen: seen{mark: of(i), at: time.UnixMilli(int64(i))}, pub: &hub.Publication{}}
			if len(tape.list) == 0 {
				e.mark = of(-1) // it does not know what is in front
			}
			tape.put(e)
		}
	}
	read(1000, 1001)
	first := begun{name: "n", count: 1, tail: []mark{of(-1)}, at: time.UnixMilli(5)}
	if got := tape.look(&first); got != 0 || tape.fixed {
		t.Errorf("one that came later was taken: %d, fixed %v", got, tape.fixed)
	}
	tape.fix("n", 1, 1, 0) // wrong, whatever it was that said so
	tape.advance(1)
	read(1001, 1300)
	b := begun{name: "n", count: 1280, at: time.UnixMilli(1300)}
	for i := 1280 - onceTail; i < 1280; i++ {
		b.tail = append(b.tail, of(i))
	}
	if got := tape.look(&b); got != 280 || !tape.fixed || tape.offset != 1000 {
		t.Errorf("%d were taken, fixed %v with %d more, want 280 with 1000", got, tape.fixed, tape.offset)
	}
}

// FuzzAlign reads a stream that two nodes read from different places on, one of which has taken up to
// somewhere: with messages that are all different the answer is exact.
func FuzzAlign(f *testing.F) {
	f.Add(uint16(300), uint16(10), uint16(200), uint16(50), uint16(7), false)
	f.Add(uint16(300), uint16(0), uint16(300), uint16(299), uint16(0), true)
	f.Fuzz(func(t *testing.T, n, from, upTo, gapAt, gap uint16, equal bool) {
		var stream []uint64
		for i := range int(n % 1024) {
			d := uint64(i)
			if equal {
				d = uint64(i / 100 % 2)
			}
			stream = append(stream, d<<32|1)
		}
		upTo = min(upTo, uint16(len(stream)))
		tail := stream[max(0, int(upTo)-onceTail):upTo]
		var list []seen
		want := 0
		missed := false
		for i := int(from); i < len(stream); i++ {
			if i >= int(gapAt) && i < int(gapAt)+int(gap) {
				missed = true
				continue
			}
			list = append(list, seen{mark: stream[i], gap: missed, at: time.UnixMilli(int64(i))})
			missed = false
			if i < int(upTo) {
				want++
			}
		}
		got := align(tail, time.UnixMilli(int64(upTo)), list)
		if got.taken < 0 || got.taken > len(list) || got.ahead > len(tail) || got.row.texts > len(tail) {
			t.Fatalf("%+v of %d and %d", got, len(tail), len(list))
		}
		// Of what it has read, the last that was taken has to be among those that are known.
		if equal || want == 0 {
			return
		}
		if list[want-1].mark>>32+onceTail < uint64(upTo) {
			return
		}
		if got.taken != want {
			t.Fatalf("%+v, want %d: %d to %d taken, read from %d with a gap of %d at %d", got, want, int(upTo)-len(tail), upTo, from, gap, gapAt)
		}
	})
}
