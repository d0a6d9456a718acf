package hub

import "strings"

// A Position is a place in the log of an app: that of one publication, or the one behind
// all that there are. Two of one epoch compare by their numbers; those of different epochs
// have nothing to do with each other.
type Position struct {
	Epoch  uint64 // names the log; two logs never have the same. 50 bits
	Number uint64 // of the publication, beginning with 1; 0 is before all of them. 50 bits
}

// PositionSize is the length of a position as text: always the same, so that room for it
// can be left in a frame that is encoded before the publication has its number.
const PositionSize = 2*positionDigits + 1

const (
	positionDigits   = 10 // of 5 bits each
	positionAlphabet = "0123456789abcdefghijklmnopqrstuv"
)

// NoPosition is what stands in a frame until its publication has a position.
var NoPosition = strings.Repeat("0", positionDigits) + "-" + strings.Repeat("0", positionDigits)

// IsZero reports whether p is no position at all.
func (p Position) IsZero() bool { return p == Position{} }

// Put writes p as text over the [PositionSize] bytes at the beginning of b. Texts of one
// epoch sort as their numbers do.
func (p Position) Put(b []byte) {
	putDigits(b[:positionDigits], p.Epoch)
	b[positionDigits] = '-'
	putDigits(b[positionDigits+1:PositionSize], p.Number)
}

func putDigits(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = positionAlphabet[n&31]
		n >>= 5
	}
}

// String is p as clients know it: a text that is not to be looked into.
func (p Position) String() string {
	var b [PositionSize]byte
	p.Put(b[:])
	return string(b[:])
}

// ParsePosition reads what [Position.String] wrote, and nothing else. It says nothing of
// whether there is such a place.
func ParsePosition(text string) (p Position, ok bool) {
	if len(text) != PositionSize || text[positionDigits] != '-' {
		return p, false
	}
	var first, second bool
	p.Epoch, first = readDigits(text[:positionDigits])
	p.Number, second = readDigits(text[positionDigits+1:])
	if !first || !second || p.Epoch == 0 {
		return Position{}, false
	}
	return p, true
}

func readDigits(text string) (n uint64, ok bool) {
	for i := range len(text) {
		digit := strings.IndexByte(positionAlphabet, text[i])
		if digit < 0 {
			return 0, false
		}
		n = n<<5 | uint64(digit)
	}
	return n, true
}
