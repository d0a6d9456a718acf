package poosh

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"

	"poosh/auth"
	"poosh/server/quota"
)

// The keys of a body, and where their values are in a message.
const (
	roomKey = iota
	eventKey
	payloadKey
	exceptKey
	numKeys
)

var keys = []string{roomKey: "room", eventKey: "event", payloadKey: "payload", exceptKey: "except"}

// A message is the body of one request. It is used again for another one.
type message struct {
	wire   meter
	text   []byte              // what was read and inflated
	values [numKeys]auth.Value // parts of text, by key

	by  *rules // what it is judged by
	old bool   // its token is made with the previous secret

	// Kept for compressed bodies; nil until the first.
	buffered *bufio.Reader
	gzip     *gzip.Reader
	zlib     io.ReadCloser
}

// keepText is how large a text may have grown to be kept for the next message.
const keepText = 256 << 10

// reset forgets everything of the request.
func (m *message) reset() {
	m.wire = meter{}
	m.by, m.old = nil, false
	m.values = [numKeys]auth.Value{}
	m.text = m.text[:0]
	if cap(m.text) > keepText {
		m.text = nil
	}
	if m.buffered != nil {
		m.buffered.Reset(nil)
	}
}

// read takes in the body as body-parser 1.20 does, and finds its values. It reads
// only bodies of exactly the type application/json; any other counts as {}, and so
// does an empty one. maxBody bounds the text, maxWire what is read for it. An error
// tells more about badJSON.
func (m *message) read(r *http.Request, maxBody, maxWire int64) (reason, error) {
	// A Content-Length of 0 announces a body too, though an empty one.
	if r.Body == nil || r.ContentLength == 0 && r.Header["Content-Length"] == nil {
		return accepted, nil
	}
	contentType := r.Header["Content-Type"]
	if len(contentType) == 0 {
		return accepted, nil
	}
	isJSON, charset := parseContentType(contentType[0])
	if !isJSON {
		return accepted, nil
	}
	// The Node server knew utf-16 and utf-7 too and refused utf8, which is what many
	// senders write.
	if charset != "" && !equalFold(charset, "utf-8") && !equalFold(charset, "utf8") {
		return badCharset, nil
	}
	encoding := ""
	if header := r.Header["Content-Encoding"]; len(header) == 1 {
		encoding = header[0]
	} else if len(header) > 1 {
		return badEncoding, nil
	}

	open := (*message).plain
	switch {
	case encoding == "" || equalFold(encoding, "identity"):
		if r.ContentLength > maxBody {
			return tooLarge, nil
		}
	case equalFold(encoding, "gzip"):
		open = (*message).gunzip
	case equalFold(encoding, "deflate"):
		open = (*message).inflate
	default:
		return badEncoding, nil
	}
	m.wire = meter{body: r.Body, left: maxWire}
	src, err := open(m)
	if err != nil {
		return m.readError(), nil
	}
	if why := m.readText(src, r.ContentLength, maxBody); why != accepted {
		return why, nil
	}
	return m.parse()
}

// readText reads all of src into text. length is a hint, negative for none.
func (m *message) readText(src io.Reader, length, most int64) reason {
	const first = 16 << 10 // of what is announced, before any of it came
	m.text = slices.Grow(m.text[:0], int(min(max(length, 0), first, most))+512)
	for {
		n, err := src.Read(m.text[len(m.text):cap(m.text)])
		m.text = m.text[:len(m.text)+n]
		if int64(len(m.text)) > most {
			return tooLarge
		}
		if err == io.EOF {
			return accepted
		}
		if err != nil {
			return m.readError()
		}
		if len(m.text) == cap(m.text) {
			m.text = slices.Grow(m.text, 1) // doubles
		}
	}
}

// readError says why src failed in readText: its connection, or what came from it.
func (m *message) readError() reason {
	switch err := m.wire.err; {
	case err == nil:
		return badInflate
	case errors.Is(err, errTooLarge):
		return tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return slowBody
	case errors.Is(err, quota.ErrFull):
		return inputFull
	}
	return brokenBody
}

// bom is a byte order mark; one at the start of a text is not part of it.
var bom = []byte("\ufeff")

// parse finds the values in text.
func (m *message) parse() (reason, error) {
	text := bytes.TrimPrefix(m.text, bom)
	if len(text) == 0 {
		return accepted, nil
	}
	switch err := auth.Pick(text, keys, m.values[:]); {
	case err == nil:
		return accepted, nil
	case errors.Is(err, auth.ErrNotObject):
		return notObject, nil
	case errors.Is(err, auth.ErrTooDeep):
		return tooDeep, nil
	default:
		return badJSON, err
	}
}

// errTooLarge is what a meter says at its bound.
var errTooLarge = errors.New("more than may be read")

// size is how many bytes of the body were read; 0 for no message.
func (m *message) size() int {
	if m == nil {
		return 0
	}
	return int(m.wire.read)
}

// A meter reads from a body up to a bound, and keeps the error that ended it.
type meter struct {
	body io.Reader
	left int64
	read int64
	err  error // other than io.EOF
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		m.err = errTooLarge
		return 0, m.err
	}
	n, err := m.body.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	m.read += int64(n)
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}

// What follows opens the wire as one of the three content codings.

func (m *message) plain() (io.Reader, error) { return &m.wire, nil }

// inflate reads what HTTP calls deflate, which is zlib's format (RFC 9110, section
// 8.4.1.2), as body-parser does. What follows the end of the data is ignored.
func (m *message) inflate() (io.Reader, error) {
	m.buffer()
	if m.zlib != nil {
		return m.zlib, m.zlib.(zlib.Resetter).Reset(m.buffered, nil)
	}
	z, err := zlib.NewReader(m.buffered)
	if err == nil {
		m.zlib = z
	}
	return z, err
}

func (m *message) gunzip() (io.Reader, error) {
	m.buffer()
	if m.gzip == nil {
		m.gzip = new(gzip.Reader)
	}
	return (*members)(m), (*members)(m).next()
}

func (m *message) buffer() {
	if m.buffered == nil {
		m.buffered = bufio.NewReader(&m.wire)
		return
	}
	m.buffered.Reset(&m.wire)
}

// members reads gzip as the zlib of Node.js does: members follow each other, and
// from a zero byte on what follows is padding. gzip.Reader would refuse the padding.
type members message

// next goes to the next member.
func (g *members) next() error {
	err := g.gzip.Reset(g.buffered)
	g.gzip.Multistream(false)
	return err
}

func (g *members) Read(p []byte) (int, error) {
	for {
		n, err := g.gzip.Read(p)
		if n > 0 && err == io.EOF {
			err = nil // the next call looks for what follows
		}
		if err != io.EOF {
			return n, err
		}
		following, err := g.buffered.Peek(1)
		if err != nil {
			return 0, err
		}
		if following[0] == 0 {
			return 0, io.EOF
		}
		if err := g.next(); err != nil {
			return 0, err
		}
	}
}
