package loop

import (
	"testing"
	"unsafe"
)

// TestConnLayout holds what Push looks at to one cache line: objects of 128 bytes
// begin at a multiple of 64.
func TestConnLayout(t *testing.T) {
	var c Conn
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("laid out for 64 bits")
	}
	if end := unsafe.Offsetof(c.shard) + unsafe.Sizeof(c.shard); end > 64 {
		t.Errorf("what Push looks at ends at %d, want at most 64", end)
	}
	if size := unsafe.Sizeof(c); size > 128 {
		t.Errorf("a connection has %d bytes, want at most 128", size)
	}
}
