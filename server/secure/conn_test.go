package secure

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"poosh/server/certificate/certificatetest"
)

const patience = 10 * time.Second

// A site is a gate with a listener behind it.
type site struct {
	t      testing.TB
	gate   *Gate
	ln     net.Listener
	client *tls.Config
}

func newSite(t testing.TB) *site {
	t.Helper()
	a := certificatetest.New(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &site{t, NewGate(a.Server("secure.example")), ln, a.Client()}
}

// sockets returns both ends of a new connection, on which nothing was said.
func (s *site) sockets() (client net.Conn, server *Conn) {
	s.t.Helper()
	client, err := net.Dial("tcp", s.ln.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	nc, err := s.ln.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { client.Close(); nc.Close() })
	return client, s.gate.Server(nc.(*net.TCPConn))
}

// connect returns both ends of a connection, the handshake made.
func (s *site) connect() (*tls.Conn, *Conn) {
	s.t.Helper()
	nc, server := s.sockets()
	client := tls.Client(nc, s.client)
	_ = client.SetDeadline(time.Now().Add(patience))
	shaken := make(chan error, 1)
	go func() { shaken <- server.Shake(patience, nil) }()
	if err := errors.Join(client.Handshake(), <-shaken); err != nil {
		s.t.Fatal(err)
	}
	return client, server
}

// soon fails the test when f waits for the peer.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > time.Second {
		t.Errorf("%s took %v", what, took)
	}
}

// fill writes until the peer's socket takes nothing more.
func fill(t *testing.T, c *Conn) {
	t.Helper()
	for b := make([]byte, 1<<20); ; {
		_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// TestEnds: a peer that reads is told of the end, and one that does not is not waited for.
func TestEnds(t *testing.T) {
	for name, end := range map[string]func(*Conn){
		"Close":      func(c *Conn) { _ = c.Close() },
		"CloseWrite": func(c *Conn) { _ = c.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			client, server := s.connect()
			if _, err := server.Write([]byte("last")); err != nil {
				t.Fatal(err)
			}
			soon(t, "the end", func() { end(server) })
			if text, err := io.ReadAll(client); string(text) != "last" || err != nil {
				t.Errorf("%q, %v", text, err) // an end that nobody announced is an error
			}

			client, server = s.connect()
			fill(t, server)
			soon(t, "the end of one that reads nothing", func() { end(server) })
			// What it reads at last is cut off, and not wrong.
			if _, err := io.Copy(io.Discard, client); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v", err)
			}

			// One whose socket is full to the brim, although no write failed.
			_, server = s.connect()
			_ = server.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			for b := make([]byte, 1<<20); ; {
				if _, err := server.socket.TCPConn.Write(b); err != nil {
					break
				}
			}
			soon(t, "the end of a full one", func() { end(server) })

			// And one in the middle of a write, as when the peer wants other keys and
			// does not read the answer.
			_, server = s.connect()
			var writing sync.WaitGroup
			writing.Go(func() {
				for b := make([]byte, 1<<20); ; {
					if _, err := server.Write(b); err != nil {
						return
					}
				}
			})
			time.Sleep(100 * time.Millisecond)
			soon(t, "the end of one that is written to", func() { end(server) })
			soon(t, "closing it", func() { _ = server.Close() })
			writing.Wait()
		})
	}
}

// TestOldDeadline: the time that one write had is not that of an answer later on, when the
// peer wants other keys.
func TestOldDeadline(t *testing.T) {
	_, server := newSite(t).connect()
	_ = server.SetWriteDeadline(time.Now().Add(30 * time.Millisecond))
	if _, err := server.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(60 * time.Millisecond)
	if _, err := server.socket.Write([]byte("x")); err != nil {
		t.Error(err)
	}
}

// TestAFewAtATime: a handshake that is computed keeps others waiting, one that waits for
// its peer does not, and waiting has an end.
func TestAFewAtATime(t *testing.T) {
	s := newSite(t)
	for range cap(s.gate.slots) { // peers that have said half of what they begin with
		nc, server := s.sockets()
		_, _ = io.WriteString(nc, "\x16\x03\x01")
		shaken := make(chan error, 1)
		go func() { shaken <- server.Shake(patience, nil) }()
		t.Cleanup(func() {
			nc.Close()
			<-shaken
		})
	}
	s.connect()
	for range cap(s.gate.slots) {
		s.gate.slots <- struct{}{}
	}
	nc, server := s.sockets()
	go tls.Client(nc, s.client).Handshake()
	soon(t, "a handshake that has no turn", func() {
		if err := server.Shake(100*time.Millisecond, nil); !errors.Is(err, ErrLate) {
			t.Errorf("%v", err)
		}
	})
	server.Abort()
	for range cap(s.gate.slots) {
		<-s.gate.slots
	}
	s.connect()
	if got := s.gate.Stats(); got.Done != 2 || got.Late != 1 || len(s.gate.slots) != 0 {
		t.Errorf("%+v, %d at it", got, len(s.gate.slots))
	}
}

func BenchmarkHandshake(b *testing.B) {
	s := newSite(b)
	b.ReportAllocs()
	for b.Loop() {
		client, server := s.connect()
		server.Abort()
		client.NetConn().Close()
	}
}
