package loop

import (
	"io"
	"net"
	"testing"
)

// A leaver gives its connection away in the first Data, which is within Start.
type leaver struct{ to chan net.Conn }

func (l *leaver) Data(c *Conn, _ []byte) { c.Detach(func(nc net.Conn) { l.to <- nc }) }
func (*leaver) Closed(*Conn, error)      {}
func (*leaver) RemoteAddr() string       { return "leaver" }

// TestDetachAtOnce: who is detached before the poller has the connection is handed over all the same.
func TestDetachAtOnce(t *testing.T) {
	s := newSite(t, Config{})
	if s.costs() {
		t.Skip("no connection is on the loop here")
	}
	release := s.hold()
	peer, c := s.dial(t)
	l := &leaver{make(chan net.Conn, 1)}
	c.Become(l, Options{})
	release()
	nc := receive(t, l.to, "the connection")
	defer nc.Close()
	if _, err := io.WriteString(peer, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(nc, got); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
}
