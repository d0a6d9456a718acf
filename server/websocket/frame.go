package websocket

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// Opcodes, RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA

	finBit  = 0x80
	rsvBits = 0x70
	maskBit = 0x80
)

// Close codes, RFC 6455 section 7.4.1.
const (
	CloseNormal      = 1000
	CloseGoingAway   = 1001
	CloseProtocol    = 1002
	CloseNoStatus    = 1005 // never on the wire: a close frame without a code
	CloseInvalidData = 1007
	ClosePolicy      = 1008
	CloseTooBig      = 1009
	CloseInternal    = 1011
	CloseTryLater    = 1013
)

// maxHeader is the longest header of a frame that a server sends: two bytes and
// a 64-bit length, without a mask.
const maxHeader = 10

// maxControl is the longest payload of a control frame, RFC 6455 section 5.5.
const maxControl = 125

// TextFrame returns payload as one text frame, ready for [Conn.Push]. The frame
// must not be changed afterwards: many connections may share it.
func TextFrame(payload []byte) []byte {
	b := make([]byte, maxHeader+len(payload))
	copy(b[maxHeader:], payload)
	return FrameInPlace(b)
}

// HeaderSpace is the room that [FrameInPlace] needs before a payload.
const HeaderSpace = maxHeader

// FrameInPlace turns b, whose payload begins at [HeaderSpace], into a text
// frame without moving the payload. It returns a part of b.
func FrameInPlace(b []byte) []byte {
	start := maxHeader - headerLen(len(b)-maxHeader)
	putHeader(b[start:], finBit|opText, len(b)-maxHeader)
	return b[start:]
}

// Payload returns the payload of a frame made by [TextFrame] or [FrameInPlace].
func Payload(frame []byte) []byte {
	switch frame[1] {
	case 126:
		return frame[4:]
	case 127:
		return frame[10:]
	}
	return frame[2:]
}

// AppendBinary appends a binary frame with a payload, in two parts, to frames that are pushed in one
// piece: nothing comes between them.
func AppendBinary(frames, first, rest []byte) []byte {
	var header [maxHeader]byte
	n := len(first) + len(rest)
	putHeader(header[:], finBit|opBinary, n)
	return append(append(append(frames, header[:headerLen(n)]...), first...), rest...)
}

// Cut returns the payload of the first of the frames that one piece has, made by [TextFrame],
// [FrameInPlace] or [AppendBinary], and the others.
func Cut(frames []byte) (payload []byte, isBinary bool, rest []byte) {
	start, n := 2, int(frames[1])
	switch n {
	case 126:
		start, n = 4, int(frames[2])<<8|int(frames[3])
	case 127:
		start, n = 10, int(binary.BigEndian.Uint64(frames[2:]))
	}
	return frames[start : start+n], frames[0] == finBit|opBinary, frames[start+n:]
}

func headerLen(n int) int {
	switch {
	case n < 126:
		return 2
	case n < 1<<16:
		return 4
	}
	return 10
}

func putHeader(b []byte, first byte, n int) {
	b[0] = first
	switch headerLen(n) {
	case 2:
		b[1] = byte(n)
	case 4:
		b[1] = 126
		binary.BigEndian.PutUint16(b[2:], uint16(n))
	default:
		b[1] = 127
		binary.BigEndian.PutUint64(b[2:], uint64(n))
	}
}

// controlFrame returns a ping, pong or close frame; a payload that is too long
// is cut.
func controlFrame(op byte, payload []byte) []byte {
	if len(payload) > maxControl {
		payload = payload[:maxControl]
	}
	b := make([]byte, 2+len(payload))
	b[0], b[1] = finBit|op, byte(len(payload))
	copy(b[2:], payload)
	return b
}

// PingFrame returns a ping without a payload, ready for [Conn.Push].
func PingFrame() []byte { return controlFrame(opPing, nil) }

// closeFrame returns a close frame with a code and a reason of at most 123
// bytes, cut between characters; code [CloseNoStatus] gives an empty one.
func closeFrame(code int, reason string) []byte {
	if code == CloseNoStatus {
		return controlFrame(opClose, nil)
	}
	if len(reason) > maxControl-2 {
		reason = reason[:maxControl-2]
		for !utf8.ValidString(reason) {
			reason = reason[:len(reason)-1]
		}
	}
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, maxControl), uint16(code))
	return controlFrame(opClose, append(payload, reason...))
}

// A protocolError is a client's breach of RFC 6455 and the code it is closed
// with.
type protocolError struct {
	code int
	text string
}

func (e *protocolError) Error() string { return e.text }

var (
	errReserved  = &protocolError{CloseProtocol, "reserved bits are set"}
	errOpcode    = &protocolError{CloseProtocol, "unknown opcode"}
	errUnmasked  = &protocolError{CloseProtocol, "frame is not masked"}
	errControl   = &protocolError{CloseProtocol, "control frame is fragmented or too long"}
	errSequence  = &protocolError{CloseProtocol, "fragments out of sequence"}
	errLength    = &protocolError{CloseProtocol, "frame length is not minimal"}
	errTooBig    = &protocolError{CloseTooBig, "message is too big"}
	errTooMuch   = &protocolError{CloseTryLater, "too many unfinished messages, try again later"}
	errUTF8      = &protocolError{CloseInvalidData, "text is not UTF-8"}
	errCloseCode = &protocolError{CloseProtocol, "invalid close code"}
	errNeedMore  = errors.New("frame is not complete")
)

// A header is the start of a client's frame.
type header struct {
	op      byte
	fin     bool
	size    int // of the header itself
	payload int
	mask    [4]byte
}

// parseHeader reads the header of a client's frame, RFC 6455 section 5.2. It
// returns errNeedMore for a beginning. limit bounds the payload.
func parseHeader(b []byte, limit int) (h header, err error) {
	if len(b) < 2 {
		return h, errNeedMore
	}
	h.fin, h.op = b[0]&finBit != 0, b[0]&0x0f
	switch {
	case b[0]&rsvBits != 0:
		return h, errReserved
	case h.op > opBinary && h.op < opClose, h.op > opPong:
		return h, errOpcode
	case b[1]&maskBit == 0:
		return h, errUnmasked
	}
	n := uint64(b[1] &^ maskBit)
	if h.op >= opClose && (!h.fin || n > maxControl) {
		return h, errControl
	}
	h.size = 2
	switch n {
	case 126:
		if len(b) < 4 {
			return h, errNeedMore
		}
		n, h.size = uint64(binary.BigEndian.Uint16(b[2:])), 4
		if n < 126 {
			return h, errLength
		}
	case 127:
		if len(b) < 10 {
			return h, errNeedMore
		}
		n, h.size = binary.BigEndian.Uint64(b[2:]), 10
		if n < 1<<16 {
			return h, errLength
		}
	}
	if n > uint64(limit) && n > maxControl {
		return h, errTooBig
	}
	h.payload = int(n)
	if len(b) < h.size+4 {
		return h, errNeedMore
	}
	h.mask = [4]byte(b[h.size:])
	h.size += 4
	return h, nil
}

// unmask undoes the client's mask in place, RFC 6455 section 5.3.
func unmask(b []byte, key [4]byte) {
	k32 := binary.LittleEndian.Uint32(key[:])
	k64 := uint64(k32)<<32 | uint64(k32)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k64)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= key[i&3]
	}
}

// validCloseCode reports whether a client may send a code, RFC 6455 section
// 7.4.
func validCloseCode(code int) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code < 1000 || code > 1014:
		return false
	}
	return code != 1004 && code != 1005 && code != 1006
}
