package load

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"time"

	"poosh/test/heads"
)

// Room and Event name what every client listens to.
const (
	Room  = "bench"
	Event = "bench"
)

// The app that Pusher clients connect to. Its secret is the one of all events.
const (
	PusherApp = "1"
	PusherKey = "bench-key"
)

// started is the zero of the timestamps in payloads. They are monotonic, and
// only of use in the process that made them.
var started = time.Now()

// now returns the time since the process started, in nanoseconds.
func now() int64 { return int64(time.Since(started)) }

// The payload of every event has one length and looks so, with the time of
// sending and who sent it as which of its events:
//
//	{"at":1000000000123456,"seq":101000042,"text":"..."}
//
// Numbers start at a power of ten to keep their length, and stay below 2^53, so
// that every server prints them as they came. Keys are in alphabetical order for
// servers that sort them.
const (
	marker   = `{"at":`
	seqKey   = `,"seq":`
	textKey  = `,"text":"`
	atDigits = 16
	atBase   = 1_000_000_000_000_000

	seqDigits     = 9
	seqBase       = 100_000_000
	perPublisher  = 1_000_000 // events of one publisher
	MaxPublishers = 100       // bounded by the digits of seq

	seqOffset  = len(marker) + atDigits + len(seqKey)
	textOffset = seqOffset + seqDigits
)

// MinPayload is the shortest payload in bytes.
const MinPayload = textOffset + len(textKey) + len(`"}`)

// A payload is an event's payload, of which at and seq change.
type payload []byte

func newPayload(size int) payload {
	b := append(payload(marker), bytes.Repeat([]byte("0"), atDigits)...)
	b = append(b, seqKey...)
	b = append(b, bytes.Repeat([]byte("0"), seqDigits)...)
	b = append(b, textKey...)
	const filler = "the quick brown fox jumps over the lazy dog 0123456789 "
	for i := 0; len(b) < size-len(`"}`); i++ {
		b = append(b, filler[i%len(filler)])
	}
	return append(b, `"}`...)
}

// set fills in when the event is sent, and as which of which publisher.
func (p payload) set(at int64, publisher, n int) {
	putDigits(p[len(marker):len(marker)+atDigits], uint64(atBase+at))
	putDigits(p[seqOffset:textOffset], uint64(seqBase+publisher*perPublisher+n))
}

// tail is the part that never changes.
func (p payload) tail() []byte { return p[textOffset:] }

// parse reads a payload at the beginning of b. ok is false when it is not one
// with this tail.
func parse(b, tail []byte) (at int64, publisher, n int, ok bool) {
	if len(b) < textOffset+len(tail) || !bytes.Equal(b[textOffset:textOffset+len(tail)], tail) {
		return 0, 0, 0, false
	}
	a, okAt := digits(b[len(marker) : len(marker)+atDigits])
	s, okSeq := digits(b[seqOffset:textOffset])
	if !okAt || !okSeq || a < atBase || s < seqBase {
		return 0, 0, 0, false
	}
	s -= seqBase
	return int64(a - atBase), int(s / perPublisher), int(s % perPublisher), true
}

func putDigits(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
}

func digits(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		if c -= '0'; c > 9 {
			return 0, false
		}
		v = v*10 + uint64(c)
	}
	return v, true
}

// request appends the request that publishes a payload to a room, with the head that
// curl in PHP sends: its token is the SHA1 of the secret and the payload, as hex.
func request(b []byte, host, secret, room string, p payload) []byte {
	h := sha1.New()
	h.Write([]byte(secret))
	h.Write(p)
	var sum [sha1.Size]byte
	h.Sum(sum[:0])

	const before, between, after = `{"room":"`, `","event":"` + Event + `","payload":`, `}`
	b = heads.PHPCurlSend.Append(b, heads.Values{
		Target: "/send", Host: host, Token: hex.EncodeToString(sum[:]),
		Length: len(before) + len(room) + len(between) + len(p) + len(after),
	})
	b = append(append(append(b, before...), room...), between...)
	return append(append(b, p...), after...)
}

// centrifugoRequest appends the request that publishes a payload by the API of
// Centrifugo, whose key is the secret.
func centrifugoRequest(b []byte, host, secret, room string, p payload) []byte {
	const before, between, after = `{"channel":"`, `","data":`, `}`
	b = heads.PHPCurlSend.Append(b, heads.Values{
		Target: "/api/publish", Host: host, Token: "apikey " + secret,
		Length: len(before) + len(room) + len(between) + len(p) + len(after),
	})
	b = append(append(append(b, before...), room...), between...)
	return append(append(b, p...), after...)
}
