//go:build linux

package load

import (
	"bufio"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Go's runtime signals its threads at any time; connecting must not end with that.
func TestDialingOutlivesSignals(t *testing.T) {
	addr := serve(t, func(nc net.Conn, _ *bufio.Reader) { io.Copy(io.Discard, nc) })
	stop := make(chan struct{})
	var group sync.WaitGroup
	defer group.Wait()
	defer close(stop)
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = syscall.Kill(syscall.Getpid(), syscall.SIGURG)
				time.Sleep(20 * time.Microsecond)
			}
		}
	})
	for range 500 {
		fd, err := dialBlocking(addr, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Close(fd)
	}
}
