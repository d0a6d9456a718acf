package auth

import (
	"crypto/sha1"
	"encoding/hex"
	"hash"
	"strings"
	"sync"
)

// Poosh checks the tokens of the Node server Poosh: SHA-1 over the secret and the
// payload, in lower-case hexadecimal. A token covers neither room nor event nor
// time, so whoever sees one can send its payload again, to any room.
type Poosh struct {
	secret  []byte
	digests sync.Pool // of *digest
}

// NewPoosh returns the check for one secret.
func NewPoosh(secret string) *Poosh {
	p := &Poosh{secret: []byte(secret)}
	p.digests.New = func() any { return &digest{hash: sha1.New()} }
	return p
}

// PooshSign returns the token of a payload's JSON text as it stands in the body, without
// blanks around it; of a request without one if there is none. Of a path and query it returns
// the token that [Poosh.VerifyPath] wants.
func PooshSign(secret string, payload []byte) string {
	if len(payload) == 0 {
		payload = undefined
	}
	sum := sha1.Sum(append([]byte(secret), payload...))
	return hex.EncodeToString(sum[:])
}

// undefined is what JavaScript prints for a payload that is not there.
var undefined = []byte("undefined")

// Verify returns nil when the token signs the payload and [ErrBadToken] otherwise.
// Blanks around the token do not count. The token is good when it is
//
//   - the SHA-1 of the secret and JSON.stringify(payload), which is all that the
//     Node server took: it hashed what it had parsed, so an absent payload is
//     signed over the word "undefined";
//   - that of the secret and the payload's bytes as they stand in the body, which is
//     what PHP signs: its json_encode writes \/, \u00e9 and 1.0e+25, so the Node
//     server refused those senders;
//   - that of the secret and those bytes without insignificant blanks.
//
// All three sign the same value. SHA-1 over secret and text can be extended by who
// knows one token, but only by bytes 80 00 ... 00: no [Value] holds a NUL, so no
// extended text is a payload.
//
// The time it takes tells the payload's spelling and nothing of the right token.
func (p *Poosh) Verify(payload Value, token string) error {
	token = strings.Trim(token, " \t")
	if len(token) != hex.EncodedLen(sha1.Size) {
		return ErrBadToken
	}
	d := p.digests.Get().(*digest)
	defer p.digests.Put(d)
	copy(d.got[:], token)

	if payload.Kind() != Absent && d.signs(p.secret, payload.text) {
		return nil
	}
	printed := payload.Stringify()
	if same(printed, payload.text) {
		return ErrBadToken
	}
	if d.signs(p.secret, printed) {
		return nil
	}
	compact := payload.AppendCompact(make([]byte, 0, len(payload.text)))
	if len(compact) < len(payload.text) && d.signs(p.secret, compact) {
		return nil
	}
	return ErrBadToken
}

// VerifyPath returns nil when the token signs a request that has no body, and [ErrBadToken]
// otherwise: it is the SHA-1 of the secret and the request's path and query as they were
// sent. Such a token signs no payload, and that of a payload no path: no JSON text begins
// with a slash. What is said of extended texts in [Poosh.Verify] holds: no path holds a NUL.
func (p *Poosh) VerifyPath(path, token string) error {
	token = strings.Trim(token, " \t")
	if len(token) != hex.EncodedLen(sha1.Size) || !strings.HasPrefix(path, "/") || strings.IndexByte(path, 0) >= 0 {
		return ErrBadToken
	}
	d := p.digests.Get().(*digest)
	defer p.digests.Put(d)
	copy(d.got[:], token)
	if !d.signs(p.secret, []byte(path)) {
		return ErrBadToken
	}
	return nil
}

// IsPooshToken reports whether a token, without blanks around it, may be good at all:
// it has the form of a SHA-1 in hexadecimal. What has not can be refused before its
// body is read.
func IsPooshToken(token string) bool {
	if len(token) != hex.EncodedLen(sha1.Size) {
		return false
	}
	for i := range len(token) {
		if c := token[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// same reports whether two slices are one.
func same(a, b []byte) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

// A digest is what one check needs, kept so that checks allocate nothing.
type digest struct {
	hash hash.Hash
	sum  [sha1.Size]byte
	want [2 * sha1.Size]byte
	got  [2 * sha1.Size]byte
}

// signs reports whether got is the SHA-1 of secret and text.
func (d *digest) signs(secret, text []byte) bool {
	d.hash.Reset()
	d.hash.Write(secret)
	d.hash.Write(text)
	hex.Encode(d.want[:], d.hash.Sum(d.sum[:0]))
	return equal(d.got[:], d.want[:])
}
