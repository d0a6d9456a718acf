package protocol

import (
	"unicode/utf8"

	"poosh/server/websocket"
)

// newFrame returns a buffer with room for the header of a frame in front.
func newFrame(size int) []byte {
	return make([]byte, websocket.HeaderSpace, websocket.HeaderSpace+size)
}

// mustEscape are the ASCII bytes that a JSON string may not hold as they are.
var mustEscape = func() (t [utf8.RuneSelf]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Nothing is escaped that need not be;
// what is no UTF-8 becomes U+FFFD, since a browser closes a connection for it.
func AppendString[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if !mustEscape[c] {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		if r == utf8.RuneError && size == 1 {
			b = append(append(b, s[from:i]...), "\ufffd"...)
			i++
			from = i
			continue
		}
		i += size
	}
	return append(append(b, s[from:]...), '"')
}

// JSONString is the data of an event as its publication has it: a JSON string.
func JSONString(data []byte) []byte {
	return AppendString(make([]byte, 0, len(data)+len(data)/4+16), data)
}
