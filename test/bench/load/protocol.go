//go:build linux

package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"poosh/server/loadtest"
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
	sayPing         = maskedText("2")
	sayPong         = maskedText("3")
	centrifugeHello = maskedText(`{"id":1,"connect":{"name":"bench"}}`)
	centrifugePong  = maskedText("{}")
)

const (
	opText, opClose, opPing = 1, 8, 9

	finBit = 0x80
)

func maskedText(text string) []byte { return masked(opText, []byte(text)) }

// masked makes a client's frame of less than 64 KiB.
func masked(op byte, data []byte) []byte {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	f := []byte{finBit | op}
	switch n := len(data); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = append(f, 0x80|126, byte(n>>8), byte(n))
	default:
		panic("load: frame too long")
	}
	f = append(f, key[:]...)
	for i, c := range data {
		f = append(f, c^key[i&3])
	}
	return f
}

// joinFrames are the frames that a client joins its rooms with.
func (c *Crowd) joinFrames(i int) (frames []byte) {
	for k, room := range c.cfg.Rooms.of(i) {
		var text string
		switch {
		case c.cfg.Presence:
			text = presenceJoin(c.clients[i].socket, c.cfg.Secret, presenceOf(room), i)
		case c.cfg.Protocol == Pusher:
			text = `{"event":"pusher:subscribe","data":{"channel":"` + room + `"}}`
		case c.cfg.Protocol == Centrifuge:
			text = `{"id":` + strconv.Itoa(2+k) + `,"subscribe":{"channel":"` + room + `"}}`
		case c.since != "":
			text = `420["room","` + room + `",{"since":"` + c.since + `"}]`
		default:
			text = `42["room","` + room + `"]`
		}
		frames = append(frames, maskedText(text)...)
	}
	return frames
}

// leaveFrame is the frame that a client leaves its room with. Socket.IO has no such
// thing; servers that are written for the benchmark take this event.
func (c *Crowd) leaveFrame(i int) []byte {
	room := c.cfg.Rooms.of(i)[0]
	switch {
	case c.cfg.Presence:
		return maskedText(`{"event":"pusher:unsubscribe","data":{"channel":"` + presenceOf(room) + `"}}`)
	case c.cfg.Protocol == Pusher:
		return maskedText(`{"event":"pusher:unsubscribe","data":{"channel":"` + room + `"}}`)
	case c.cfg.Protocol == Centrifuge:
		return maskedText(`{"id":1000,"unsubscribe":{"channel":"` + room + `"}}`)
	}
	return maskedText(`42["leave","` + room + `"]`)
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
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, 0, nil
	}
	first, headers, _ := bytes.Cut(b[:end], []byte("\r\n"))
	if !bytes.HasPrefix(first, []byte("HTTP/1.1 200")) {
		return nil, 0, fmt.Errorf("server answered %q", first)
	}
	size := contentLength(headers)
	if size < 0 {
		return nil, 0, fmt.Errorf("server answered without a length: %q", b[:end])
	}
	need = end + 4 + size
	if len(b) < need {
		return nil, need, nil
	}
	return b[end+4 : need], need, nil
}

// closes reports whether the head of a response says that its connection ends.
func closes(b []byte) bool {
	head, _, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	for line := range bytes.Lines(head) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Connection")) && bytes.EqualFold(bytes.TrimSpace(value), []byte("close")) {
			return true
		}
	}
	return false
}

// contentLength returns the value of a Content-Length, or -1 without one.
func contentLength(headers []byte) int {
	for line := range bytes.Lines(headers) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if !bytes.EqualFold(name, []byte("Content-Length")) {
			continue
		}
		if v, ok := loadtest.Digits(bytes.TrimSpace(value)); ok && len(value) < 12 {
			return int(v)
		}
	}
	return -1
}
