package socketio

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"poosh/server/http1"
	"poosh/server/latency"
)

// An exchange is a request to a server in a bubble, and its answer. It is the
// ResponseWriter, without a network.
type exchange struct {
	send     func()
	cut      context.CancelFunc
	socket   *duplex // the server's end, for a WebSocket
	talk     *talk   // the client's, if there is one
	hijacked func()  // called in the midst of its handshake

	mu     sync.Mutex // guards what follows
	header http.Header
	status int
	body   bytes.Buffer
	done   bool
	waiter http1.Waiter // where it is answered later
}

func (e *exchange) Header() http.Header { return e.header }

func (e *exchange) WriteHeader(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = status
}

func (e *exchange) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.body.Write(b)
}

func (e *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if e.hijacked != nil {
		e.hijacked()
	}
	e.WriteHeader(http.StatusSwitchingProtocols)
	return e.socket, bufio.NewReadWriter(bufio.NewReader(e.socket), bufio.NewWriter(e.socket)), nil
}

// Answer is what [http1.Pending.Answer] is.
func (e *exchange) Answer(body []byte, marks ...*latency.Mark) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.done {
		e.body.Write(body)
		e.done = true
	}
	latency.Marks(marks).Pass()
}

// later is [http1.Later] for exchanges.
func later(w http.ResponseWriter, to http1.Waiter) (laterAnswer, bool) {
	e := w.(*exchange)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiter = to
	return e, true
}

// A caller is a client of one session, in a bubble: it does one thing, and looks at what
// came of it once nothing moves any more.
type caller struct {
	*site
	eio     int
	sid     string
	session *Session
	stopped chan error   // of a shutdown
	events  atomic.Int64 // that were delivered
	meter   *latency.Meter

	get    *exchange // the GET that waits
	taken  string    // whether an event was
	socket *talk     // nil for none
}

// newCaller opens a session. With loops, GETs wait as they do on the loop, else on
// goroutines.
func newCaller(t *testing.T, cfg Config, eio int, loops bool, before ...func(*Server)) *caller {
	s := newSite(t, cfg, stillSockets(t), append(before, func(srv *Server) {
		if loops {
			srv.later = later
		}
	})...)
	t.Cleanup(s.end)
	c := &caller{site: s, eio: eio, stopped: make(chan error, 1), meter: latency.New()}
	e := c.start("GET", "", nil)
	synctest.Wait()
	p := &poller{site: s, eio: eio}
	c.sid = openID(t, p.packets(e.answer())[0])
	c.session = s.server.find(c.sid)
	return c
}

// start sends a request.
func (c *caller) start(method, body string, socket *duplex) *exchange {
	e := c.prepare(method, body, socket)
	e.send()
	return e
}

// prepare makes a request.
func (c *caller) prepare(method, body string, socket *duplex) *exchange {
	ctx, cut := context.WithCancel(context.Background())
	e := &exchange{header: make(http.Header), status: http.StatusOK, cut: cut, socket: socket}
	r, err := http.NewRequestWithContext(ctx, method, "http://test"+Path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	transport := "polling"
	r.RemoteAddr = "192.0.2.1:1"
	if socket != nil {
		transport = "websocket"
		for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket",
			"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
			r.Header.Set(name, value)
		}
	}
	r.URL.RawQuery = fmt.Sprintf("EIO=%d&b64=1&transport=%s&sid=%s", c.eio, transport, c.sid)
	e.send = func() { go c.serve(e, r) } // ends with the handler
	return e
}

// serve serves a request.
func (c *caller) serve(e *exchange, r *http.Request) {
	defer e.cut()
	c.server.ServeHTTP(e, r)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = e.done || e.waiter == nil
	if e.socket != nil && e.status != http.StatusSwitchingProtocols {
		_ = e.socket.Close()
	}
}

func (e *exchange) answer() answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	return answer{e.status, e.header, e.body.String()}
}

// got describes an answer: "waits", or its status and what it says.
func (c *caller) got(e *exchange) string {
	e.mu.Lock()
	done := e.done
	e.mu.Unlock()
	a := e.answer()
	switch {
	case !done && a.status == http.StatusSwitchingProtocols, !done:
		return "waits"
	case a.status != http.StatusOK:
		_, message, _ := strings.Cut(a.body, `"message":"`)
		message, _, _ = strings.Cut(message, `"`)
		return strings.TrimSpace(fmt.Sprint(a.status, " ", message))
	case a.body == "" || strings.HasPrefix(a.header.Get("Content-Type"), "text/html"):
		return a.body
	}
	p := &poller{site: c.site, eio: c.eio}
	return c.plain(p.packets(a))
}

// plain puts packets together, without the socket's id.
func (c *caller) plain(packets []string) string {
	return socketID.ReplaceAllString(strings.Join(packets, " "), `"sid":"ID"`)
}

var socketID = regexp.MustCompile(`"sid":"[^"]*"`)

// hangUp cuts the GET that waits.
func (c *caller) hangUp() {
	c.get.hangUp()
	c.get = nil
}

// hangUp cuts a request that may wait.
func (e *exchange) hangUp() {
	e.mu.Lock()
	waiter, done := e.waiter, e.done
	e.mu.Unlock()
	e.cut()
	if waiter != nil && !done {
		waiter.Abandoned()
	}
}

// A talk is the client's end of a WebSocket. It answers a close frame at once.
type talk struct {
	conn *duplex
	over chan struct{} // closed when the server has ended it

	mu    sync.Mutex // guards what follows
	heard []string
	end   string // the close code, or "cut"
}

// dialSocket opens a WebSocket for the session.
func (c *caller) dialSocket() *exchange {
	near, far := newDuplex()
	e := c.start("GET", "", far)
	synctest.Wait()
	if e.answer().status != http.StatusSwitchingProtocols {
		_ = near.Close()
		return e
	}
	t := &talk{conn: near, over: make(chan struct{})}
	c.socket = t
	c.Cleanup(func() { _ = near.Close(); <-t.over })
	go t.listen(&wsClient{c.site, near, bufio.NewReader(near)}) // ends with the connection
	return e
}

func (t *talk) listen(ws *wsClient) {
	defer close(t.over)
	defer t.conn.Close()
	end := "cut"
	if _, err := http.ReadResponse(ws.in, nil); err == nil {
		for {
			message, code, err := ws.next()
			if code != 0 {
				end = fmt.Sprint(code)
				_, _ = t.conn.Write([]byte("\x88\x82\x00\x00\x00\x00\x03\xe8"))
			}
			if err != nil || code != 0 {
				break
			}
			t.mu.Lock()
			t.heard = append(t.heard, message)
			t.mu.Unlock()
		}
	}
	t.mu.Lock()
	t.end = end
	t.mu.Unlock()
}

// say sends a message, which a server that has closed the connection does not read.
func (t *talk) say(message string) {
	b := append([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}, message...)
	_, _ = t.conn.Write(b)
}

// An outcome is what came of a step.
type outcome struct {
	reply string // to its request
	freed string // what the GET that waited was answered
	heard string // on the WebSocket
	ended string // how the WebSocket was closed
	told  string // what the dialect was told
	taken string // whether the event was
	life  lifeState
	via   transportState
	in    bool // the namespace
}

// look waits until nothing moves, and takes what came of a step.
func (c *caller) look(request, before *exchange) (o outcome) {
	synctest.Wait()
	if request != nil {
		o.reply = c.got(request)
	}
	if before != nil && c.get != nil {
		if got := c.got(before); got != "waits" {
			o.freed = got
		}
	}
	switch {
	case request != nil && request.socket == nil && o.reply == "waits":
		c.get = request
	case o.freed != "":
		c.get = nil
	}
	if t := c.socket; t != nil {
		t.mu.Lock()
		o.heard, o.ended = c.plain(t.heard), t.end
		t.heard = nil
		t.mu.Unlock()
		if o.ended != "" {
			c.socket = nil
		}
	}
	o.taken, c.taken = c.taken, ""
	o.told = c.told()
	c.session.mu.Lock()
	o.life, o.via, o.in = c.session.life, c.session.via, c.session.space == spaceInside
	asked := c.session.space.holds()
	c.session.mu.Unlock()
	if n := c.server.library.io.Sockets().Sockets().Len(); n > 0 && !asked {
		c.Errorf("the library keeps %d sockets, of clients that are in or gone", n)
	}
	return o
}

// told takes what the dialect was told.
func (c *caller) told() string {
	var list []string
	for len(c.connected) > 0 {
		<-c.connected
		list = append(list, "joined")
	}
	c.mu.Lock()
	list = append(list, c.dialect.events...)
	c.dialect.events = nil
	c.mu.Unlock()
	for len(c.closed) > 0 {
		list = append(list, "left: "+<-c.closed)
	}
	return strings.Join(list, ", ")
}
