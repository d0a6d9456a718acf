package emitter

import (
	"encoding/binary"
	"errors"
	"math"
)

// maxDepth is how deep values may be in each other.
const maxDepth = 64

var errMsgpack = errors.New("not msgpack, or cut off")

// A kind is what a value of msgpack is.
type kind uint8

const (
	kindNil kind = iota
	kindUndefined
	kindBool
	kindInt
	kindUint // too large for an int64
	kindFloat
	kindText
	kindBytes
	kindArray
	kindMap
	kindDate
)

// A head is a value without what is inside of it.
type head struct {
	kind kind
	n    int    // elements, or pairs
	text []byte // of a text, or of bytes
	bool bool
	int  int64 // a date in milliseconds since 1970, too
	uint uint64
	num  float64
}

// A reader reads msgpack off a message (https://github.com/msgpack/msgpack/blob/master/spec.md).
// Nothing in it is trusted: what is said of lengths is held against what is left, and nothing is
// allocated for it.
//
// old has it read what msgpack-js wrote, before the format had types of its own for that: c4 is
// undefined, d8 and d9 are buffers with a length of two bytes and of four.
type reader struct {
	b   []byte
	at  int
	old bool
}

func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.b)-r.at {
		return nil, errMsgpack
	}
	r.at += n
	return r.b[r.at-n : r.at], nil
}

// number takes an unsigned integer of 1, 2, 4 or 8 bytes.
func (r *reader) number(size int) (uint64, error) {
	b, err := r.take(size)
	if err != nil {
		return 0, err
	}
	switch size {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), nil
	}
	return binary.BigEndian.Uint64(b), nil
}

// next takes the head of a value.
func (r *reader) next() (h head, err error) {
	first, err := r.number(1)
	if err != nil {
		return h, err
	}
	c := byte(first)
	switch {
	case c < 0x80:
		return head{kind: kindInt, int: int64(c)}, nil
	case c < 0x90:
		return r.counted(kindMap, uint64(c&0x0f))
	case c < 0xa0:
		return r.counted(kindArray, uint64(c&0x0f))
	case c < 0xc0:
		return r.counted(kindText, uint64(c&0x1f))
	case c >= 0xe0:
		return head{kind: kindInt, int: int64(int8(c))}, nil
	case r.old:
		if h, err, known := r.nextOld(c); known {
			return h, err
		}
	}
	return r.nextLong(c)
}

// nextOld takes what msgpack-js writes otherwise.
func (r *reader) nextOld(c byte) (h head, err error, known bool) {
	switch c {
	case 0xc4:
		return head{kind: kindUndefined}, nil, true
	case 0xd8:
		h, err = r.sized(kindBytes, 2)
	case 0xd9:
		h, err = r.sized(kindBytes, 4)
	default:
		return h, nil, false
	}
	return h, err, true
}

// nextLong takes what has its type alone in its first byte.
func (r *reader) nextLong(c byte) (h head, err error) {
	switch c {
	case 0xc0:
		return head{kind: kindNil}, nil
	case 0xc2, 0xc3:
		return head{kind: kindBool, bool: c == 0xc3}, nil
	case 0xc4, 0xc5, 0xc6:
		return r.sized(kindBytes, 1<<(c-0xc4))
	case 0xc7, 0xc8, 0xc9:
		n, err := r.number(1 << (c - 0xc7))
		if err != nil {
			return h, err
		}
		return r.extended(n)
	case 0xca:
		n, err := r.number(4)
		return head{kind: kindFloat, num: float64(math.Float32frombits(uint32(n)))}, err
	case 0xcb:
		n, err := r.number(8)
		return head{kind: kindFloat, num: math.Float64frombits(n)}, err
	case 0xcc, 0xcd, 0xce, 0xcf:
		n, err := r.number(1 << (c - 0xcc))
		if n > math.MaxInt64 {
			return head{kind: kindUint, uint: n}, err
		}
		return head{kind: kindInt, int: int64(n)}, err
	case 0xd0, 0xd1, 0xd2, 0xd3:
		size := 1 << (c - 0xd0)
		n, err := r.number(size)
		unused := 64 - 8*size
		return head{kind: kindInt, int: int64(n<<unused) >> unused}, err
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return r.extended(1 << (c - 0xd4))
	case 0xd9, 0xda, 0xdb:
		return r.sized(kindText, 1<<(c-0xd9))
	case 0xdc, 0xdd:
		return r.sized(kindArray, 2<<(c-0xdc))
	case 0xde, 0xdf:
		return r.sized(kindMap, 2<<(c-0xde))
	}
	return h, errMsgpack // c1
}

// sized is counted with a number of so many bytes in front.
func (r *reader) sized(k kind, size int) (head, error) {
	n, err := r.number(size)
	if err != nil {
		return head{}, err
	}
	return r.counted(k, n)
}

// counted is a value of n bytes, elements or pairs, each of which takes a byte or more.
func (r *reader) counted(k kind, n uint64) (h head, err error) {
	left := uint64(len(r.b) - r.at)
	if k == kindMap {
		left /= 2
	}
	if n > left {
		return h, errMsgpack
	}
	h = head{kind: k, n: int(n)}
	if k == kindText || k == kindBytes {
		h.text, err = r.take(h.n)
	}
	return h, err
}

// Types of extensions.
const (
	extTimestamp = -1 // of msgpack: seconds, or nanoseconds and seconds
	extNotepack  = 0  // of notepack: undefined in one byte, a date in milliseconds in eight
)

// extended takes an extension of so many bytes: a date, or undefined.
func (r *reader) extended(size uint64) (h head, err error) {
	code, err := r.number(1)
	if err != nil || size > uint64(len(r.b)-r.at) {
		return h, errMsgpack
	}
	b, err := r.take(int(size))
	if err != nil {
		return h, err
	}
	date := func(seconds int64, nano uint32) (head, error) {
		if nano > 999_999_999 || seconds > math.MaxInt64/2000 || seconds < math.MinInt64/2000 {
			return head{}, errMsgpack
		}
		return head{kind: kindDate, int: seconds*1000 + int64(nano/1_000_000)}, nil
	}
	switch t := int8(code); {
	case t == extNotepack && size == 1:
		return head{kind: kindUndefined}, nil
	case t == extNotepack && size == 8:
		return head{kind: kindDate, int: int64(binary.BigEndian.Uint64(b))}, nil
	case t == extTimestamp && size == 4:
		return date(int64(binary.BigEndian.Uint32(b)), 0)
	case t == extTimestamp && size == 8:
		n := binary.BigEndian.Uint64(b)
		return date(int64(n&(1<<34-1)), uint32(n>>34))
	case t == extTimestamp && size == 12:
		return date(int64(binary.BigEndian.Uint64(b[4:])), binary.BigEndian.Uint32(b))
	}
	return h, errMsgpack
}

// skip takes a value with all that is in it.
func (r *reader) skip() error { return r.skipDeep(maxDepth) }

func (r *reader) skipDeep(depth int) error {
	h, err := r.next()
	if err != nil {
		return err
	}
	n := 0
	switch h.kind {
	case kindArray:
		n = h.n
	case kindMap:
		n = 2 * h.n
	}
	if n > 0 && depth == 0 {
		return errMsgpack
	}
	for range n {
		if err := r.skipDeep(depth - 1); err != nil {
			return err
		}
	}
	return nil
}
