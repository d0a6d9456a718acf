package pusher_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"poosh/test/process"
)

// A door is a port in front of a server's, at which new connections wait while it is shut; those
// that are there go on.
//
// Outside a browser pusher-js gives its one transport up after two connections that ended without
// a word and soon: sooner than two of its activity_timeout after they began. A server that ends is
// one such end. Who came back to it before it is gone would be let in and told to come later,
// which is the second. So nobody does: they wait until the next server is there.
type door struct {
	*process.Front
	to    string
	gate  sync.RWMutex // held for writing while it is shut
	mutes atomic.Int64 // so many of the connections that have said nothing yet hear nothing more once they do
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

// carry joins a connection to the server's port until both ends are closed, as Front.Join does,
// and can keep what the server says from the client.
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
	var back sync.WaitGroup
	e := &ear{door: d, conn: c}
	back.Go(func() {
		_, _ = io.Copy(e, up)
		_ = c.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(up, io.TeeReader(c, (*mouth)(e)))
	_ = up.(*net.TCPConn).CloseWrite()
	back.Wait()
}

// An ear is what a client hears through a door: nothing any more once it is muted.
type ear struct {
	door  *door
	conn  net.Conn
	head  []byte // of its handshake, until that is whole; of the mouth alone
	spoke bool   // it has said something behind that; of the mouth alone
	muted atomic.Bool
}

func (e *ear) Write(b []byte) (int, error) {
	if e.muted.Load() {
		return len(b), nil
	}
	return e.conn.Write(b)
}

// A mouth is shown what the client of an ear says, before the server is.
type mouth ear

func (m *mouth) Write(b []byte) (int, error) {
	if m.spoke {
		return len(b), nil
	}
	m.head = append(m.head, b...)
	if _, behind, whole := bytes.Cut(m.head, []byte("\r\n\r\n")); whole && len(behind) > 0 {
		m.spoke, m.head = true, nil
		if m.door.mutes.Load() > 0 {
			m.muted.Store(true)
			m.door.mutes.Add(-1)
		}
	}
	return len(b), nil
}
