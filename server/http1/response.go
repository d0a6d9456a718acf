package http1

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A response is the ResponseWriter of a plain request. It holds the answer until
// the handler returns, and is used again for the next one of its connection.
type response struct {
	c      *conn
	header http.Header
	status int  // zero until it is written
	typed  bool // the header says what the body is
	body   []byte

	hijacked bool
	pending  *Pending // set by Later
}

func (w *response) reset() {
	if w.header == nil {
		w.header = make(http.Header)
	}
	clear(w.header)
	w.status, w.body, w.pending = 0, w.body[:0], nil
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	// Informational answers are for those who wait for them; here everything has
	// been read.
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !hasBody(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	w.body = append(w.body, b...)
	return len(b), nil
}

func (w *response) WriteString(s string) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !hasBody(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	w.body = append(w.body, s...)
	return len(s), nil
}

// Hijack implements [http.Hijacker]. The reader holds what arrived behind the
// request.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c := w.c
	if w.hijacked || w.status != 0 || w.pending != nil {
		return nil, nil, http.ErrHijacked
	}
	w.hijacked = true
	c.srv.forget(c)
	const small = 64 // who takes a connection over has buffers of its own
	var r *bufio.Reader
	if left := bytes.Clone(c.buf[c.r:c.w]); len(left) > 0 {
		r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(left), c.nc), len(left))
		_, _ = r.Peek(len(left)) // from memory
	} else {
		r = bufio.NewReaderSize(c.nc, small)
	}
	return c.nc, bufio.NewReadWriter(r, bufio.NewWriterSize(c.nc, small)), nil
}

func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// head appends what an answer begins with to dst: all that is known before its
// body and its time are. What the handler said of those, and of the connection,
// does not count.
func (w *response) head(dst []byte) []byte {
	if status := w.status; status == 0 || status == http.StatusOK {
		w.status = http.StatusOK
		dst = append(dst, "HTTP/1.1 200 OK\r\n"...)
	} else {
		text := http.StatusText(status)
		if text == "" {
			text = "status code " + strconv.Itoa(status)
		}
		dst = append(dst, "HTTP/1.1 "...)
		dst = strconv.AppendInt(dst, int64(status), 10)
		dst = append(append(append(dst, ' '), text...), "\r\n"...)
	}
	w.typed = false
	for name, values := range w.header {
		switch name {
		case "Content-Length", "Connection", "Transfer-Encoding", "Date":
			continue
		case "Content-Type", "Content-Encoding":
			w.typed = true
		}
		for _, value := range values {
			dst = append(append(append(dst, name...), ": "...), oneLine(value)...)
			dst = append(dst, "\r\n"...)
		}
	}
	return dst
}

// finish appends the rest of an answer behind its head. last says whether the
// connection ends with it.
func (w *response) finish(dst, body []byte, last bool) []byte {
	dst = append(append(append(dst, "Date: "...), date()...), "\r\n"...)
	if last {
		dst = append(dst, "Connection: close\r\n"...)
	}
	if !hasBody(w.status) {
		return append(dst, "\r\n"...)
	}
	if len(body) > 0 && !w.typed {
		dst = append(append(append(dst, "Content-Type: "...), http.DetectContentType(body)...), "\r\n"...)
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}

// closes reports whether the handler wants the connection closed.
func (w *response) closes() bool {
	return slices.ContainsFunc(w.header["Connection"], func(v string) bool { return strings.EqualFold(v, "close") })
}

// oneLine keeps a header's value from beginning another header.
func oneLine(value string) string {
	if strings.IndexByte(value, '\n') >= 0 || strings.IndexByte(value, '\r') >= 0 {
		return strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
	}
	return value
}

// A second is the Date of all answers of one second.
type second struct {
	unix int64
	text string
}

var today atomic.Pointer[second]

// date returns the value of a Date header, RFC 9110, section 6.6.1.
func date() string {
	now := time.Now()
	if s := today.Load(); s != nil && s.unix == now.Unix() {
		return s.text
	}
	s := &second{now.Unix(), now.UTC().Format(http.TimeFormat)}
	today.Store(s)
	return s.text
}
