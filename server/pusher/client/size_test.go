package client

import (
	"testing"
	"unsafe"
)

// There are as many clients as connections: this is a size that Go allocates.
func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("measured on 64 bits")
	}
	if n := unsafe.Sizeof(client{}); n > 176 {
		t.Errorf("a client takes %d bytes", n)
	}
}
