package idempotency

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Names of headers, as net/http writes them.
const (
	// Header of a request has its key (draft-ietf-httpapi-idempotency-key-header-07; what
	// stands there is the key as it is, with quotes if it has some).
	Header = "Idempotency-Key"
	// PusherHeader is the same in Sockudo's API.
	PusherHeader = "X-Idempotency-Key"
	// Replayed of an answer is "true" where nothing was sent: the answer is that to the
	// request before.
	Replayed = "Idempotent-Replayed"
)

// MaxKey is how many bytes a key may have.
const MaxKey = 128

// What is wrong with a key.
var (
	ErrEmpty   = errors.New("idempotency key must not be empty")
	ErrTooLong = fmt.Errorf("idempotency key has more than %d bytes", MaxKey)
	ErrSeveral = errors.New("idempotency key is given more than once")
)

// Check says what is wrong with a key, if anything is.
func Check(key string) error {
	switch {
	case key == "":
		return ErrEmpty
	case len(key) > MaxKey:
		return ErrTooLong
	}
	return nil
}

// Of returns the key in the values of a header that is there.
func Of(header []string) (string, error) {
	if len(header) != 1 {
		return "", ErrSeveral
	}
	return header[0], Check(header[0])
}

// A Kind is whose keys have nothing to do with those of another kind, though they read the
// same.
type Kind byte

// The kinds.
const (
	Event Kind = 'e' // one event, wherever it comes
	Batch Kind = 'b' // a list of events as a whole
)

// A Content is what a key is bound to, as its SHA-256.
type Content [sha256.Size]byte

// ContentOf returns the content that consists of some parts, in their order. Other parts
// are another content, also where they read the same one behind the other.
func ContentOf(parts ...[]byte) (c Content) {
	h := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		_, _ = h.Write(length[:])
		_, _ = h.Write(part)
	}
	h.Sum(c[:0])
	return c
}
