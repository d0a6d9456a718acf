package process

import (
	"net"
	"sync"
	"testing"
)

// Ports that are free, each another one, and none of those that the system gives away
// itself; another process would have other blocks.
func TestFreePort(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[int]bool)
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 2 * blockSize {
				port := FreePort(t)
				mu.Lock()
				if seen[port] {
					t.Errorf("%d is given twice", port)
				}
				seen[port] = true
				mu.Unlock()
				if port < lowestPort || port >= firstGiven() {
					t.Errorf("%d is given by the system too", port)
				}
				ln, err := listen(port)
				if err != nil {
					t.Errorf("%d is not free: %v", port, err)
					continue
				}
				_ = ln.Close()
			}
		})
	}
	asking.Wait()
	for _, ln := range own.claims {
		if again, err := net.Listen("tcp", ln.Addr().String()); err == nil {
			_ = again.Close()
			t.Errorf("another process would be given the block at %v too", ln.Addr())
		}
	}
}
