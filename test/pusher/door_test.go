package pusher_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"poosh/test/process"
)

// A door is a port in front of a server's, at which new connections wait while it is shut.
//
// Outside a browser pusher-js takes each end of a connection for an unclean one, and gives its
// one transport up after the second. Who comes back while the server has not ended yet is told
// to come later, which is the second.
type door struct {
	*process.Front
	to   string
	gate sync.RWMutex // held for writing while it is shut
}

// newDoor opens one; it is taken away at the end of the test.
func newDoor(t *testing.T, port int) *door {
	t.Helper()
	d := &door{to: fmt.Sprint("127.0.0.1:", port)}
	d.Front = process.Serve(t, d.carry)
	return d
}

// shut keeps new connections waiting until f has returned.
func (d *door) shut(f func()) {
	d.gate.Lock()
	defer d.gate.Unlock()
	f()
}

// carry joins a connection to the server's port, until both ends are closed.
func (d *door) carry(f *process.Front, c net.Conn) {
	d.gate.RLock()
	up, err := net.Dial("tcp", d.to)
	d.gate.RUnlock()
	if err != nil {
		return
	}
	defer f.Drop(up)
	if !f.Keep(c, up) {
		return
	}
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}
	var back sync.WaitGroup
	back.Go(func() { pass(c, up) })
	pass(up, c)
	back.Wait()
}
