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

const patience = 30 * time.Second

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
	if took := time.Since(began); took > 4*time.Second {
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
			text := make([]byte, 4)
			if _, err := io.ReadFull(client, text); string(text) != "last" || err != nil {
				t.Fatalf("%q, %v", text, err)
			}
			soon(t, "the end", func() { end(server) })
			if said, err := io.ReadAll(client.NetConn()); len(said) == 0 || err != nil {
				t.Errorf("%d bytes say that it ends, %v", len(said), err)
			}

			client, server = s.connect()
			fill(t, server)
			soon(t, "the end of one that reads nothing", func() { end(server) })
			// What it reads at last is cut off, perhaps between two records, and not wrong.
			if _, err := io.Copy(io.Discard, client); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
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

// take has all places of the gate taken, until the test ends.
func (s *site) take() {
	for range cap(s.gate.slots) {
		s.gate.slots <- struct{}{}
	}
	s.t.Cleanup(func() {
		for range cap(s.gate.slots) {
			<-s.gate.slots
		}
	})
}

// A second is a client's socket that calls between before it writes for the second time.
type second struct {
	net.Conn
	writes  int
	between func()
}

func (c *second) Write(b []byte) (int, error) {
	if c.writes++; c.writes == 2 {
		c.between()
	}
	return c.Conn.Write(b)
}

// TestOneMoreHello: who is asked for another hello (RFC 8446, section 4.1.4) stands in line
// again with it.
func TestOneMoreHello(t *testing.T) {
	s := newSite(t)
	s.gate.cfg.Load().CurvePreferences = []tls.CurveID{tls.CurveP384} // of which a client sends no share at first
	nc, server := s.sockets()
	var shaking sync.WaitGroup
	shaking.Go(func() { _ = tls.Client(&second{Conn: nc, between: s.take}, s.client).Handshake() })
	if err := server.Shake(time.Second, nil); !errors.Is(err, ErrLate) {
		t.Errorf("%v", err)
	}
	server.Abort()
	shaking.Wait()
}

// TestAbortInLine: who is closed while it waits for its turn is gone at once.
func TestAbortInLine(t *testing.T) {
	for name, end := range map[string]func(*Conn){"Abort": (*Conn).Abort, "Close": func(c *Conn) { _ = c.Close() }} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.take()
			nc, server := s.sockets()
			var shaking sync.WaitGroup
			shaking.Go(func() { _ = tls.Client(nc, s.client).Handshake() })
			shaken := make(chan error, 1)
			go func() { shaken <- server.Shake(patience, nil) }()
			time.Sleep(100 * time.Millisecond)
			soon(t, "the end of its handshake", func() {
				end(server)
				if err := <-shaken; err == nil || errors.Is(err, ErrLate) {
					t.Errorf("%v", err)
				}
			})
			shaking.Wait()
		})
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
