package loop

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// BenchmarkPush is one delivery of 150 bytes in a buffer, to one connection after the
// other, the flusher's write and the peers' reading included. Frames leave together
// once the flusher is behind, as in a burst; a publisher who is faster than that is
// held back, as senders are.
func BenchmarkPush(b *testing.B) {
	for _, conns := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(conns), func(b *testing.B) {
			l, err := New(Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			all := make([]*Conn, conns)
			for i := range all {
				all[i] = drained(b, l)
			}
			buffer := make([]byte, 154)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if !all[i%conns].Push(buffer) {
					b.Fatal("a connection has ended")
				}
				for i%conns == 0 && inOutboxes(l) > int64(conns)<<18 {
					time.Sleep(100 * time.Microsecond)
				}
			}
			for inOutboxes(l) > 0 {
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
}

// inOutboxes returns how many bytes are in all outboxes.
func inOutboxes(l *Loop) (n int64) {
	for _, s := range l.shards {
		n += s.queuedBytes.Load() + s.blockedBytes.Load()
	}
	return n
}

// drained returns a connection whose peer reads all and says nothing.
func drained(b *testing.B, l *Loop) *Conn {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	go func() { // ends with the connection
		_, _ = io.Copy(io.Discard, peer)
		_ = peer.Close()
	}()
	return attachFrom(b, l, ln, Options{}, quiet{})
}

// attachFrom takes one connection off a listener into a loop.
func attachFrom(tb testing.TB, l *Loop, ln net.Listener, o Options, p Protocol) *Conn {
	tb.Helper()
	a, ok := l.Acceptor(ln)
	if !ok {
		tb.Fatal("nothing is accepted here")
	}
	defer a.Close()
	socket, err := a.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	c := l.Attach(socket, o, p)
	c.Start()
	return c
}

// quiet is a Protocol of which nothing is expected.
type quiet struct{}

func (quiet) Data(*Conn, []byte)  {}
func (quiet) Closed(*Conn, error) {}
func (quiet) RemoteAddr() string  { return "quiet" }
