// Package eventsource speaks Server-Sent Events on the connections of a [loop.Loop]: an
// answer to GET that goes on (https://html.spec.whatwg.org/multipage/server-sent-events.html,
// section 9.2). An event that is pushed is bytes that are ready, made once for all who get
// it, so that a delivery costs what one of a WebSocket does. Package eventstream writes the
// same on goroutines of net/http, for the few who watch.
//
// # Where an answer ends
//
// It has no length and is not chunked: it ends with its connection (RFC 9112, section 6.3,
// rule 8). So the same bytes are for clients and proxies of HTTP/1.0 and 1.1, and an event
// has no frame of one version around it. What chunks would add, to tell an end from a cut, is
// nothing here: clients come back after both.
package eventsource

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"poosh/server/closed"
	"poosh/server/loop"
	"poosh/server/websocket"
)

// Type is the Content-Type of a stream.
const Type = "text/event-stream"

// A Handler is told of the end of a connection.
type Handler interface {
	// Closed is the last call for a connection, exactly one, from the loop's reaper. The
	// socket is closed already. It may come before [Conn.Start].
	Closed(reason error)
}

// A Conn is a connection that a stream is written to. Its methods may be called from any
// goroutine.
type Conn struct {
	*loop.Conn // set once
	codec      *codec
}

// Accept answers a request, which must be a GET, with a stream, and takes its connection
// away from the HTTP server. The headers that were set are part of the answer. Nothing is
// written before [Conn.Start], which must follow before the HTTP handler returns. With
// [websocket.ErrTooMany] the caller still has to answer the request; with any other
// [loop.ErrTooMany] it is answered, and after any other error the connection is closed. It
// counts as a WebSocket of sockets does. A comment is sent every heartbeat, so that proxies, and
// clients that look, do not take a silent stream for a dead one.
func Accept(sockets *websocket.Server, w http.ResponseWriter, r *http.Request, heartbeat time.Duration, h Handler) (*Conn, error) {
	p := &codec{sockets: sockets, handler: h, remote: r.RemoteAddr, every: heartbeat}
	c, early, err := sockets.TakeOver(w, p, loop.Options{}, func() []byte { return late(w.Header(), r) })
	if err != nil {
		return nil, err
	}
	p.heard = len(early)
	c.Push(head(w.Header()))
	return &Conn{c, p}, nil
}

// Start begins to write. Call it once.
func (c *Conn) Start() {
	c.codec.begin(c.Conn)
	c.Conn.Start()
}

// Close ends the stream in order: what waits is written, then last, unless it is nil, then
// the peer sees the end. The handler is told reason. It returns at once.
func (c *Conn) Close(last []byte, reason closed.Reason) { c.End(loop.HalfClose, last, reason) }

// What clients wait before they come back: between the two, so that those who were cut off
// together do not come together.
const (
	minRetry = time.Second
	maxRetry = 3 * time.Second
)

// head is the head of the answer, and what a stream begins with.
func head(h http.Header) []byte {
	h = h.Clone()
	h.Set("Content-Type", Type)
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx hands on what there is
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	for _, name := range []string{"Content-Length", "Transfer-Encoding"} {
		h.Del(name)
	}
	return answer(http.StatusOK, h, Retry(minRetry+rand.N(maxRetry-minRetry)))
}

func answer(status int, h http.Header, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = h.Write(&b) // to memory
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// Later is after how long who finds no place comes back.
const Later = 5 * time.Second

// Refuse answers a client that comes back by itself and finds no place for now. With any
// other status, or type, an EventSource would give up for good (section 9.2.3 of the
// standard, "fail the connection"), so this is a stream that ends at once, with the time to
// wait and a comment that says why. Others are for the caller to answer: it reports false.
func Refuse(w http.ResponseWriter, r *http.Request, why string) bool {
	if !asks(r) {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", Type)
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(append(Retry(Later), Comment(why)...))
	return true
}

// late is the answer to who is refused when the connection is not the HTTP server's any more,
// as those who are refused before are answered. h are the headers that were set: without
// those by which a browser lets a page of another origin read it, an EventSource gives up.
func late(h http.Header, r *http.Request) []byte {
	h = h.Clone()
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	if asks(r) {
		h.Set("Content-Type", Type)
		return answer(http.StatusOK, h, append(Retry(Later), Comment("too many connections")...))
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Retry-After", strconv.Itoa(int(Later/time.Second)))
	h.Set("Content-Length", strconv.Itoa(len(tooMany)))
	return answer(http.StatusTooManyRequests, h, []byte(tooMany))
}

const tooMany = `{"error":"too many connections"}`

// asks reports whether a client says that it wants a stream, as each EventSource does.
func asks(r *http.Request) bool {
	for _, v := range r.Header["Accept"] {
		if strings.Contains(v, Type) {
			return true
		}
	}
	return false
}
