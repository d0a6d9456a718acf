package auth

import "unicode/utf8"

// ValidUTF8 reads bytes as text the way Node.js does. It returns src itself when it
// is valid UTF-8. Otherwise it returns a copy
// with U+FFFD for each maximal ill-formed part (Unicode 16, section 3.9; the WHATWG
// decoder, which Node.js uses). Neither bytes.ToValidUTF8 nor a range loop counts
// them so: the first writes one for a whole run, the second one for each byte.
func ValidUTF8(src []byte) []byte {
	if utf8.Valid(src) {
		return src
	}
	dst := make([]byte, 0, len(src)+len(src)/4)
	for len(src) > 0 {
		_, n := utf8.DecodeRune(src)
		if n > 1 || src[0] < utf8.RuneSelf {
			dst = append(dst, src[:n]...)
			src = src[n:]
			continue
		}
		dst = utf8.AppendRune(dst, utf8.RuneError)
		src = src[illFormed(src):]
	}
	return dst
}

// illFormed returns how many of the first bytes count as one error: a lead byte
// with the continuation bytes that could follow it, or one byte.
func illFormed(src []byte) int {
	need, low, high := 0, byte(0x80), byte(0xBF)
	switch c := src[0]; {
	case c >= 0xC2 && c <= 0xDF:
		need = 1
	case c >= 0xE0 && c <= 0xEF:
		need = 2
		switch c {
		case 0xE0:
			low = 0xA0
		case 0xED:
			high = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		need = 3
		switch c {
		case 0xF0:
			low = 0x90
		case 0xF4:
			high = 0x8F
		}
	}
	n := 1
	for n <= need && n < len(src) && src[n] >= low && src[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}
