package wire

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"poosh/server/peers"
)

// Options are about one connection. Zero fields mean the loop's.
type Options struct {
	MaxMessage int         // bytes of one incoming message
	Outbox     int         // what may wait to be written, in bytes of [Cost]
	Header     http.Header // more headers of the 101 answer

	// AnyKey takes each Sec-WebSocket-Key of up to 128 bytes, as the ws library of
	// socket.io 1.x did: some clients send what is not 16 bytes in base64.
	AnyKey bool
	// FirstProtocol answers an offer of subprotocols with the first one, as the ws
	// library does for socket.io. Otherwise no subprotocol is chosen.
	FirstProtocol bool
}

// ErrHandshake is what all errors of a refused handshake wrap, RFC 6455 section
// 4.2.1: the request has not been answered.
var ErrHandshake = errors.New("WebSocket handshake")

// What a handshake is refused for.
var (
	ErrNotUpgrade = fmt.Errorf("%w: not an upgrade request", ErrHandshake)
	ErrVersion    = fmt.Errorf("%w: version is not 13", ErrHandshake)
	ErrBadKey     = fmt.Errorf("%w: Sec-WebSocket-Key is not 16 bytes in base64", ErrHandshake)
	// ErrTooMany says that there are too many connections, in all or of one network:
	// 429 or 503 is the answer.
	ErrTooMany = fmt.Errorf("%w: too many connections", ErrHandshake)
)

// IsUpgrade reports whether a request asks for a WebSocket.
func IsUpgrade(r *http.Request) bool {
	return hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], "websocket")
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// An Upgrader is a ResponseWriter whose connection stands on the loop: it stays there
// when it becomes a WebSocket.
type Upgrader interface {
	// Upgrade gives the connection away, with what was read behind the request; from
	// is the network that it counts for from now on. It fails with [ErrTooMany] and
	// has done nothing then. It is called on the connection's reader.
	Upgrade(from netip.Addr) (c *Conn, early []byte, err error)
}

// A Passed connection is one that a net/http server was given by somebody who had
// read from it before.
type Passed interface {
	// Upgraded says that the connection has become a WebSocket, which counts for the
	// network from; it reports false when that has too many.
	Upgraded(from netip.Addr) bool
	// Unwrap returns the socket and what nobody has read yet.
	Unwrap() (nc net.Conn, early []byte)
}

// Accept answers a WebSocket handshake, RFC 6455 section 4.2, and takes the
// connection away from the HTTP server. Nothing is read or written before
// [Conn.Start], which must follow before the HTTP handler returns: the answer leaves
// then, in one write with the frames that were pushed meanwhile. When it returns an
// [ErrHandshake], the caller still has to answer the request; after any other error
// the connection is closed. It offers no extension.
//
// Versions 13 and 8 are served, which differ in nothing that matters here; the header
// that RFC 6455 section 4.4 asks for with a refusal of others is set already.
func (l *Loop) Accept(w http.ResponseWriter, r *http.Request, o Options, h Handler) (*Conn, error) {
	key, err := checkHandshake(r, o.AnyKey)
	if err != nil {
		if errors.Is(err, ErrVersion) {
			w.Header().Set("Sec-WebSocket-Version", "13")
		}
		return nil, err
	}
	from := peers.Of(r.RemoteAddr)
	c, early, err := l.takeOver(w, r, o, h, from)
	if err != nil {
		return nil, err
	}
	if len(early) > 0 {
		c.in = &inbound{rest: bytes.Clone(early)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flags |= corked
	c.queue(switching(key, o.protocol(r), o.Header))
	return c, nil
}

// takeOver takes the connection of a request.
func (l *Loop) takeOver(w http.ResponseWriter, r *http.Request, o Options, h Handler, from netip.Addr) (*Conn, []byte, error) {
	if u := upgrader(w); u != nil {
		c, early, err := u.Upgrade(from)
		if err == nil {
			c.become(o, h, r.RemoteAddr, from)
		}
		return c, early, err
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	var early []byte
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ = rw.Reader.Peek(n) // from memory
	}
	if p, ok := nc.(Passed); ok {
		if !p.Upgraded(from) {
			_, _ = nc.Write([]byte(refusedLate))
			_ = nc.Close()
			return nil, nil, errors.New("too many connections")
		}
		var unread []byte
		nc, unread = p.Unwrap()
		early = append(bytes.Clone(early), unread...)
	}
	c := &Conn{shard: l.nextShard(), handler: h, remote: r.RemoteAddr, peer: from, fd: -1}
	if tcp, ok := nc.(*net.TCPConn); ok && c.shard.poll != nil {
		fd, err := claimFD(tcp)
		if err != nil {
			_ = nc.Close()
			if l.cfg.Released != nil {
				l.cfg.Released(from)
			}
			return nil, nil, fmt.Errorf("descriptor: %w", err)
		}
		c.fd = int32(fd)
	} else {
		c.nc = nc
	}
	l.admit(c, o)
	c.shard.insert(c)
	return c, early, nil
}

// refusedLate answers a handshake whose connection was taken from net/http before
// there turned out to be too many.
const refusedLate = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nConnection: close\r\n" +
	"Retry-After: 5\r\nContent-Length: 32\r\n\r\n" + `{"error":"too many connections"}`

// upgrader finds the Upgrader in a ResponseWriter.
func upgrader(w http.ResponseWriter) Upgrader {
	for {
		switch v := w.(type) {
		case Upgrader:
			return v
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil
		}
	}
}

// Start begins to write and to read. Call it once, when everything that Message
// needs is attached: bytes that came with the handshake are handled before it
// returns.
func (c *Conn) Start() {
	c.mu.Lock()
	inPlace := c.flags&watched != 0 // the reader calls, from within a stream's Data
	if c.flags&dead != 0 {
		c.mu.Unlock()
		return
	}
	if !inPlace {
		c.flags |= reading
	}
	c.mu.Unlock()
	c.flush(make([]byte, 0, 1<<10))
	if c.in != nil && len(c.in.rest) > 0 {
		early := c.in.rest
		c.in = nil
		c.input(early)
	}
	switch {
	case inPlace:
	case c.nc != nil:
		go c.pull() // ends when the connection does
	default:
		c.watch()
	}
}

// watch hands the reading of a connection to the poller.
func (c *Conn) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// From the first wait on the claim is the poller's, so this one ends before.
	c.flags &^= reading
	if c.flags&dead == 0 {
		c.flags |= watched
		if err := c.shard.poll.watch(int(c.fd), c.flags); err != nil {
			c.kill(ErrReset)
		}
	}
	c.letGo()
}

func (l *Loop) nextShard() *shard { return l.shards[l.turn.Add(1)%uint32(len(l.shards))] }

// maxKey bounds a key that is not what RFC 6455 asks for.
const maxKey = 128

// checkHandshake returns the Sec-WebSocket-Accept for a good request.
func checkHandshake(r *http.Request, anyKey bool) (string, error) {
	if r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || !IsUpgrade(r) {
		return "", ErrNotUpgrade
	}
	if v := r.Header.Get("Sec-WebSocket-Version"); v != "13" && v != "8" {
		return "", ErrVersion
	}
	key := r.Header.Get("Sec-WebSocket-Key")
	raw, err := base64.StdEncoding.DecodeString(key)
	if good := err == nil && len(raw) == 16; !good && !(anyKey && key != "" && len(key) <= maxKey) {
		return "", ErrBadKey
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// protocol returns the subprotocol to choose, or "".
func (o *Options) protocol(r *http.Request) string {
	if !o.FirstProtocol {
		return ""
	}
	first, _, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), ",")
	return strings.TrimSpace(first)
}

func switching(accept, protocol string, extra http.Header) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	b.WriteString(accept)
	b.WriteString("\r\n")
	if protocol != "" {
		b.WriteString("Sec-WebSocket-Protocol: " + protocol + "\r\n")
	}
	_ = extra.Write(&b) // to memory
	b.WriteString("\r\n")
	return b.Bytes()
}
