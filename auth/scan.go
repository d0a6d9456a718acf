package auth

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"strconv"
)

// MaxDepth is how deep arrays and objects may stand in each other. The Node
// server failed somewhere above 4,000 levels, when V8's JSON.stringify ran out of
// stack; nothing here recurses, so the bound only keeps the bookkeeping small.
const MaxDepth = 8192

// ErrTooDeep is returned for JSON nested deeper than [MaxDepth].
var ErrTooDeep = errors.New("JSON is nested too deep")

// A SyntaxError says where a text stops being JSON.
type SyntaxError struct {
	// Offset counts bytes from the start of the text, after each invalid UTF-8
	// sequence became the three bytes of U+FFFD.
	Offset int
}

func (e *SyntaxError) Error() string {
	return "invalid JSON at byte " + strconv.Itoa(e.Offset)
}

// What follows accepts exactly the grammar of RFC 8259, as V8's JSON.parse does,
// and expects valid UTF-8. Each function starts at src[i] and returns the offset
// after what it read.

// A nesting remembers which kind of bracket stands open at each level.
type nesting struct {
	depth   int
	objects [MaxDepth / 64]uint64 // one bit a level: set for an object
}

func (n *nesting) push(object bool) bool {
	if n.depth == MaxDepth {
		return false
	}
	word, bit := n.depth/64, uint64(1)<<(n.depth%64)
	if object {
		n.objects[word] |= bit
	} else {
		n.objects[word] &^= bit
	}
	n.depth++
	return true
}

// inObject reports whether the innermost open bracket is an object's.
func (n *nesting) inObject() bool {
	d := n.depth - 1
	return n.objects[d/64]&(1<<(d%64)) != 0
}

// scanValue reads one value and the blanks before it.
func scanValue(src []byte, i int) (int, error) {
	i = skipBlanks(src, i)
	if i < len(src) && src[i] != '{' && src[i] != '[' {
		return scanScalar(src, i)
	}
	var open nesting
	for {
		i = skipBlanks(src, i)
		if i == len(src) {
			return 0, &SyntaxError{i}
		}
		var err error
		switch c := src[i]; c {
		case '{', '[':
			object := c == '{'
			if !open.push(object) {
				return 0, ErrTooDeep
			}
			i = skipBlanks(src, i+1)
			if i < len(src) && src[i] == c+2 { // empty: '{'+2 is '}', '['+2 is ']'
				break
			}
			if object {
				if i, err = scanKey(src, i); err != nil {
					return 0, err
				}
			}
			continue
		default:
			if i, err = scanScalar(src, i); err != nil {
				return 0, err
			}
		}

		// A value ended, or an empty bracket is about to: go on to the next value.
		for {
			if open.depth == 0 {
				return i, nil
			}
			i = skipBlanks(src, i)
			if i == len(src) {
				return 0, &SyntaxError{i}
			}
			object := open.inObject()
			c := src[i]
			i++
			if c == ',' {
				if object {
					if i, err = scanKey(src, skipBlanks(src, i)); err != nil {
						return 0, err
					}
				}
				break
			}
			if object && c != '}' || !object && c != ']' {
				return 0, &SyntaxError{i - 1}
			}
			open.depth--
		}
	}
}

// scanKey reads an object's key, the colon after it and the blanks between.
func scanKey(src []byte, i int) (int, error) {
	if i == len(src) || src[i] != '"' {
		return 0, &SyntaxError{i}
	}
	i, err := scanString(src, i)
	if err != nil {
		return 0, err
	}
	i = skipBlanks(src, i)
	if i == len(src) || src[i] != ':' {
		return 0, &SyntaxError{i}
	}
	return i + 1, nil
}

// scanScalar reads a string, a number, true, false or null.
func scanScalar(src []byte, i int) (int, error) {
	switch src[i] {
	case '"':
		return scanString(src, i)
	case 't':
		return scanWord(src, i, "true")
	case 'f':
		return scanWord(src, i, "false")
	case 'n':
		return scanWord(src, i, "null")
	}
	return scanNumber(src, i)
}

func scanWord(src []byte, i int, word string) (int, error) {
	for n := range len(word) {
		if i+n == len(src) || src[i+n] != word[n] {
			return 0, &SyntaxError{i + n}
		}
	}
	return i + len(word), nil
}

func scanString(src []byte, i int) (int, error) {
	for i++; ; i++ {
		if i = skipPlain(src, i); i == len(src) {
			return 0, &SyntaxError{i}
		}
		switch src[i] {
		case '"':
			return i + 1, nil
		case '\\':
			i++
			if i == len(src) {
				return 0, &SyntaxError{i}
			}
			switch src[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					i++
					if i == len(src) || hexDigit[src[i]] < 0 {
						return 0, &SyntaxError{i}
					}
				}
			default:
				return 0, &SyntaxError{i}
			}
		default: // a control character
			return 0, &SyntaxError{i}
		}
	}
}

// skipPlain returns the offset of the first byte from src[i] on that does not stand
// for itself inside a string: a quote, a backslash, a control character.
func skipPlain(src []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(src); i += 8 {
		// Eight at a time. (x-n*ones)&^x has the high bit of the first byte below n, and
		// of none before it.
		x := binary.LittleEndian.Uint64(src[i:])
		quote, backslash := x^'"'*ones, x^'\\'*ones
		if found := ((x-' '*ones)&^x | (quote-ones)&^quote | (backslash-ones)&^backslash) & highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(src) && src[i] >= ' ' && src[i] != '"' && src[i] != '\\' {
		i++
	}
	return i
}

// hexDigit is the value of a hexadecimal digit, or -1.
var hexDigit = func() (t [256]int8) {
	for c := range t {
		t[c] = -1
	}
	for v := range int8(10) {
		t['0'+v] = v
	}
	for v := range int8(6) {
		t['a'+v], t['A'+v] = 10+v, 10+v
	}
	return
}()

func scanNumber(src []byte, i int) (int, error) {
	if src[i] == '-' {
		i++
	}
	start := i
	i = skipDigits(src, i)
	if i == start || src[start] == '0' && i > start+1 {
		return 0, &SyntaxError{start}
	}
	if i < len(src) && src[i] == '.' {
		start = i + 1
		if i = skipDigits(src, start); i == start {
			return 0, &SyntaxError{i}
		}
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		i++
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		start = i
		if i = skipDigits(src, start); i == start {
			return 0, &SyntaxError{i}
		}
	}
	return i, nil
}

func skipDigits(src []byte, i int) int {
	for i < len(src) && src[i]-'0' <= 9 {
		i++
	}
	return i
}

func isBlank(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t'
}

func skipBlanks(src []byte, i int) int {
	for i < len(src) && isBlank(src[i]) {
		i++
	}
	return i
}
