package websocket

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"poosh/server/loop"
)

func TestTextFrame(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 100000} {
		payload := bytes.Repeat([]byte("x"), n)
		frame := TextFrame(payload)
		if !bytes.Equal(Payload(frame), payload) || len(frame) != headerLen(n)+n {
			t.Errorf("%d bytes: frame of %d", n, len(frame))
		}
	}
}

func TestCloseFrameCutsBetweenCharacters(t *testing.T) {
	frame := closeFrame(CloseNormal, strings.Repeat("é", 100))
	if len(frame) != 2+2+122 || frame[1] != 124 {
		t.Errorf("frame of %d bytes", len(frame))
	}
}

// FuzzInput feeds a connection's parser in two pieces: it must not panic, and
// what it says must not depend on where the stream was cut.
func FuzzInput(f *testing.F) {
	f.Add(clientFrame(0x81, "hello"), 3)
	f.Add(append(clientFrame(0x01, "a"), clientFrame(0x80, "b")...), 7)
	f.Add([]byte("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), 1)
	f.Add(clientFrame(0x88, "\x03\xe8bye"), 2)
	l, err := loop.New(loop.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(l.Close)
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		if cut < 0 || cut > len(stream) {
			cut = len(stream) / 2
		}
		whole := replay(t, l, stream)
		parts := replay(t, l, stream[:cut], stream[cut:])
		if whole != parts {
			t.Errorf("in one piece %q, in two %q", whole, parts)
		}
	})
}

type transcript struct {
	strings.Builder
	closed chan struct{}
}

func (h *transcript) Message(_ *Conn, binary bool, data []byte) {
	if binary {
		h.WriteString("B")
	}
	h.WriteString("[" + string(data) + "]")
}
func (h *transcript) Closed(*Conn, error) { close(h.closed) }

// replay hands pieces to a codec, and returns what was heard and what is answered.
func replay(t *testing.T, l *loop.Loop, pieces ...[]byte) string {
	h := &transcript{closed: make(chan struct{})}
	peer, own := net.Pipe()
	p := &codec{server: NewServer(l, Config{}), handler: h, maxMessage: 1000}
	c, err := l.AttachConn(own, loop.Options{}, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range pieces {
		p.Data(c, bytes.Clone(piece))
	}
	c.Finish()
	go c.Start() // ends with what is read here
	answers, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	<-h.closed
	h.Write(answers)
	return h.String()
}
