//go:build linux

package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// A Protocol is how clients speak.
type Protocol int

// The protocols.
const (
	EIO3       Protocol = iota // socket.io 1 and 2 on a WebSocket
	EIO4                       // socket.io 3 and 4 on a WebSocket
	Centrifuge                 // Centrifuge's JSON protocol on a WebSocket
	Poll3                      // socket.io 1 and 2, XHR polling
	Poll4                      // socket.io 3 and 4, XHR polling
	Pusher                     // Pusher Channels on a WebSocket
)

func (p Protocol) String() string {
	return [...]string{"EIO3", "EIO4", "Centrifuge JSON", "EIO3 polling", "EIO4 polling", "Pusher"}[p]
}

// polling reports whether clients of p poll.
func (p Protocol) polling() bool { return p == Poll3 || p == Poll4 }

// What clients say, as frames of RFC 6455, masked as section 5.3 demands.
var (
	sayConnect      = maskedText("40")
	sayRoom         = maskedText(`42["room","` + Room + `"]`)
	sayPing         = maskedText("2")
	sayPong         = maskedText("3")
	centrifugeHello = maskedText(`{"id":1,"connect":{"name":"bench"}}`)
	centrifugeJoin  = maskedText(`{"id":2,"subscribe":{"channel":"` + Room + `"}}`)
	centrifugePong  = maskedText("{}")
)

const (
	opText, opClose, opPing = 1, 8, 9

	finBit = 0x80
)

func maskedText(text string) []byte { return masked(opText, []byte(text)) }

// masked makes a client's frame of at most 125 bytes.
func masked(op byte, data []byte) []byte {
	if len(data) > 125 {
		panic("load: frame too long")
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	f := append([]byte{finBit | op, 0x80 | byte(len(data))}, key[:]...)
	for i, c := range data {
		f = append(f, c^key[i&3])
	}
	return f
}

// nextFrame takes one server frame off b. op is the opcode, with a bit set above it
// for whatever makes the frame more than a whole, plain message: a reserved bit, or
// that it is a fragment. rest is what follows; ok is false when b holds no whole
// frame.
func nextFrame(b []byte) (op byte, data, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, b, false
	}
	size, head := int(b[1]), 2 // a server's frame is not masked
	switch {
	case size == 126 && len(b) >= 4:
		size, head = int(binary.BigEndian.Uint16(b[2:])), 4
	case size == 127 && len(b) >= 10:
		size, head = int(binary.BigEndian.Uint64(b[2:])), 10
	case size >= 126:
		return 0, nil, b, false
	}
	if len(b) < head+size {
		return 0, nil, b, false
	}
	return b[0] ^ finBit, b[head : head+size], b[head+size:], true
}

// nextResponse takes one HTTP response with a Content-Length off b. need is how
// many bytes it has in all, or zero when that is not known yet.
func nextResponse(b []byte) (body []byte, need int, err error) {
	head, _, found := bytes.Cut(b, []byte("\r\n\r\n"))
	if !found {
		return nil, 0, nil
	}
	lines := strings.Split(string(head), "\r\n")
	if !strings.HasPrefix(lines[0], "HTTP/1.1 200") {
		return nil, 0, fmt.Errorf("server answered %q", lines[0])
	}
	size := -1
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Content-Length") {
			if _, err := fmt.Sscan(value, &size); err != nil {
				size = -1
			}
		}
	}
	if size < 0 {
		return nil, 0, fmt.Errorf("server answered without a length: %q", head)
	}
	need = len(head) + 4 + size
	if len(b) < need {
		return nil, need, nil
	}
	return b[len(head)+4 : need], need, nil
}
