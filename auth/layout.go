package auth

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"sync"
)

// A layout knows where the members of objects must be printed in another order
// than they are written, or not at all. It works in two passes over a text that
// was scanned before, so that no part of it is ever copied twice: read notes the
// objects that change, append prints.
type layout struct {
	open    []object // the objects around the place read reached, innermost last
	members []member // of the open objects, each object's together
	names   []byte   // the keys that were written with escapes, without them
	table   []int32  // hash table of dropRepeats

	changed []object // by start, the objects that change; their members are in order
	order   []member
}

var layouts = sync.Pool{New: func() any { return new(layout) }}

// keepEntries is how large the slices of a layout may have grown, in entries, to
// be kept for the next text; it covers all but unusual payloads.
const keepEntries = 1 << 10

func (l *layout) release() {
	if cap(l.members) > keepEntries || cap(l.open) > keepEntries || cap(l.order) > keepEntries ||
		cap(l.changed) > keepEntries || cap(l.names) > 16*keepEntries || cap(l.table) > 4*keepEntries {
		return
	}
	l.open, l.members, l.names = l.open[:0], l.members[:0], l.names[:0]
	l.changed, l.order = l.changed[:0], l.order[:0]
	layouts.Put(l)
}

// An object is one pair of braces in the text, and where its members are noted.
type object struct {
	start, end  int // offsets of the opening brace and after the closing one
	first, last int // members[first:last], or order[first:last] once in changed
}

// A member is a key and its value.
type member struct {
	start, end         int  // from the key's quote to the end of the value; start is -1 once dropped
	nameStart, nameEnd int  // the key's characters
	escaped            bool // they are in layout.names, not in the text
	index              int64
}

// notIndex marks a member whose key is no array index.
const notIndex = -1

// addMember notes the key at src[start:end] of the innermost object. The comma
// before it ends the member before.
func (l *layout) addMember(src []byte, start, end, comma int) {
	if n := len(l.members); n > l.open[len(l.open)-1].first {
		l.members[n-1].end = comma
	}
	m := member{start: start, nameStart: start + 1, nameEnd: end - 1}
	name := src[m.nameStart:m.nameEnd]
	if bytes.IndexByte(name, '\\') >= 0 {
		m.escaped = true
		m.nameStart = len(l.names)
		l.names = appendUnquoted(l.names, name)
		m.nameEnd = len(l.names)
		name = l.names[m.nameStart:]
	}
	m.index = arrayIndex(name)
	l.members = append(l.members, m)
}

// arrayIndex returns the number a key stands for when it is an array index, which
// JavaScript keeps apart from other keys (ECMAScript, OrdinaryOwnPropertyKeys; V8
// takes 0 to 2^32-2), or notIndex.
func arrayIndex(name []byte) int64 {
	if len(name) == 0 || len(name) > 10 || name[0] == '0' && len(name) > 1 {
		return notIndex
	}
	var n int64
	for _, c := range name {
		if c -= '0'; c > 9 {
			return notIndex
		}
		n = 10*n + int64(c)
	}
	if n > math.MaxUint32-1 {
		return notIndex
	}
	return n
}

// closeObject ends the innermost object, whose closing brace stands before end. It
// reports whether the object's members change.
func (l *layout) closeObject(src []byte, end int) bool {
	o := l.open[len(l.open)-1]
	l.open = l.open[:len(l.open)-1]
	members := l.members[o.first:]
	l.members = l.members[:o.first]
	if len(members) == 0 {
		return false
	}
	members[len(members)-1].end = end - 1
	if !l.dropRepeats(src, members) && inOrder(members) {
		return false
	}

	o.end = end
	o.first = len(l.order)
	for _, m := range members {
		if m.start >= 0 && m.index != notIndex {
			l.order = append(l.order, m)
		}
	}
	slices.SortFunc(l.order[o.first:], func(a, b member) int { return cmp.Compare(a.index, b.index) })
	for _, m := range members {
		if m.start >= 0 && m.index == notIndex {
			l.order = append(l.order, m)
		}
	}
	o.last = len(l.order)
	l.changed = append(l.changed, o)
	return true
}

// inOrder reports whether the array indices come first and ascending.
func inOrder(members []member) bool {
	last := int64(notIndex)
	for i, m := range members {
		if m.index == notIndex {
			last = math.MaxInt64
		} else if m.index < last {
			return false
		} else {
			last = members[i].index
		}
	}
	return true
}

// fewMembers is up to how many members are compared each with each.
const fewMembers = 8

// dropRepeats drops each member whose key stood before, after giving its value to
// the first of that key. It reports whether there was one.
func (l *layout) dropRepeats(src []byte, members []member) bool {
	dropped := false
	if len(members) <= fewMembers {
		for j := range members {
			name := l.name(src, &members[j])
			for i := range j {
				if bytes.Equal(l.name(src, &members[i]), name) {
					repeat(&members[i], &members[j])
					dropped = true
					break
				}
			}
		}
		return dropped
	}

	size := 32
	for size < 2*len(members) {
		size *= 2
	}
	l.table = slices.Grow(l.table[:0], size)[:size]
	clear(l.table)
	for j := range members {
		name := l.name(src, &members[j])
		slot := maphash.Bytes(hashSeed, name) % uint64(size)
		for ; l.table[slot] != 0; slot = (slot + 1) % uint64(size) {
			first := &members[l.table[slot]-1]
			if bytes.Equal(l.name(src, first), name) {
				repeat(first, &members[j])
				dropped = true
				break
			}
		}
		if members[j].start >= 0 {
			l.table[slot] = int32(j + 1)
		}
	}
	return dropped
}

// hashSeed keeps senders from choosing keys that all meet in one slot.
var hashSeed = maphash.MakeSeed()

func repeat(first, again *member) {
	first.start, first.end = again.start, again.end
	again.start = -1
}

func (l *layout) name(src []byte, m *member) []byte {
	if m.escaped {
		return l.names[m.nameStart:m.nameEnd]
	}
	return src[m.nameStart:m.nameEnd]
}

// changedAt finds the object that starts at an offset, if it changes.
func (l *layout) changedAt(start int) (object, bool) {
	if len(l.changed) == 0 {
		return object{}, false
	}
	n, found := slices.BinarySearchFunc(l.changed, start, func(o object, start int) int {
		return cmp.Compare(o.start, start)
	})
	if !found {
		return object{}, false
	}
	return l.changed[n], true
}
