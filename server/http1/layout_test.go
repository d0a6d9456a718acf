package http1

import (
	"testing"
	"unsafe"
)

// TestPendingLayout: there are as many pending answers as polls that wait; this is a size
// that Go allocates.
func TestPendingLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("laid out for 64 bits")
	}
	if size := unsafe.Sizeof(Pending{}); size > 80 {
		t.Errorf("a pending answer has %d bytes, want at most 80", size)
	}
}
