package auth

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// Stringify returns exactly what JSON.stringify(JSON.parse(src)) gives in V8: no
// blanks, numbers as JavaScript prints them, the fewest escapes, and in each object
// the keys 0 to 4294967294 first and ascending, then the others in the order of
// their first appearance, each once with its last value.
//
// When nothing needs rewriting (and nothing is written as \uXXXX) the result is
// src itself without the blanks around it: it shares memory with src then. Time
// and memory grow with the length of src alone, whatever it nests or repeats.
// Errors are [Parse]'s.
func Stringify(src []byte) ([]byte, error) {
	v, err := Parse(src)
	if err != nil {
		return nil, err
	}
	return v.Stringify(), nil
}

// Stringify returns JSON.stringify(value) as the function [Stringify] does, and the
// word "undefined", as JavaScript prints it, when the value is absent.
func (v Value) Stringify() []byte {
	if len(v.text) == 0 {
		return []byte("undefined")
	}
	l := layouts.Get().(*layout)
	defer l.release()
	if l.read(v.text) {
		return v.text
	}
	return l.append(make([]byte, 0, len(v.text)), v.text)
}

// read notes the objects that change and reports whether nothing at all does: the
// text is as JSON.stringify would print it.
func (l *layout) read(src []byte) bool {
	printed := true
	comma := 0 // offset of the last one
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == '"':
			end := endOfString(src, i)
			if printed && !isPrintedString(src[i+1:end-1]) {
				printed = false
			}
			// Only a key is followed by a colon.
			if n := skipBlanks(src, end); n < len(src) && src[n] == ':' {
				l.addMember(src, i, end, comma)
			}
			i = end
		case c == '{':
			l.open = append(l.open, object{start: i, first: len(l.members)})
			i++
		case c == '}':
			i++
			if l.closeObject(src, i) {
				printed = false
			}
		case c == ',':
			comma = i
			i++
		case c == '-' || c-'0' <= 9:
			end := endOfNumber(src, i)
			if printed && !isPrinted(src[i:end]) {
				printed = false
			}
			i = end
		default:
			if isBlank(c) {
				printed = false
			}
			i++
		}
	}
	slices.SortFunc(l.changed, func(a, b object) int { return cmp.Compare(a.start, b.start) })
	return printed
}

// isPrintedString reports whether a string is surely printed as it is written.
func isPrintedString(s []byte) bool {
	for i := bytes.IndexByte(s, '\\'); i >= 0 && i < len(s); i++ {
		if s[i] == '\\' {
			i++
			if s[i] == '/' || s[i] == 'u' {
				return false
			}
		}
	}
	return true
}

// A turn is an object being printed in an order of its own.
type turn struct {
	rest   []member // still to print
	resume int      // offset after the object
	limit  int      // where the text around the object ends
}

// append prints src as JSON.stringify would. read must have seen it before.
func (l *layout) append(dst, src []byte) []byte {
	var turns []turn
	i, limit := 0, len(src)
	for {
		if i == limit {
			if len(turns) == 0 {
				return dst
			}
			t := &turns[len(turns)-1]
			if len(t.rest) > 0 {
				dst = append(dst, ',')
				i, limit = t.rest[0].start, t.rest[0].end
				t.rest = t.rest[1:]
				continue
			}
			dst = append(dst, '}')
			i, limit = t.resume, t.limit
			turns = turns[:len(turns)-1]
			continue
		}
		switch c := src[i]; {
		case c == '"':
			end := endOfString(src, i)
			dst = appendString(dst, src[i:end])
			i = end
		case c == '-' || c-'0' <= 9:
			end := endOfNumber(src, i)
			dst = appendPrinted(dst, src[i:end])
			i = end
		case c == '{':
			dst = append(dst, '{')
			o, changed := l.changedAt(i)
			if !changed {
				i++
				break
			}
			rest := l.order[o.first:o.last]
			turns = append(turns, turn{rest[1:], o.end, limit})
			i, limit = rest[0].start, rest[0].end
		default:
			if !isBlank(c) {
				dst = append(dst, c)
			}
			i++
		}
	}
}

// appendPrinted appends a JSON number as JSON.stringify prints it: null when it is
// too large for a double.
func appendPrinted(dst, text []byte) []byte {
	if f := parseNumber(text); !math.IsInf(f, 0) {
		return appendNumber(dst, f)
	}
	return append(dst, "null"...)
}

// appendString appends a JSON string, quotes included, with the escapes that
// JSON.stringify uses (ECMAScript, QuoteJSONString): quote, backslash, control
// characters and half surrogate pairs; everything else is literal.
func appendString(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			n := bytes.IndexByte(s[i:], '\\')
			if n < 0 {
				return append(dst, s[i:]...)
			}
			dst = append(dst, s[i:i+n]...)
			i += n
		}
		switch s[i+1] {
		case 'u':
			var r rune
			r, i = unicodeEscape(s, i)
			dst = appendEscaped(dst, r)
		case '/':
			dst = append(dst, '/')
			i += 2
		default:
			dst = append(dst, s[i], s[i+1])
			i += 2
		}
	}
	return dst
}

// appendEscaped appends a character that was written as \uXXXX.
func appendEscaped(dst []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r == '\b':
		return append(dst, '\\', 'b')
	case r == '\f':
		return append(dst, '\\', 'f')
	case r == '\n':
		return append(dst, '\\', 'n')
	case r == '\r':
		return append(dst, '\\', 'r')
	case r == '\t':
		return append(dst, '\\', 't')
	case r < ' ' || utf16.IsSurrogate(r):
		return append(dst, '\\', 'u', digits[r>>12], digits[r>>8&15], digits[r>>4&15], digits[r&15])
	}
	return utf8.AppendRune(dst, r)
}
