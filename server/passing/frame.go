package passing

import (
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
)

// What is sent on a link is frames: the length of what follows but the HMAC, in four bytes, one byte of
// what it is, eight with the number of the request that it is about, what there is to say, and the
// HMAC. Numbers are big endian, or varints where texts have them in front as their length. What is longer
// than maxPiece is sent in pieces, each with an HMAC of its own: all but the last are frames of the kind
// frameMore. So of what nobody has signed no more than a piece is ever kept.
const (
	frameRequest byte = iota + 1 // of the caller, as all that follow but the answers
	frameCancel                  // nobody waits for the answer, or it did not reach who did
	frameYield                   // answer with nothing, if it waits
	framePing                    // in place of a number: how many frames came

	frameAnswer
	framePong

	frameCame // of the caller, in place of a number: how many frames came

	frameMore // of both: a part of the frame behind it, which is none by itself
)

const (
	lengthSize = 4
	frameHead  = 1 + 8
	// maxFrame bounds a frame with all its pieces: MAX_PACKET_BYTES may be 100 MB, and an answer as much
	// and more.
	maxFrame = 512 << 20
	// maxPiece bounds what stands between a length and its HMAC.
	maxPiece = 64 << 10
	// keepBuffer is how large a buffer may have grown to be used again.
	keepBuffer = 64 << 10
	maxHeaders = 100 // lines, as in package http1
	usual      = 32  // lines of most heads
)

// newFrame begins a frame with room for so much.
func newFrame(kind byte, id uint64, room int) []byte {
	b := make([]byte, lengthSize+frameHead, lengthSize+frameHead+room+macSize)
	b[lengthSize] = kind
	binary.BigEndian.PutUint64(b[lengthSize+1:], id)
	return b
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// appendHeader appends the lines of a header, but those that skip names.
func appendHeader(dst []byte, h http.Header, skip func(string) bool) []byte {
	lines := 0
	for name, values := range h {
		if !skip(name) {
			lines += len(values)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(lines))
	for name, values := range h {
		if skip(name) {
			continue
		}
		for _, v := range values {
			dst = appendText(appendText(dst, name), v)
		}
	}
	return dst
}

// ofHop reports whether a header is about one connection.
func ofHop(name string) bool {
	switch name {
	case "Connection", "Content-Length", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Connection":
		return true
	}
	return false
}

// requestFrame is a request as it is passed. Behind the number: the length of the head and the
// head, which is port, method, target, host, the client's address and the header, and the body.
func requestFrame(port string, r *http.Request, body []byte) []byte {
	head := make([]byte, 0, 512)
	for _, text := range [...]string{port, r.Method, target(r), r.Host, r.RemoteAddr} {
		head = appendText(head, text)
	}
	head = appendHeader(head, r.Header, ofHop)
	b := newFrame(frameRequest, 0, 4+len(head)+len(body))
	b = binary.AppendUvarint(b, uint64(len(head)))
	return append(append(b, head...), body...)
}

// A cursor reads what stands in a text, until something is wrong.
type cursor struct {
	left string
	bad  bool
}

func (c *cursor) number() int {
	n, shift := uint64(0), 0
	for i := 0; i < len(c.left) && shift < 35; i++ {
		b := c.left[i]
		n |= uint64(b&0x7F) << shift
		if shift += 7; b < 0x80 {
			c.left = c.left[i+1:]
			return int(n)
		}
	}
	c.left, c.bad = "", true
	return 0
}

func (c *cursor) text() string {
	n := c.number()
	if c.bad || n > len(c.left) {
		c.left, c.bad = "", true
		return ""
	}
	t := c.left[:n]
	c.left = c.left[n:]
	return t
}

// header reads one into h, which is empty.
func (c *cursor) header(h http.Header, space *[usual]string) {
	lines := c.number()
	if lines > maxHeaders {
		c.bad = true
	}
	for i := 0; i < lines && !c.bad; i++ {
		name, value := c.text(), c.text()
		if list := h[name]; list == nil && i < usual {
			space[i] = value
			h[name] = space[i : i+1 : i+1]
		} else {
			h[name] = append(list, value)
		}
	}
}

// headAndBody splits what is behind the number of a frame; head is a copy.
func headAndBody(b []byte) (head cursor, body []byte) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return cursor{bad: true}, nil
	}
	return cursor{left: string(b[n : n+int(size)])}, b[n+int(size):]
}

// A request is one that was passed on. It is used again for another one.
type request struct {
	http.Request
	url    url.URL
	header http.Header
	values [usual]string
	port   string
}

// read makes q what a frame says, and returns the body, which stays part of b.
func (q *request) read(b []byte) (body []byte, ok bool) {
	head, body := headAndBody(b)
	q.port = head.text()
	method, target, host, remote := head.text(), head.text(), head.text(), head.text()
	if q.header == nil {
		q.header = make(http.Header)
	}
	clear(q.header)
	head.header(q.header, &q.values)
	if head.bad || head.left != "" || method != http.MethodGet && method != http.MethodPost || !q.target(target) {
		return nil, false
	}
	q.Request = http.Request{Method: method, URL: &q.url, RequestURI: target, Host: host, RemoteAddr: remote,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: q.header, ContentLength: int64(len(body)), Body: http.NoBody}
	return body, true
}

// target reads what a request asks for, as package http1 does.
func (q *request) target(text string) bool {
	if !strings.HasPrefix(text, "/") {
		return false
	}
	if path, query, found := strings.Cut(text, "?"); !strings.ContainsRune(path, '%') && !strings.HasPrefix(path, "//") && (query != "" || !found) {
		q.url = url.URL{Path: path, RawQuery: query}
		return true
	}
	u, err := url.ParseRequestURI(text)
	if err == nil {
		q.url = *u
	}
	return err == nil
}

// appendAnswerHead appends what an answer begins with: its length, the status and the header.
func appendAnswerHead(dst []byte, status int, h http.Header) []byte {
	head := binary.BigEndian.AppendUint16(make([]byte, 0, 256), uint16(status))
	head = appendHeader(head, h, func(name string) bool { return name != "Connection" && ofHop(name) })
	return append(binary.AppendUvarint(dst, uint64(len(head))), head...)
}

// readAnswer reads what is behind the number of an answer into h, which it clears first. The body stays
// part of b.
func readAnswer(b []byte, h http.Header, space *[usual]string) (status int, body []byte, ok bool) {
	clear(h)
	head, body := headAndBody(b)
	if head.bad || len(head.left) < 2 {
		return 0, nil, false
	}
	status = int(head.left[0])<<8 | int(head.left[1])
	head.left = head.left[2:]
	head.header(h, space)
	if head.bad || head.left != "" || status < 200 || status > 599 {
		return 0, nil, false
	}
	return status, body, true
}

// An unsealer takes frames out of what arrives. It belongs to the connection's reader.
type unsealer struct {
	seal *seal
	rest []byte // of a piece that is not whole; nobody has looked at its HMAC
	want int    // bytes that rest must have before it is worth looking
	more []byte // of a frame: the pieces that came, which are signed
}

// feed calls handle with each frame that is whole, without its length and HMAC; it is valid during the
// call. It reports false for what the other side did not send.
func (u *unsealer) feed(data []byte, handle func(kind byte, id uint64, rest []byte) bool) bool {
	if len(u.rest) > 0 {
		if u.rest = append(u.rest, data...); len(u.rest) < u.want {
			return true
		}
		data = u.rest
	}
	u.want = 0
	for len(data) >= lengthSize {
		length := binary.BigEndian.Uint32(data)
		if length < frameHead || length > maxPiece {
			return false
		}
		n := int(length)
		whole := lengthSize + n + macSize
		if len(data) < whole {
			u.want = whole
			break
		}
		piece := data[lengthSize : lengthSize+n]
		if !u.seal.fits(piece, data[lengthSize+n:whole]) || !u.piece(piece, handle) {
			return false
		}
		data = data[whole:]
	}
	if len(data) == 0 && cap(u.rest) > keepBuffer {
		u.rest = nil
	}
	u.rest = append(u.rest[:0], data...)
	return true
}

// piece takes one that is signed, and hands on a frame whose last it is.
func (u *unsealer) piece(b []byte, handle func(kind byte, id uint64, rest []byte) bool) bool {
	kind, id, rest := b[0], binary.BigEndian.Uint64(b[1:]), b[frameHead:]
	if kind == frameMore || len(u.more) > 0 {
		if len(u.more)+len(rest) > maxFrame {
			return false
		}
		u.more = append(u.more, rest...)
		if kind == frameMore {
			return true
		}
		rest = u.more
	}
	ok := handle(kind, id, rest)
	if u.more = u.more[:0]; cap(u.more) > keepBuffer {
		u.more = nil
	}
	return ok
}

// pieces is how a frame leaves: with its length and HMAC, in as many pieces as it takes.
func (s *seal) pieces(frame []byte) []byte {
	if len(frame) <= lengthSize+maxPiece {
		binary.BigEndian.PutUint32(frame, uint32(len(frame)-lengthSize))
		return append(frame, s.of(frame[lengthSize:])...)
	}
	const room = maxPiece - frameHead
	rest := frame[lengthSize+frameHead:]
	out := make([]byte, 0, len(frame)+(len(rest)/room+1)*(lengthSize+frameHead+macSize))
	add := func(head, part []byte) {
		at := len(out)
		out = append(append(binary.BigEndian.AppendUint32(out, uint32(len(head)+len(part))), head...), part...)
		out = append(out, s.of(out[at+lengthSize:])...)
	}
	for ; len(rest) > room; rest = rest[room:] {
		add([]byte{0: frameMore, frameHead - 1: 0}, rest[:room])
	}
	add(frame[lengthSize:lengthSize+frameHead], rest)
	return out
}
