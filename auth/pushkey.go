package auth

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"filippo.io/edwards25519/field"
)

// Errors of Push Socket credentials.
var (
	ErrBadCredentials = errors.New("credentials are badly formed")
	ErrBadSignature   = errors.New("signature does not match")
)

// PushWindow is how far the time in Push Socket credentials may be from the
// server's, either way and excluding both ends.
const PushWindow = 60 * time.Second

// Bounds of credentials, in bytes.
const (
	maxPushKey       = 44 // 33 bytes in base64
	maxPushDevice    = 128
	maxPushDigits    = 16
	maxPushSignature = 88
)

// An Address names a device: an identity key and the device's id.
type Address struct {
	Key    string // the raw identity key: 33 bytes of Curve25519 or 32 of Ed25519
	Device string
}

// String returns the address as clients write it.
func (a Address) String() string {
	return base64.StdEncoding.EncodeToString([]byte(a.Key)) + "|" + a.Device
}

// ParseIdentityKey reads an identity key in base64, padded or not: the 33 bytes
// that Signal's libraries give, 0x05 and a Curve25519 coordinate, or the 32 bytes
// of an Ed25519 key. It returns [ErrBadCredentials] for anything else, and for what
// is no key but looks like one: points of small order, for which anybody can sign,
// and coordinates that are not canonical.
func ParseIdentityKey(text string) (string, error) {
	if len(text) > maxPushKey {
		return "", ErrBadCredentials
	}
	raw, err := base64.RawStdEncoding.Strict().DecodeString(trimPadding(text))
	if err != nil || len(raw) != 32 && (len(raw) != 33 || raw[0] != 5) || strings.ContainsAny(text, "\r\n") || !isStrongKey(raw) {
		return "", ErrBadCredentials
	}
	return string(raw), nil
}

// ParseAddress reads base64(identityKey)|deviceId (Push Socket Protocol,
// auth_username). It returns [ErrBadCredentials] for anything else.
func ParseAddress(username string) (Address, error) {
	key, device, ok := strings.Cut(username, "|")
	if !ok || device == "" || len(device) > maxPushDevice || strings.Contains(device, "|") {
		return Address{}, ErrBadCredentials
	}
	raw, err := ParseIdentityKey(key)
	if err != nil {
		return Address{}, err
	}
	return Address{raw, device}, nil
}

// PushCredentials are what a device says of itself, true or not.
type PushCredentials struct {
	Address
	Time int64 // milliseconds since 1970; 0 when the time is no number or 0

	digits    string // the time as it was written and signed
	signature []byte // nil for what cannot be one
}

// ParsePush reads the username and password of a device (Push Socket Protocol,
// auth_username and auth_password): timestamp|base64(signature(timestamp)). It
// returns [ErrBadCredentials] for anything else, with two exceptions, since other
// checks come first: a timestamp that is 0 or no number is left to the caller, and
// what cannot be a signature does not [PushCredentials.Verify].
//
// The wiki calls the time a unix time and the programs use milliseconds: a number
// below 100,000,000,000 is seconds, which is the year 5138 or March 1973.
func ParsePush(username, password string) (PushCredentials, error) {
	address, err := ParseAddress(username)
	if err != nil {
		return PushCredentials{}, err
	}
	digits, sig, ok := strings.Cut(password, "|")
	if !ok || digits == "" || len(digits) > maxPushDigits || sig == "" || strings.Contains(sig, "|") {
		return PushCredentials{}, ErrBadCredentials
	}
	c := PushCredentials{Address: address, digits: digits, signature: parseSignature(sig)}
	if n, ok := plainDigits(digits); ok {
		c.Time = n
		if n < 1e11 {
			c.Time = n * 1000
		}
	}
	return c, nil
}

// parseSignature reads 64 bytes in base64, padded or not. It returns nil for
// anything else: the original read past the end of a signature that was too short
// and accepted some by chance.
func parseSignature(text string) []byte {
	if len(text) > maxPushSignature || strings.ContainsAny(text, "\r\n") {
		return nil
	}
	raw, err := base64.RawStdEncoding.Strict().DecodeString(trimPadding(text))
	if err != nil || len(raw) != ed25519.SignatureSize {
		return nil
	}
	return raw
}

// trimPadding takes away the padding that complete base64 may end with.
func trimPadding(s string) string {
	if len(s)%4 == 0 {
		s = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
	}
	return s
}

// InTime reports whether the credentials were made within [PushWindow] of now.
func (c PushCredentials) InTime(now time.Time) bool {
	d := now.UnixMilli() - c.Time
	return -PushWindow.Milliseconds() < d && d < PushWindow.Milliseconds()
}

// Verify returns [ErrBadSignature] unless the identity key signed the time: either
// its digits alone, which is what the wiki says, or the digits and as many zero
// bytes, which is what the original's clients sign.
//
// An Ed25519 key is used as it is. A Curve25519 key signs by the equation of
// Ed25519 with the Edwards form of the key, whose sign the top bit of the last
// byte of the signature carries (curve25519_sign of Signal's libraries). XEdDSA
// of their successors is the case in which that bit is 0.
func (c PushCredentials) Verify() error {
	if c.signature == nil || !isStrongKey([]byte(c.Key)) {
		return ErrBadSignature
	}
	key, sig := []byte(c.Key), [ed25519.SignatureSize]byte(c.signature)
	if len(key) == 33 {
		var ok bool
		if key, ok = edwardsKey(key[1:], sig[63]&0x80); !ok {
			return ErrBadSignature
		}
		sig[63] &= 0x7f
	}
	padded := make([]byte, 2*len(c.digits))
	n := copy(padded, c.digits)
	if ed25519.Verify(key, padded, sig[:]) || ed25519.Verify(key, padded[:n], sig[:]) {
		return nil
	}
	return ErrBadSignature
}

// edwardsKey turns the u coordinate of a Curve25519 key into an Ed25519 key with
// the given sign bit: y = (u-1)/(u+1), RFC 7748 section 4.1. The top bit of u is
// ignored; u = -1 has no y.
func edwardsKey(u []byte, sign byte) ([]byte, bool) {
	var x, one, above, y field.Element
	if _, err := x.SetBytes(u); err != nil { // masks the top bit
		return nil, false
	}
	one.One()
	above.Add(&x, &one)
	if above.Equal(new(field.Element)) == 1 {
		return nil, false
	}
	y.Multiply(y.Subtract(&x, &one), above.Invert(&above))
	key := y.Bytes()
	key[31] |= sign
	return key, true
}
