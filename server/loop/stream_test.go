package loop

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// lines is a Protocol that answers "echo ..." with what follows, gives the connection
// away at "leave", and ends it at "finish".
type lines struct {
	left   chan net.Conn
	closed chan error
}

func (s *lines) Data(c *Conn, data []byte) {
	switch text := string(data); {
	case strings.HasPrefix(text, "echo "):
		c.Push([]byte(text[5:]))
		c.Push([]byte(text[5:]))
	case text == "leave":
		for range 100 {
			c.Push([]byte("last words "))
		}
		c.Detach(func(nc net.Conn) { s.left <- nc })
	case text == "finish":
		c.Push([]byte("bye"))
		c.Finish()
		if c.Push([]byte("too late")) {
			c.Abort(errors.New("pushed behind the end"))
		}
	case text == "flood":
		c.Push(make([]byte, floodSize))
	case text == "panic":
		panic("a bug")
	}
}

func (s *lines) Closed(c *Conn, reason error) { s.closed <- reason }
func (s *lines) RemoteAddr() string           { return "lines" }

const floodSize = 32 << 20

// carry returns the other end of a connection on the loop.
func carry(t *testing.T, l *Loop, s *lines) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	_ = peer.SetDeadline(time.Now().Add(10 * time.Second))
	attachFrom(t, l, ln, Options{Outbox: 2 * floodSize, Cork: true}, s)
	return peer
}

func TestStream(t *testing.T) {
	l, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if runtime.GOOS != "linux" {
		t.Skip("nothing is accepted without epoll")
	}
	s := &lines{left: make(chan net.Conn, 1), closed: make(chan error, 1)}
	hear := func(peer net.Conn, want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(peer, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	say := func(peer net.Conn, text string) {
		t.Helper()
		if _, err := io.WriteString(peer, text); err != nil {
			t.Fatal(err)
		}
	}

	peer := carry(t, l, s)
	if st := l.Stats(); st.Conns != 1 {
		t.Errorf("on the loop: %d", st.Conns)
	}
	say(peer, "echo abc")
	hear(peer, "abcabc")
	say(peer, "leave")
	nc := <-s.left
	defer nc.Close()
	if st := l.Stats(); st.Conns != 0 {
		t.Errorf("on the loop: %d", st.Conns)
	}
	hear(peer, strings.Repeat("last words ", 100))
	say(peer, "hello")
	hear(nc, "hello")
	say(nc, "there")
	hear(peer, "there")
	if len(s.closed) != 0 {
		t.Error("a connection that was detached is told of as closed")
	}

	// One that has not read what it was sent, far more than the kernel holds.
	peer = carry(t, l, s)
	say(peer, "flood")
	time.Sleep(50 * time.Millisecond)
	say(peer, "leave")
	got := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, peer, floodSize+int64(len("last words ")*100))
		got <- err
	}()
	left := <-s.left
	defer left.Close()
	if err := <-got; err != nil {
		t.Errorf("what waited did not come: %v", err)
	}
	if st := l.Stats(); st.Queued != 0 || st.Blocked != 0 {
		t.Errorf("%d and %d bytes are counted for nobody", st.Queued, st.Blocked)
	}

	for text, want := range map[string]error{"finish": ErrClosed, "panic": ErrPanic} {
		peer := carry(t, l, s)
		say(peer, text)
		if text == "finish" {
			hear(peer, "bye")
		}
		if n, err := peer.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s: read %d bytes, %v", text, n, err)
		}
		if reason := <-s.closed; reason != want {
			t.Errorf("%s: closed for %v", text, reason)
		}
	}
}
