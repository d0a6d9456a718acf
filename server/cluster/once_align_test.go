package cluster

import (
	"testing"
	"time"
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
			stream = append(stream, d<<32)
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
