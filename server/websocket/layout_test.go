package websocket

import (
	"testing"
	"unsafe"
)

// TestCodecLayout bounds what a WebSocket costs beside the loop's connection.
func TestCodecLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("laid out for 64 bits")
	}
	if size := unsafe.Sizeof(codec{}); size > 64 {
		t.Errorf("a codec has %d bytes, want at most 64", size)
	}
}
