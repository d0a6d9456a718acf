// Package logtest has what tests read of what a program or a server writes.
package logtest

import (
	"bytes"
	"strings"
	"sync"
)

// A Buffer is written by one goroutine, or a process, and read by others. The zero one is
// empty; its methods may be called from any goroutine.
type Buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write appends to what there is.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Count returns how often a text was written so far.
func (b *Buffer) Count(what string) int { return strings.Count(b.String(), what) }

// Take returns what was written since it was called last.
func (b *Buffer) Take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.buf.Reset()
	return b.buf.String()
}

// Tail returns the end of that, enough to see why something ended.
func (b *Buffer) Tail() string {
	text := b.String()
	return text[max(0, len(text)-8000):]
}
