package loadtest

import "bytes"

// The payload of every event has one length and looks so, with the time that latency
// is counted from and who sent it as which of its events:
//
//	{"at":1000000000123456,"seq":101000000042,"text":"..."}
//
// Numbers start at a power of ten to keep their length, and stay below 2^53, so
// that every server prints them as they came. Keys are in alphabetical order for
// servers that sort them.
const (
	// Marker begins every payload.
	Marker   = `{"at":`
	seqKey   = `,"seq":`
	textKey  = `,"text":"`
	atDigits = 16
	atBase   = 1_000_000_000_000_000

	seqDigits = 12
	seqBase   = 100_000_000_000
	// PerPublisher is how many events one publisher can number.
	PerPublisher = 1_000_000_000
	// MaxPublishers is how many publishers there can be, as far as the digits go.
	MaxPublishers = 100

	seqOffset  = len(Marker) + atDigits + len(seqKey)
	textOffset = seqOffset + seqDigits
)

// MinPayload is the shortest payload in bytes.
const MinPayload = textOffset + len(textKey) + len(`"}`)

// A Payload is an event's payload, of which at and seq change.
type Payload []byte

// NewPayload returns a payload of so many bytes, at least [MinPayload].
func NewPayload(size int) Payload {
	b := append(Payload(Marker), bytes.Repeat([]byte("0"), atDigits)...)
	b = append(b, seqKey...)
	b = append(b, bytes.Repeat([]byte("0"), seqDigits)...)
	b = append(b, textKey...)
	const filler = "the quick brown fox jumps over the lazy dog 0123456789 "
	for i := 0; len(b) < size-len(`"}`); i++ {
		b = append(b, filler[i%len(filler)])
	}
	return append(b, `"}`...)
}

// Set fills in a time in nanoseconds on a clock of the process's own, below 2^52, and
// which event of which publisher it is, below [PerPublisher] and [MaxPublishers].
func (p Payload) Set(at int64, publisher, n int) {
	putDigits(p[len(Marker):len(Marker)+atDigits], uint64(atBase+at))
	putDigits(p[seqOffset:textOffset], uint64(seqBase+publisher*PerPublisher+n))
}

// Tail is the part that never changes, with which [ParsePayload] knows the others.
func (p Payload) Tail() []byte { return p[textOffset:] }

// ParsePayload reads a payload at the beginning of b. size is what it takes of b; ok is
// false when it is not one with this tail.
func ParsePayload(b, tail []byte) (at int64, publisher, n, size int, ok bool) {
	size = textOffset + len(tail)
	if len(b) < size || string(b[:len(Marker)]) != Marker || !bytes.Equal(b[textOffset:size], tail) {
		return 0, 0, 0, 0, false
	}
	a, okAt := Digits(b[len(Marker) : len(Marker)+atDigits])
	s, okSeq := Digits(b[seqOffset:textOffset])
	if !okAt || !okSeq || a < atBase || s < seqBase {
		return 0, 0, 0, 0, false
	}
	s -= seqBase
	return int64(a - atBase), int(s / PerPublisher), int(s % PerPublisher), size, true
}

func putDigits(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
}

// Digits reads a number of at most 19 digits, and nothing else.
func Digits(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		if c -= '0'; c > 9 {
			return 0, false
		}
		v = v*10 + uint64(c)
	}
	return v, len(b) < 20
}
