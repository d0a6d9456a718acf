package socketio

import (
	"unicode/utf8"

	"poosh/server/websocket"
)

// Everything that leaves is ASCII. socket.io-client 1.x decodes UTF-8 twice on
// some transports, 2.x once, and both announce protocol 3; where a character is
// written as \uXXXX nobody can decode it wrongly, and its length in bytes, in
// characters and in UTF-16 units is the same.

// EventFrame returns the packet 42[event,data] as a WebSocket text frame, good
// for every client version and transport; see [Session.Deliver]. data is JSON
// text; nil stands for null, and several with commas between are so many arguments. The frame
// must not be changed.
func EventFrame(event string, data []byte) []byte {
	if data == nil {
		data = []byte("null")
	}
	b := make([]byte, websocket.HeaderSpace, websocket.HeaderSpace+len(event)+len(data)+16)
	b = appendEvent(b, event, data)
	return websocket.FrameInPlace(append(b, ']'))
}

// MarkedFrame is [EventFrame] with one more argument behind the payload, a string, which
// must be ASCII that needs no escape. [Mark] is where it stands.
func MarkedFrame(event string, data []byte, mark string) []byte {
	b := make([]byte, websocket.HeaderSpace, websocket.HeaderSpace+len(event)+len(data)+len(mark)+20)
	b = append(appendEvent(b, event, data), `,"`...)
	b = append(b, mark...)
	return websocket.FrameInPlace(append(b, `"]`...))
}

// Mark is the text of so many bytes in a [MarkedFrame], or at the end of what a [Packet] makes.
func Mark(frame []byte, size int) []byte {
	text, _, _ := websocket.Cut(frame) // attachments may follow
	end := len(text) - len(`"]`)
	return text[end-size : end]
}

// AppendString appends s as a JSON string in ASCII, for the data of an event.
func AppendString(dst []byte, s string) []byte { return appendString(dst, s) }

func appendEvent(b []byte, event string, data []byte) []byte {
	b = append(b, `42[`...)
	b = appendString(b, event)
	b = append(b, ',')
	return appendASCII(b, data)
}

// messageFrame returns an engine.io message with a packet of the library's.
func messageFrame(packet []byte) []byte {
	b := make([]byte, websocket.HeaderSpace, websocket.HeaderSpace+len(packet)+1)
	return websocket.FrameInPlace(appendASCII(append(b, '4'), packet))
}

const hexDigits = "0123456789abcdef"

// appendASCII appends JSON text with every character beyond ASCII written as an
// escape. Such characters stand only inside strings, so no parsing is needed.
// Bytes that are not UTF-8 become U+FFFD, but surrogates that were encoded one
// by one stay what they are.
func appendASCII(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		start := i
		for i < len(text) && text[i] < utf8.RuneSelf {
			i++
		}
		dst = append(dst, text[start:i]...)
		if i == len(text) {
			break
		}
		r, n := decodeRune(text[i:])
		dst = appendRune(dst, r)
		i += n
	}
	return dst
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = appendUnit(dst, uint16(c))
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, n := decodeRune([]byte(s[i:min(len(s), i+utf8.UTFMax)]))
			dst = appendRune(dst, r)
			i += n
			continue
		}
		i++
	}
	return append(dst, '"')
}

func appendRune(dst []byte, r rune) []byte {
	if r >= 0x10000 {
		r -= 0x10000
		dst = appendUnit(dst, uint16(0xD800+r>>10))
		return appendUnit(dst, uint16(0xDC00+r&0x3FF))
	}
	return appendUnit(dst, uint16(r))
}

func appendUnit(dst []byte, u uint16) []byte {
	return append(dst, '\\', 'u', hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}

// decodeRune is utf8.DecodeRune that lets encoded surrogates pass (ED A0..BF).
func decodeRune(b []byte) (rune, int) {
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 && len(b) >= 3 && b[0] == 0xED && b[1]&0xE0 == 0xA0 && b[2]&0xC0 == 0x80 {
		return rune(b[0]&0x0F)<<12 | rune(b[1]&0x3F)<<6 | rune(b[2]&0x3F), 3
	}
	return r, n
}
