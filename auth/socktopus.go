package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// SocktopusLife is how long a Socktopus token lives after the time in it, and how
// far that time may be ahead of the server's clock.
const SocktopusLife = 5 * time.Second

// Errors of Socktopus tokens beside [ErrBadToken], which is returned for a token
// whose signature is not the secret's.
var (
	ErrMalformedToken = errors.New("token is malformed")
	ErrExpired        = errors.New("token has expired")
	ErrEarly          = errors.New("token is ahead of the clock")
)

// A SocktopusToken is what a token says of itself, true or not.
type SocktopusToken struct {
	Name string // of the secret, as the token spells it
	ID   string // the connection's id: any bytes, also none
	Time int64  // milliseconds since 1970

	signed string // what the signature is over
	mac    []byte
}

// ParseSocktopus reads a token: four parts in hexadecimal with an h between, time,
// secret name, connection id and HMAC (the Socktopus README, Authenticating). It
// returns [ErrMalformedToken] for anything else.
//
// The original also took a sign and leading zeros for a time; a time is plain
// digits here.
func ParseSocktopus(token string) (SocktopusToken, error) {
	parts := strings.SplitN(token, "h", 5)
	if len(parts) != 4 {
		return SocktopusToken{}, ErrMalformedToken
	}
	var raw [4][]byte
	for i, part := range parts {
		b, err := hex.DecodeString(part)
		if err != nil {
			return SocktopusToken{}, ErrMalformedToken
		}
		raw[i] = b
	}
	t := SocktopusToken{Name: string(raw[1]), ID: string(raw[2]), mac: raw[3]}
	digits := string(raw[0])
	var ok bool
	if t.Time, ok = plainDigits(digits); !ok {
		return SocktopusToken{}, ErrMalformedToken
	}
	t.signed = digits + t.ID
	return t, nil
}

// plainDigits reads a decimal number without sign and without leading zeros that
// fits an int64.
func plainDigits(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// InTime returns [ErrExpired] for a token older than [SocktopusLife] and
// [ErrEarly] for one further ahead of now than that.
//
// The original let any future time pass. Since nothing separates time and id in
// what is signed, a token for the id 12 was then a good one for the id 2 with a
// time ten times as far, which never came.
func (t SocktopusToken) InTime(now time.Time) error {
	life := SocktopusLife.Milliseconds()
	switch at := now.UnixMilli(); {
	case t.Time < at-life:
		return ErrExpired
	case t.Time > at+life:
		return ErrEarly
	}
	return nil
}

// Check returns [ErrBadToken] when the token is not signed with secret.
func (t SocktopusToken) Check(secret string) error {
	if !hmac.Equal(t.mac, socktopusMAC(secret, t.signed)) {
		return ErrBadToken
	}
	return nil
}

// NewSocktopus makes the token that lets a client join as id, from at on for
// [SocktopusLife].
func NewSocktopus(name, secret, id string, at time.Time) string {
	digits := strconv.FormatInt(at.UnixMilli(), 10)
	parts := []string{hexOf(digits), hexOf(name), hexOf(id), hex.EncodeToString(socktopusMAC(secret, digits+id))}
	return strings.Join(parts, "h")
}

func hexOf(s string) string { return hex.EncodeToString([]byte(s)) }

// socktopusMAC signs a time in decimal directly followed by a connection's id.
func socktopusMAC(secret, signed string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(signed))
	return m.Sum(nil)
}

// SocktopusSecret returns [ErrBadToken] when a sender's secret is not the right
// one. The time it takes tells nothing about the right one, not even its length.
func SocktopusSecret(got, want string) error {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	if !equal(a[:], b[:]) {
		return ErrBadToken
	}
	return nil
}
