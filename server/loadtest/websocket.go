package loadtest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/websocketclient"
)

// maxMessage bounds a message from a server, in bytes.
const maxMessage = 16 << 20

// keptBuffer bounds what a client keeps for the next message, in bytes.
const keptBuffer = 64 << 10

// A socket is a link over a WebSocket.
type socket struct {
	conn     *websocket.Conn
	quiet    time.Duration // how long nothing may come; of receive's goroutine
	patience time.Duration

	mu sync.Mutex // is held while something is written
}

// agent is how clients and publishers name themselves.
const agent = "poosh-bench"

// header is what every request has.
func (c *Config) header() http.Header {
	h := http.Header{"User-Agent": {agent}}
	if c.Origin != "" {
		h.Set("Origin", c.Origin)
	}
	return h
}

// entrance is the address that a client begins at.
func (c *Config) entrance(transport string) *url.URL {
	switch c.Protocol {
	case Pusher:
		return c.Server.at("/app/"+c.App.Key, "protocol=7&client="+agent+"&version=1&flash=false")
	case EIO3:
		return c.Server.at("/socket.io/", "EIO=3&b64=1&transport="+transport)
	}
	return c.Server.at("/socket.io/", "EIO=4&transport="+transport)
}

func dialWebSocket(ctx context.Context, t *Test) (link, error) {
	at := t.cfg.entrance("websocket")
	at.Scheme = strings.Replace(at.Scheme, "http", "ws", 1)
	conn, res, err := websocketclient.Dial(ctx, t.dialer, at.String(), t.cfg.header())
	if err != nil {
		if res != nil {
			return nil, saidNo(res.StatusCode, res.Body)
		}
		if cause := context.Cause(ctx); cause != nil && errors.Is(cause, errSilent) {
			err = cause
		}
		return nil, err
	}
	conn.SetReadLimit(maxMessage)
	return &socket{conn: conn, quiet: t.cfg.Timeout, patience: t.cfg.Timeout}, nil
}

// saidNo is an answer other than the one that is wanted, with what it says for people.
func saidNo(status int, body io.Reader) error {
	text := make([]byte, 200)
	n, _ := io.ReadFull(body, text) // there may be less, or nothing
	line, _, _ := strings.Cut(strings.TrimSpace(string(text[:n])), "\n")
	if strings.HasPrefix(line, "<") { // a page of a proxy's
		line = http.StatusText(status)
	}
	return &answerError{status, bounded(line)}
}

func (s *socket) silence(d time.Duration) { s.quiet = d }

func (s *socket) send(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.patience)) // it never fails
	return s.conn.WriteMessage(websocket.TextMessage, []byte(text))
}

func (s *socket) receive(each func([]byte) error) error {
	var buf []byte
	var until time.Time
	for {
		// A deadline costs something to set: one that is a little shorter does as well.
		if t := time.Now(); until.Sub(t) < s.quiet-s.quiet/8 {
			until = t.Add(s.quiet)
			_ = s.conn.SetReadDeadline(until) // it never fails
		}
		kind, r, err := s.conn.NextReader()
		if err == nil {
			buf, err = readInto(buf[:0], r)
		}
		if err != nil {
			return err
		}
		if kind != websocket.TextMessage {
			continue // nothing that a test sends is binary
		}
		if err := each(buf); err != nil {
			return err
		}
		if cap(buf) > keptBuffer {
			buf = nil
		}
	}
}

// readInto appends all of r to buf.
func readInto(buf []byte, r io.Reader) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, max(256, len(buf)))...)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

func (s *socket) close() {
	_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	_ = s.conn.Close()
}
