// Package auth says whether a credential is good, one scheme a file, and holds
// the little JavaScript that the schemes were written in: what JSON.parse
// accepts, what JSON.stringify and String print.
//
// It is pure: bytes in, nil or an error out. It opens no socket and no file, logs
// nothing, never asks for the time and starts no goroutine. Everything in it may
// be called from any goroutine at once.
package auth

import (
	"crypto/subtle"
	"errors"
)

// ErrBadToken is returned for a credential that is not the right one. It never
// tells what the right one would have been.
var ErrBadToken = errors.New("token does not match")

// equal compares a credential with the right one in a time that depends only on
// how long they are.
func equal(got, want []byte) bool {
	return subtle.ConstantTimeCompare(got, want) == 1
}
