package http1

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxHead    = 16 << 10 // as in Node
	maxHeaders = 100      // lines
	usual      = 32       // lines of most heads
)

// A verdict says what bytes off a connection are.
type verdict int

const (
	incomplete verdict = iota // the beginning of a request that may be plain
	plain                     // begins with a whole one
	foreign                   // anything else, for net/http to judge
)

// A request is what has been read of one request. It is used again for another one.
type request struct {
	http.Request
	header http.Header
	values [usual]string // what header's slices stand on
	body   body
	url    url.URL         // Request's own
	ctx    context.Context // of each; nil for an empty one
}

// parse reads the request that b begins with. If it is plain, size is its length
// and the fields of http.Request are as net/http sets them; the body is part of b. Of
// one whose head alone is there they are too, and size is what it will have.
func (q *request) parse(b []byte, maxBody int) (v verdict, size int) {
	skipped := emptyLines(b)
	b = b[skipped:]
	if len(b) == 0 || len(b) == 1 && b[0] == '\r' {
		return incomplete, 0
	}
	if b[0] != 'G' && b[0] != 'P' && b[0] != 'O' {
		return foreign, 0
	}
	end := bytes.Index(b[:min(len(b), maxHead)], []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) >= maxHead || hasBareLineFeed(b) {
			return foreign, 0
		}
		return incomplete, 0
	}
	line, rest, _ := strings.Cut(string(b[:end+2]), "\r\n")
	if !q.requestLine(line) {
		return foreign, 0
	}
	length, ok := q.fields(rest)
	if !ok || length > maxBody {
		return foreign, 0
	}
	size = end + 4 + length
	q.ContentLength = int64(length)
	q.Request.Body = http.NoBody
	if size > len(b) {
		return incomplete, skipped + size
	}
	if length > 0 {
		q.body.left = b[end+4 : size]
		q.Request.Body = &q.body
	}
	return plain, skipped + size
}

// emptyLines returns how many bytes of empty lines stand before a request, which
// RFC 9112, section 2.2, has servers ignore. One or two: more are no mistake.
func emptyLines(b []byte) (n int) {
	for n < 4 && bytes.HasPrefix(b[n:], []byte("\r\n")) {
		n += 2
	}
	return n
}

// hasBareLineFeed reports whether a line ends in LF alone: then a head may be whole
// that does not look so.
func hasBareLineFeed(b []byte) bool {
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') {
			return true
		}
	}
	return false
}

// requestLine reads the first line, RFC 9112, section 3.
func (q *request) requestLine(line string) bool {
	method, line, _ := strings.Cut(line, " ")
	target, proto, _ := strings.Cut(line, " ")
	if method != http.MethodGet && method != http.MethodPost && method != http.MethodOptions || proto != "HTTP/1.1" || target == "" || target[0] != '/' {
		return false
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7F {
			return false
		}
	}
	if path, query, found := strings.Cut(target, "?"); isPlainPath(path) && (query != "" || !found) {
		q.url = url.URL{Path: path, RawQuery: query}
	} else if u, err := url.ParseRequestURI(target); err == nil {
		q.url = *u
	} else {
		return false
	}
	clear(q.header)
	if q.header == nil {
		q.header = make(http.Header)
	}
	if q.ctx == nil {
		q.ctx = context.Background()
	}
	// The copy that WithContext makes stays on the stack.
	q.Request = *(&http.Request{Method: method, URL: &q.url, RequestURI: target,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: q.header}).WithContext(q.ctx)
	return true
}

// isPlainPath reports whether a path is what it decodes to.
func isPlainPath(s string) bool {
	if len(s) > 1 && s[1] == '/' {
		return false
	}
	return consistsOf(s, "/-._~")
}

// fields reads the header lines, RFC 9112, section 5, and returns the length of the
// body. text is lines that end in CR LF, or nothing.
func (q *request) fields(text string) (length int, ok bool) {
	hosts := 0
	for n := 0; text != ""; n++ {
		end := strings.IndexByte(text, '\n')
		line := text[:end]
		text = text[end+1:]
		if line == "" || line[len(line)-1] != '\r' {
			return 0, false
		}
		name, value, found := strings.Cut(line[:len(line)-1], ":")
		value = strings.Trim(value, " \t")
		if !found || n == maxHeaders || !isToken(name) || !isFieldValue(value) {
			return 0, false
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		switch name {
		case "Host":
			if hosts++; hosts > 1 || !isHost(value) {
				return 0, false
			}
			q.Host = value
			continue // net/http keeps it out of the header
		case "Connection":
			if !q.connection(value) {
				return 0, false
			}
		case "Content-Length":
			var err error
			if length, err = strconv.Atoi(value); err != nil || q.header["Content-Length"] != nil || !isDigits(value) {
				return 0, false
			}
		case "Upgrade":
			if !strings.EqualFold(value, "websocket") {
				return 0, false
			}
		case "Transfer-Encoding", "Expect", "Trailer", "Http2-Settings":
			return 0, false
		}
		if list := q.header[name]; list == nil && n < usual {
			q.values[n] = value
			q.header[name] = q.values[n : n+1 : n+1]
		} else {
			q.header[name] = append(list, value)
		}
	}
	// net/http adds what HTTP/1.0 caches meant by it, RFC 9111, section 5.4.
	if pragma := q.header["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && q.header["Cache-Control"] == nil {
		q.header["Cache-Control"] = []string{"no-cache"}
	}
	// A body of a GET, or a POST that does not say how long it is, is no matter of
	// routine.
	if hosts != 1 || (q.Method == http.MethodPost) != (q.header["Content-Length"] != nil) {
		return 0, false
	}
	return length, true
}

// connection reads the options of a Connection header, RFC 9110, section 7.6.1.
func (q *request) connection(value string) bool {
	for option := range strings.SplitSeq(value, ",") {
		option = strings.Trim(option, " \t")
		switch {
		case strings.EqualFold(option, "close"):
			q.Close = true // the field of http.Request
		case strings.EqualFold(option, "keep-alive"), strings.EqualFold(option, "upgrade"):
		default:
			return false
		}
	}
	return true
}

// isToken reports whether s is a token, RFC 9110, section 5.6.2.
func isToken(s string) bool { return s != "" && consistsOf(s, "!#$%&'*+-.^_`|~") }

// isHost reports whether s is a name or address with or without a port, and free
// of everything that only an unusual one has.
func isHost(s string) bool { return s != "" && consistsOf(s, "-._:[]") }

// consistsOf reports whether s has nothing but letters and digits of ASCII and
// certain marks.
func consistsOf(s, marks string) bool {
	for i := range len(s) {
		c := s[i]
		if ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return true
}

// isFieldValue reports whether s may stand behind a header's colon, RFC 9110,
// section 5.5.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7F {
			return false
		}
	}
	return true
}

// isDigits reports whether s is up to eight digits.
func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 8
}

// A body is what is left of a request's body.
type body struct{ left []byte }

func (b *body) Read(p []byte) (int, error) {
	if len(b.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	if len(b.left) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (b *body) Close() error {
	b.left = nil
	return nil
}
