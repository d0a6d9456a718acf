package hub

import (
	"testing"
	"unsafe"
)

// TestPublicationSize: many are on the heap, which has a class of this size.
func TestPublicationSize(t *testing.T) {
	if size := unsafe.Sizeof(Publication{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 112 {
		t.Errorf("a publication takes %d bytes", size)
	}
}
