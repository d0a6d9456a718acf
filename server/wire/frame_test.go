package wire

import (
	"bytes"
	"strings"
	"sync"
	"testing"
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
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		if cut < 0 || cut > len(stream) {
			cut = len(stream) / 2
		}
		whole := replay(stream)
		parts := replay(stream[:cut], stream[cut:])
		if whole != parts {
			t.Errorf("in one piece %q, in two %q", whole, parts)
		}
	})
}

type transcript struct{ strings.Builder }

func (h *transcript) Message(_ *Conn, binary bool, data []byte) {
	if binary {
		h.WriteString("B")
	}
	h.WriteString("[" + string(data) + "]")
}
func (h *transcript) Closed(*Conn, error) {}

// replay runs the parser alone: a connection whose frames nobody writes.
func replay(pieces ...[]byte) string {
	h := new(transcript)
	l := &Loop{cfg: Config{}.withDefaults(), wheel: new(wheel)} // which nobody turns
	l.reaper.wake = sync.NewCond(&l.reaper.mu)                  // and nobody who reaps
	s := &shard{loop: l}
	s.wake = sync.NewCond(&s.mu)
	c := &Conn{shard: s, handler: h, maxMessage: 1000, limit: 1 << 20}
	for _, p := range pieces {
		c.input(bytes.Clone(p))
	}
	for _, f := range c.take() {
		h.Write(f)
	}
	return h.String()
}
