package http1

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"poosh/server/loop"
)

// An exchange is a request with its answer. It is used again for another one.
type exchange struct {
	req request
	res response
}

// keepBody is how large an answer's buffer may have grown to be used again.
const keepBody = 16 << 10

// newExchange makes one for the pool.
func (s *Server) newExchange() any {
	x := new(exchange)
	x.res.request = &x.req.Request
	if s.cfg.Context != nil {
		x.req.ctx = s.cfg.Context()
	}
	return x
}

// recycle forgets what an exchange was about.
func (s *Server) recycle(x *exchange) {
	x.req.body.left = nil
	x.res.c, x.res.pending, x.res.behind, x.res.account = nil, nil, nil, nil
	if cap(x.res.body) > keepBody {
		x.res.body = nil
	}
	s.exchanges.Put(x)
}

// last reports whether the connection ends with the answer to this request.
func (x *exchange) last() bool {
	return x.res.wantsClose || x.res.closes() || x.res.c.srv.draining.Load()
}

// A response is the ResponseWriter of a plain request. It holds the answer until
// the handler returns.
type response struct {
	c          *conn
	request    *http.Request // of the same exchange; set once
	onReader   bool
	wantsClose bool   // the request said so
	behind     []byte // what was read behind the request

	header http.Header
	status int  // zero until it is written
	typed  bool // the header says what the body is
	body   []byte

	upgraded bool
	aside    bool     // set by Aside
	pending  *Pending // set by Later
	account  Account  // set by CountFor
}

func (w *response) reset(behind []byte) {
	if w.header == nil {
		w.header = make(http.Header)
	}
	clear(w.header)
	w.status, w.body, w.pending = 0, w.body[:0], nil
	w.upgraded, w.aside, w.behind, w.account = false, false, behind, nil
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

// Upgrade gives the connection away to who speaks WebSocket on it.
func (w *response) Upgrade(from netip.Addr) (*loop.Conn, []byte, error) {
	c := w.c
	if w.upgraded || w.status != 0 || w.pending != nil || !w.onReader {
		return nil, nil, http.ErrHijacked
	}
	if !c.srv.upgraded(c.peer, c.room, from) {
		return nil, nil, loop.ErrTooMany
	}
	w.upgraded = true
	c.mu.Lock()
	c.state = gone
	c.drop()
	c.mu.Unlock()
	c.srv.forget(c)
	return c.raw, w.behind, nil
}

// postpone begins a pending answer. Its head is made now, while what it is made of is
// at hand.
func (w *response) postpone(to Waiter) *Pending {
	c := w.c
	last := w.wantsClose || w.closes()
	p := &Pending{c: c, to: to, inside: true, text: w.head(make([]byte, 0, answerSize)), last: last}
	p.status, p.typed, p.account = int16(w.status), w.typed, w.account
	p.shows = int8(c.srv.shows(w.request))
	w.pending = p
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = p
	return p
}

// answerSize holds the answer to most polls, all in one.
const answerSize = 512

// answer returns the whole answer.
func (w *response) answer(last bool) []byte {
	head := w.head(make([]byte, 0, 256+len(w.body)))
	return finish(head, w.body, w.status, w.typed, last)
}

func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// head appends what the answer begins with to dst: all that is known before its
// body and its time are.
func (w *response) head(dst []byte) []byte {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	dst, w.typed = head(dst, w.status, w.header)
	return dst
}

// head appends what an answer begins with to dst, and reports whether that says what the body
// is. What the header says of the connection, or of the body's length and time, does not count.
func head(dst []byte, status int, header http.Header) (_ []byte, typed bool) {
	if status == http.StatusOK {
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
	for name, values := range header {
		switch name {
		case "Content-Length", "Connection", "Transfer-Encoding", "Date":
			continue
		case "Content-Type", "Content-Encoding":
			typed = true
		}
		for _, value := range values {
			dst = append(append(append(dst, name...), ": "...), oneLine(value)...)
			dst = append(dst, "\r\n"...)
		}
	}
	return dst, typed
}

// finish appends the rest of an answer behind its head. last says whether the
// connection ends with it.
func finish(dst, body []byte, status int, typed, last bool) []byte {
	dst = append(append(append(dst, "Date: "...), date()...), "\r\n"...)
	if last {
		dst = append(dst, "Connection: close\r\n"...)
	}
	if !hasBody(status) {
		return append(dst, "\r\n"...)
	}
	if len(body) > 0 && !typed {
		dst = append(append(append(dst, "Content-Type: "...), http.DetectContentType(body)...), "\r\n"...)
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, body...)
}

// closes reports whether the handler wants the connection closed.
func (w *response) closes() bool { return closes(w.header) }

func closes(header http.Header) bool {
	return slices.ContainsFunc(header["Connection"], func(v string) bool { return strings.EqualFold(v, "close") })
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
