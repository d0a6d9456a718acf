package sends

import (
	"crypto/rand"
	"encoding/base32"
	"strconv"
	"strings"
	"sync/atomic"
)

const (
	// digits is how many an id's number has at least, so that ids sort: enough for
	// three months of a hundred thousand sends a second.
	digits = 12
	// perBlock is how many ids are written at once, as one text that they are parts of:
	// an id by itself would be an allocation for each send.
	perBlock = 64
)

// ids gives ids. It must have its prefix.
type ids struct {
	prefix string // set once
	last   atomic.Uint64
	block  atomic.Pointer[block]
}

// A block is some ids written down, one behind the other. It is never changed.
type block struct {
	first uint64
	width int // of each
	text  string
}

// newPrefix returns a process's part of its ids.
func newPrefix() string {
	var raw [5]byte
	_, _ = rand.Read(raw[:]) // never fails
	return strings.ToLower(base32.HexEncoding.EncodeToString(raw[:]))
}

func (i *ids) next() string {
	n := i.last.Add(1)
	b := i.block.Load()
	if b == nil || n-b.first >= perBlock { // also for n of a block before
		fresh := i.write(n - n%perBlock)
		// Who is late with a number of an earlier block does not take the newer one away.
		if b == nil || fresh.first > b.first {
			i.block.CompareAndSwap(b, fresh)
		}
		b = fresh
	}
	at := int(n-b.first) * b.width
	return b.text[at : at+b.width]
}

// write writes a block down.
func (i *ids) write(first uint64) *block {
	wide := max(digits, len(strconv.FormatUint(first+perBlock-1, 10)))
	b := &block{first: first, width: len(i.prefix) + 1 + wide}
	var text strings.Builder
	text.Grow(perBlock * b.width)
	var number [20]byte
	for n := first; n < first+perBlock; n++ {
		text.WriteString(i.prefix)
		text.WriteByte('-')
		plain := strconv.AppendUint(number[:0], n, 10)
		for range wide - len(plain) {
			text.WriteByte('0')
		}
		text.Write(plain)
	}
	b.text = text.String()
	return b
}

// Item returns the id of an event in a request that brings a list of them; place is
// from 0 on.
func Item(id string, place int) string { return id + "." + strconv.Itoa(place+1) }
