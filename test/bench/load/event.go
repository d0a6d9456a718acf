package load

import (
	"crypto/sha1"
	"encoding/hex"
	"time"

	"poosh/server/loadtest"
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

// request appends the request that publishes a payload to a room, with the head that
// curl in PHP sends: its token is the SHA1 of the secret and the payload, as hex.
func request(b []byte, host, secret, room string, p loadtest.Payload) []byte {
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
func centrifugoRequest(b []byte, host, secret, room string, p loadtest.Payload) []byte {
	const before, between, after = `{"channel":"`, `","data":`, `}`
	b = heads.PHPCurlSend.Append(b, heads.Values{
		Target: "/api/publish", Host: host, Token: "apikey " + secret,
		Length: len(before) + len(room) + len(between) + len(p) + len(after),
	})
	b = append(append(append(b, before...), room...), between...)
	return append(append(b, p...), after...)
}
