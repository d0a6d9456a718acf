package e2e

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A recorder stands between a client and the server and writes down what they
// say: requests with their packets, and the frames of a WebSocket. GETs, POSTs
// and frames are kept apart, since a client sends them side by side in an order
// that is nobody's promise; within each kind there is but one order.
type recorder struct {
	*httptest.Server
	backend string // host:port of the server

	mu    sync.Mutex
	kinds map[string][]string // GET, POST, WebSocket: lines
}

// record starts a recorder in front of a server.
func record(t *testing.T, s *server) *recorder {
	t.Helper()
	r := &recorder{backend: addr(s.clientPort), kinds: make(map[string][]string)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.CloseClientConnections()
		r.Close()
	})
	return r
}

func (r *recorder) write(kind string, lines ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range lines {
		r.kinds[kind] = append(r.kinds[kind], masked(line))
	}
}

// has reports whether a line of a kind holds a text.
func (r *recorder) has(kind, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.kinds[kind] {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// transcript is all that was recorded.
func (r *recorder) transcript() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, kind := range []string{"GET", "POST", "WebSocket"} {
		if len(r.kinds[kind]) > 0 {
			fmt.Fprintf(&b, "-- %s\n%s\n", kind, strings.Join(r.kinds[kind], "\n"))
		}
	}
	return b.String()
}

// What differs from run to run, and what stands for it.
var placeholders = []struct {
	is   *regexp.Regexp
	then string
}{
	{regexp.MustCompile(`"sid":"[^"]*"`), `"sid":"<sid>"`},
	{regexp.MustCompile(`\bsid=[^& ]*`), `sid=<sid>`},
	{regexp.MustCompile(`\bt=\d+-\d+`), `t=<ms>-<n>`},
	{regexp.MustCompile(`\bt=[^&< ]+`), `t=<id>`},
}

func masked(line string) string {
	for _, p := range placeholders {
		line = p.is.ReplaceAllString(line, p.then)
	}
	return line
}

// ServeHTTP passes a request on and writes it down once it is answered.
func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if strings.EqualFold(req.Header.Get("Upgrade"), "websocket") {
		r.socket(w, req)
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the client has gone
	}
	out := req.Clone(req.Context())
	out.RequestURI = ""
	out.URL = &url.URL{Scheme: "http", Host: r.backend, Path: req.URL.Path, RawQuery: req.URL.RawQuery}
	out.Body = io.NopCloser(strings.NewReader(string(body)))
	out.ContentLength = int64(len(body))
	resp, err := raw().Do(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.exchange(req, string(body), resp, string(answer))
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	w.Write(answer)
}

// exchange writes down a request and its answer.
func (r *recorder) exchange(req *http.Request, body string, resp *http.Response, answer string) {
	eio := 3
	if strings.Contains(req.URL.RawQuery, "EIO=4") {
		eio = 4
	}
	lines := []string{"C> " + req.Method + " " + req.URL.RequestURI()}
	if req.Method == "POST" {
		lines = append(lines, "C> "+req.Header.Get("Content-Type"))
		lines = append(lines, packetLines("C> ", req.Header.Get("Content-Type"), body, eio)...)
	}
	lines = append(lines, fmt.Sprintf("S> %d %s", resp.StatusCode, strings.ToLower(resp.Header.Get("Content-Type"))))
	if req.Method == "GET" {
		packets := packetLines("S> ", resp.Header.Get("Content-Type"), answer, eio)
		if slices.Equal(packets, []string{"S> 6"}) {
			return // whether a poll waits when the change to WebSocket frees it is chance
		}
		lines = append(lines, packets...)
	}
	r.write(req.Method, lines...)
}

// packetLines is one line for each packet of a payload.
func packetLines(who, contentType, body string, eio int) []string {
	packets, err := split(strings.ToLower(contentType), body, eio)
	if err != nil {
		return []string{who + fmt.Sprintf("%v: %.200q", err, body)}
	}
	for i, p := range packets {
		packets[i] = who + canonical(p)
	}
	return packets
}

// socket passes a WebSocket on, frame by frame. Compression is not offered on:
// a transcript is to be read.
func (r *recorder) socket(w http.ResponseWriter, req *http.Request) {
	back, err := net.Dial("tcp", r.backend)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer back.Close()
	req.Header.Del("Sec-WebSocket-Extensions")
	if err := req.Write(back); err != nil {
		panic(http.ErrAbortHandler)
	}
	fromServer := bufio.NewReader(back)
	resp, err := http.ReadResponse(fromServer, req)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	front, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer front.Close()
	r.write("WebSocket", "C> GET "+req.URL.RequestURI(), fmt.Sprintf("S> %d", resp.StatusCode))
	resp.Write(front)
	done := make(chan struct{})
	go func() { // ends with the server's side
		defer close(done)
		r.relay("S> ", fromServer, front)
		front.Close()
	}()
	r.relay("C> ", buffered.Reader, back)
	back.Close()
	<-done
}

// relay passes frames on in one direction until that ends.
func (r *recorder) relay(who string, from *bufio.Reader, to io.Writer) {
	for {
		var whole []byte
		take := func(n int) ([]byte, error) {
			b := make([]byte, n)
			_, err := io.ReadFull(from, b)
			whole = append(whole, b...)
			return b, err
		}
		head, err := take(2)
		if err != nil {
			return
		}
		size := int(head[1] & 0x7f)
		if size >= 126 {
			b, err := take([]int{2, 8}[size-126])
			if err != nil {
				return
			}
			size = int(binary.BigEndian.Uint64(append(make([]byte, 8-len(b)), b...)))
		}
		mask := []byte{0, 0, 0, 0}
		if head[1]&0x80 != 0 {
			if mask, err = take(4); err != nil {
				return
			}
		}
		b, err := take(size)
		if err != nil {
			return
		}
		if op := head[0] & 0xf; op == opText {
			text := make([]byte, size)
			for i := range b {
				text[i] = b[i] ^ mask[i%4]
			}
			r.write("WebSocket", who+canonical(string(text)))
		}
		if _, err := to.Write(whole); err != nil {
			return
		}
	}
}
