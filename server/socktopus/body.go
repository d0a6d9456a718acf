package socktopus

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"poosh/auth"
	"poosh/server/quota"
)

// MaxSecret is the largest secret that an application may have, in bytes. A longer
// text in a request is no secret, and is not decoded.
const MaxSecret = 4096

// maxSecretText is how long a name or a secret may be as JSON: every character may
// be written as six.
const maxSecretText = 6*MaxSecret + 2

// A body is what a sender posts, found well-formed and of the right types, but not
// decoded: that happens once its secret is known to be right. The parts share the
// text.
type body struct {
	secretName, secret []byte // JSON strings; nil or null when missing
	list               []byte // JSON array; nil or null when missing
	count              int    // elements of list
}

// A shape says what the list of a body is called and what its elements are.
type shape struct {
	names   []string                   // secretName, secret and the list's
	element func(element []byte) error // reports what is none
}

var (
	sendShape = shape{[]string{"secretName", "secret", "messages"}, checkMessage}
	kickShape = shape{[]string{"secretName", "secret", "connections"}, checkString}
)

var (
	messageNames = []string{"recipient", "content"}
	errMalformed = errors.New("malformed request")
)

// parse judges a body by the original's rules (encoding/json with
// DisallowUnknownFields): any unknown field and any wrong type is an error, null
// stands for what is missing, of equal names the last counts, and what follows the
// object is ignored. Unlike there, names match to the letter. It allocates nothing.
func (b *body) parse(text []byte, s shape) error {
	*b = body{}
	return auth.Members(text, s.names, func(n int, value []byte) error {
		switch n {
		case 0:
			b.secretName = value
			return checkString(value)
		case 1:
			b.secret = value
			return checkString(value)
		case 2:
			return b.checkList(value, s.element)
		}
		return errMalformed
	})
}

func (b *body) checkList(value []byte, element func([]byte) error) error {
	b.list, b.count = value, 0
	if isNull(value) {
		b.list = nil
		return nil
	}
	return auth.Elements(value, func(text []byte) error {
		b.count++
		return element(text)
	})
}

func isNull(text []byte) bool { return len(text) == 0 || text[0] == 'n' }

func checkString(text []byte) error {
	if text[0] != '"' && !isNull(text) {
		return errMalformed
	}
	return nil
}

func checkMessage(text []byte) error {
	if isNull(text) {
		return nil
	}
	return auth.Members(text, messageNames, func(n int, value []byte) error {
		if n < 0 {
			return errMalformed
		}
		return checkString(value)
	})
}

// messages decodes the list of a body that was parsed by [sendShape].
func (b *body) messages() []message {
	list := make([]message, 0, b.count)
	b.each(func(element []byte) {
		var m message
		if !isNull(element) {
			_ = auth.Members(element, messageNames, func(n int, value []byte) error {
				*[]*string{&m.Recipient, &m.Content}[n] = decodeString(value)
				return nil
			}) // parsed before
		}
		list = append(list, m)
	})
	return list
}

// connections decodes the list of a body that was parsed by [kickShape].
func (b *body) connections() []string {
	list := make([]string, 0, b.count)
	b.each(func(element []byte) { list = append(list, decodeString(element)) })
	return list
}

func (b *body) each(do func(element []byte)) {
	if b.list == nil {
		return
	}
	_ = auth.Elements(b.list, func(element []byte) error {
		do(element)
		return nil
	}) // parsed before
}

// decodeString decodes a JSON string, and null to nothing. Broken UTF-8 becomes
// U+FFFD, as in the original.
func decodeString(text []byte) string {
	if isNull(text) {
		return ""
	}
	plain := string(text[1 : len(text)-1])
	if strings.IndexByte(plain, '\\') < 0 && utf8.ValidString(plain) {
		return plain
	}
	_ = json.Unmarshal(text, &plain) // parsed before
	return plain
}

// decodeSecret is decodeString for a name or a secret: one that is too long to be
// any is "", which is no secret.
func decodeSecret(text []byte) string {
	if len(text) > maxSecretText {
		return ""
	}
	return decodeString(text)
}

// firstRead is what is set aside for a body before any of it came.
const firstRead = 16 << 10

// readAll reads a body of at most MaxBody bytes. An announced length is
// believed once some of it came, so that a body costs itself once; without one the
// buffer doubles.
func (d *Dialect) readAll(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	most := d.cfg().MaxBody + 1 // one more, to see the end
	in := http.MaxBytesReader(w, r.Body, int64(most-1))
	announced := most
	if r.ContentLength >= 0 {
		announced = int(min(r.ContentLength+1, int64(most)))
	}
	text := make([]byte, 0, min(announced, firstRead))
	for {
		n, err := in.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if err == io.EOF {
			return text, nil
		}
		if err != nil {
			return nil, err
		}
		if len(text) == cap(text) {
			size := 2 * cap(text)
			switch {
			case cap(text) < announced && r.ContentLength >= 0:
				size = announced
			case size+firstRead > most: // so close to it that one more time would follow
				size = most
			}
			text = append(make([]byte, 0, size), text...)
		}
	}
}

// read takes what a sender posts, or answers by itself and reports false.
func (d *Dialect) read(w http.ResponseWriter, r *http.Request, b *body, s shape) bool {
	text, err := d.readAll(w, r)
	if err == nil {
		err = b.parse(text, s)
	}
	var tooBig *http.MaxBytesError
	switch {
	case err == nil:
		// The server bounds how long a body may take; /kick may wait longer.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return true
	case errors.As(err, &tooBig):
		d.refuseSender(w, r, tooLarge)
	case errors.Is(err, quota.ErrFull):
		d.refuseForNow(w, r, inputFull)
	case errors.Is(err, os.ErrDeadlineExceeded):
		d.refuseSender(w, r, tooSlow)
	default:
		d.refuseSender(w, r, malformed)
	}
	return false
}
