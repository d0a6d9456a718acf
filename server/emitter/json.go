package emitter

import (
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"poosh/server/poosh"
	"poosh/server/socketio"
)

// errBuffers says that clients would take an event for an attack: too many buffers, or what looks
// like the place of one and is none.
var errBuffers = errors.New("more buffers than clients take")

// A writer makes JSON of values as JSON.stringify would, with the order of keys kept.
type writer struct {
	r       *reader
	b       []byte
	buffers []poosh.Buffer
	posing  bool // there is an object that looks like the place of a buffer
}

// arguments writes so many values as the elements of an array.
func (w *writer) arguments(n, depth int) error {
	w.b = append(w.b, '[')
	for i := range n {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		if err := w.value(depth); err != nil {
			return err
		}
	}
	w.b = append(w.b, ']')
	return nil
}

// value writes one. Undefined is null, as in an array.
func (w *writer) value(depth int) error {
	h, err := w.r.next()
	if err != nil {
		return err
	}
	return w.write(&h, depth)
}

func (w *writer) write(h *head, depth int) error {
	switch h.kind {
	case kindNil, kindUndefined:
		w.b = append(w.b, "null"...)
	case kindBool:
		w.b = strconv.AppendBool(w.b, h.bool)
	case kindInt:
		w.b = strconv.AppendInt(w.b, h.int, 10)
	case kindUint:
		w.b = strconv.AppendUint(w.b, h.uint, 10)
	case kindFloat:
		w.b = appendFloat(w.b, h.num)
	case kindText:
		w.b = appendText(w.b, h.text)
	case kindDate:
		w.b = appendDate(w.b, h.int)
	case kindBytes:
		return w.buffer(h.text)
	default:
		if depth == 0 {
			return errMsgpack
		}
		if h.kind == kindArray {
			return w.arguments(h.n, depth-1)
		}
		return w.object(h.n, depth-1)
	}
	return nil
}

// buffer writes a buffer as a text in base64, and notes where.
func (w *writer) buffer(raw []byte) error {
	if len(w.buffers) == socketio.MaxAttachments {
		return errBuffers
	}
	start := len(w.b)
	w.b = base64.StdEncoding.AppendEncode(append(w.b, '"'), raw)
	w.b = append(w.b, '"')
	w.buffers = append(w.buffers, poosh.Buffer{Start: start, Size: len(w.b) - start})
	return nil
}

// object writes so many pairs, but for those whose value is undefined.
func (w *writer) object(n, depth int) error {
	w.b = append(w.b, '{')
	some := false
	for range n {
		before := len(w.b)
		if some {
			w.b = append(w.b, ',')
		}
		if err := w.key(); err != nil {
			return err
		}
		w.b = append(w.b, ':')
		h, err := w.r.next()
		if err != nil {
			return err
		}
		if h.kind == kindUndefined {
			w.b = w.b[:before]
			continue
		}
		if err := w.write(&h, depth); err != nil {
			return err
		}
		some = true
	}
	w.b = append(w.b, '}')
	return nil
}

// key writes the name of a property: lists of PHP with gaps have numbers for theirs.
func (w *writer) key() error {
	h, err := w.r.next()
	if err != nil {
		return err
	}
	switch h.kind {
	case kindText, kindBytes:
		w.posing = w.posing || string(h.text) == "_placeholder"
		w.b = appendText(w.b, h.text)
	case kindArray, kindMap:
		return errMsgpack
	default:
		w.b = append(w.b, '"')
		before := len(w.b)
		if err := w.write(&h, 0); err != nil {
			return err
		}
		if h.kind == kindDate { // which has quotes already
			w.b = append(w.b[:before-1], w.b[before:]...)
			return nil
		}
		w.b = append(w.b, '"')
	}
	return nil
}

// appendFloat writes a number as JavaScript does (ECMA-262, Number::toString); what is none is null.
func appendFloat(b []byte, f float64) []byte {
	switch size := math.Abs(f); {
	case math.IsNaN(f), math.IsInf(f, 0):
		return append(b, "null"...)
	case f == 0:
		return append(b, '0') // without a sign
	case size >= 1e-6 && size < 1e21:
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); b[n-2] == '0' && (b[n-3] == '-' || b[n-3] == '+') { // e-07
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

// maxDate is the largest time of a Date, in milliseconds before and after 1970.
const maxDate = 8_640_000_000_000_000

// appendDate writes a date as its toJSON does.
func appendDate(b []byte, ms int64) []byte {
	if ms > maxDate || ms < -maxDate {
		return append(b, "null"...)
	}
	t := time.UnixMilli(ms).UTC()
	b = append(b, '"')
	if year := t.Year(); year >= 0 && year <= 9999 {
		return t.AppendFormat(b, `2006-01-02T15:04:05.000Z"`)
	}
	sign, year := byte('+'), t.Year()
	if year < 0 {
		sign, year = '-', -year
	}
	digits := strconv.Itoa(1_000_000 + year)
	b = append(append(b, sign), digits[1:]...)
	return t.AppendFormat(b, `-01-02T15:04:05.000Z"`)
}

const hexDigits = "0123456789abcdef"

// appendText writes a text as JSON. What is no UTF-8 becomes U+FFFD.
func appendText(b, text []byte) []byte {
	b = append(b, '"')
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			_, n := utf8.DecodeRune(text[i:])
			if n == 1 {
				b = append(b, `\ufffd`...)
			} else {
				b = append(b, text[i:i+n]...)
			}
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}
