package auth

import (
	"bytes"
	"errors"
)

// A Value is one JSON text that was found well-formed, so what is signed or
// delivered is never text that JSON.parse would refuse. Only [Parse] and [Pick]
// make one; the zero Value is what was not there, JavaScript's undefined.
type Value struct {
	text []byte // strict JSON in valid UTF-8 without blanks around it; nil when absent
}

// A Kind is the type of a JSON value.
type Kind int

// The kinds of a [Value].
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// Errors for JSON of another kind than wanted.
var (
	// ErrNotObject is returned by [Pick] for a text that is neither object nor array,
	// and by [Members] for all but an object.
	ErrNotObject = errors.New("JSON is not an object")
	// ErrNotArray is returned by [Elements].
	ErrNotArray = errors.New("JSON is not an array")
)

// Parse reads one JSON text as strictly as V8's JSON.parse: no trailing commas or
// text, no comments, no control characters in strings. Blanks around it are left
// out. Invalid UTF-8 becomes U+FFFD first, as Node.js decodes a request body; then
// the Value holds a repaired copy, otherwise it shares src, which must not change
// as long as the Value is used. It fails with a [*SyntaxError] or [ErrTooDeep].
func Parse(src []byte) (Value, error) {
	src = ValidUTF8(src)
	start := skipBlanks(src, 0)
	end, err := scanValue(src, start)
	if err != nil {
		return Value{}, err
	}
	if rest := skipBlanks(src, end); rest < len(src) {
		return Value{}, &SyntaxError{rest}
	}
	return Value{src[start:end]}, nil
}

// Pick reads one JSON text as [Parse] does and sets values[n] to what stands under
// the key names[n] of its outermost object: of equal keys the last counts, a key
// written with escapes is the same key, case matters, and other keys are only
// checked. A key that is missing, and every key of an array, is absent.
//
// Beside the errors of Parse it fails with [ErrNotObject]. After an error values
// hold nothing of use.
func Pick(src []byte, names []string, values []Value) error {
	clear(values)
	src = ValidUTF8(src)
	i := skipBlanks(src, 0)
	if i == len(src) {
		return &SyntaxError{i}
	}
	var err error
	switch src[i] {
	case '{':
		i, err = pickMembers(src, i, names, values)
	case '[':
		i, err = scanValue(src, i)
	default:
		return ErrNotObject
	}
	if err != nil {
		return err
	}
	if i = skipBlanks(src, i); i < len(src) {
		return &SyntaxError{i}
	}
	return nil
}

// pickMembers reads the object at src[i].
func pickMembers(src []byte, i int, names []string, values []Value) (int, error) {
	i = skipBlanks(src, i+1)
	if i < len(src) && src[i] == '}' {
		return i + 1, nil
	}
	for {
		key := i
		colon, err := scanKey(src, i)
		if err != nil {
			return 0, err
		}
		start := skipBlanks(src, colon)
		end, err := scanValue(src, start)
		if err != nil {
			return 0, err
		}
		if n := indexOfKey(src[key:colon], names); n >= 0 {
			values[n] = Value{src[start:end]}
		}
		i = skipBlanks(src, end)
		if i == len(src) {
			return 0, &SyntaxError{i}
		}
		switch src[i] {
		case ',':
			i = skipBlanks(src, i+1)
		case '}':
			return i + 1, nil
		default:
			return 0, &SyntaxError{i}
		}
	}
}

// indexOfKey finds a key, which ends with its colon, among names; -1 for none.
func indexOfKey(key []byte, names []string) int {
	key = key[1:bytes.LastIndexByte(key, '"')]
	if bytes.IndexByte(key, '\\') >= 0 {
		longest := 0
		for _, name := range names {
			longest = max(longest, len(name))
		}
		if len(key) > len(`\u0000`)*longest { // a stranger's long key is not worth its memory
			return -1
		}
		var room [64]byte
		key = appendUnquoted(room[:0], key)
	}
	for n, name := range names {
		if string(key) == name {
			return n
		}
	}
	return -1
}

// Kind returns the type of the value.
func (v Value) Kind() Kind {
	if len(v.text) == 0 {
		return Absent
	}
	switch v.text[0] {
	case 'n':
		return Null
	case 't', 'f':
		return Bool
	case '"':
		return String
	case '[':
		return Array
	case '{':
		return Object
	}
	return Number
}

// Bytes returns the text as it stood in its source, without blanks around it; nil
// when absent. It is shared and must not be changed.
func (v Value) Bytes() []byte { return v.text }

// AppendCompact appends the text without its insignificant blanks; everything
// else, numbers and escapes too, stays as its author spelled it.
func (v Value) AppendCompact(dst []byte) []byte {
	src := v.text
	from := 0
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '"':
			i = endOfString(src, i) - 1
		case isBlank(c):
			dst = append(dst, src[from:i]...)
			from = i + 1
		}
	}
	return append(dst, src[from:]...)
}

// endOfString returns the offset after the string that starts at src[i], in a text
// that was scanned before.
func endOfString(src []byte, i int) int {
	for i = skipPlain(src, i+1); src[i] != '"'; {
		i = skipPlain(src, i+2) // over a backslash and what it escapes
	}
	return i + 1
}
