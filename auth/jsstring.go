package auth

import (
	"bytes"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// JSString returns what String(JSON.parse(src)) gives in JavaScript: a string as
// it is, numbers as JavaScript prints them, the elements of an array joined with
// commas (null and empty arrays as nothing), any object as "[object Object]".
// Socket.IO's rooms are compared by these names.
//
// Half of a surrogate pair, which only an escape can bring, becomes the three
// bytes that UTF-8 would have for it (known as WTF-8), so two names are the same
// bytes exactly when they are the same JavaScript string. Errors are Parse's.
func JSString(src []byte) (string, error) {
	v, err := Parse(src)
	if err != nil {
		return "", err
	}
	return v.String(), nil
}

// String returns String(value) as [JSString] does; "undefined" when absent.
func (v Value) String() string {
	switch v.Kind() {
	case Absent:
		return "undefined"
	case Null, Bool:
		return string(v.text)
	case Number:
		var buf [32]byte
		return string(appendNumberName(buf[:0], v.text))
	case String:
		s := v.text[1 : len(v.text)-1]
		if bytes.IndexByte(s, '\\') < 0 {
			return string(s)
		}
		return string(v.AppendUnquoted(make([]byte, 0, len(s))))
	case Object:
		return "[object Object]"
	}
	return string(appendJoined(nil, v.text))
}

// AppendUnquoted appends the characters of a value that is a string, as [JSString] has
// them. It must be one.
func (v Value) AppendUnquoted(dst []byte) []byte {
	return appendUnquoted(dst, v.text[1:len(v.text)-1])
}

// appendJoined appends an array's text as Array.prototype.join does. A nested
// array gives its own elements joined, so the inner brackets simply go.
func appendJoined(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == '"':
			end := endOfString(src, i)
			dst = appendUnquoted(dst, src[i+1:end-1])
			i = end
		case c == '{':
			dst = append(dst, "[object Object]"...)
			i = endOfObject(src, i)
		case c == 'n':
			i += len("null")
		case c == '-' || c-'0' <= 9:
			end := endOfNumber(src, i)
			dst = appendNumberName(dst, src[i:end])
			i = end
		default:
			if c != '[' && c != ']' && !isBlank(c) { // a comma, true, false
				dst = append(dst, c)
			}
			i++
		}
	}
	return dst
}

// appendNumberName appends String(number); unlike JSON.stringify it has a word for
// what is too large.
func appendNumberName(dst, text []byte) []byte {
	f := parseNumber(text)
	switch {
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	return appendNumber(dst, f)
}

// endOfObject returns the offset after the object that starts at src[i], in a text
// that was scanned before.
func endOfObject(src []byte, i int) int {
	for depth := 0; ; {
		switch src[i] {
		case '"':
			i = endOfString(src, i)
			continue
		case '{':
			depth++
		case '}':
			depth--
			if depth == 0 {
				return i + 1
			}
		}
		i++
	}
}

// endOfNumber returns the offset after the number that starts at src[i], in a text
// that was scanned before.
func endOfNumber(src []byte, i int) int {
	for i < len(src) {
		switch c := src[i]; {
		case c-'0' <= 9, c == '-', c == '+', c == '.', c|0x20 == 'e':
			i++
		default:
			return i
		}
	}
	return i
}

// appendUnquoted appends the characters of a string whose text between the quotes
// is s.
func appendUnquoted(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			n := bytes.IndexByte(s[i:], '\\')
			if n < 0 {
				return append(dst, s[i:]...)
			}
			dst = append(dst, s[i:i+n]...)
			i += n
		}
		if s[i+1] != 'u' {
			dst = append(dst, unescaped(s[i+1]))
			i += 2
			continue
		}
		var r rune
		r, i = unicodeEscape(s, i)
		if utf16.IsSurrogate(r) {
			dst = append(dst, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F)
		} else {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// unescaped is the character that a backslash and c stand for.
func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// unicodeEscape reads the \uXXXX at s[i], or two that are a surrogate pair, and
// returns the offset after it. Half a pair is returned as it is.
func unicodeEscape(s []byte, i int) (rune, int) {
	r := hex4(s[i+2:])
	i += 6
	if utf16.IsSurrogate(r) && i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(s[i+2:])); pair != utf8.RuneError {
			return pair, i + 6
		}
	}
	return r, i
}

func hex4(s []byte) rune {
	return rune(hexDigit[s[0]])<<12 | rune(hexDigit[s[1]])<<8 | rune(hexDigit[s[2]])<<4 | rune(hexDigit[s[3]])
}
