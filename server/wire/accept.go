package wire

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Options are about one connection. Zero fields mean the loop's.
type Options struct {
	MaxMessage int         // bytes of one incoming message
	Outbox     int         // bytes that may wait to be written
	Header     http.Header // more headers of the 101 answer
}

// ErrHandshake is what all errors of a refused handshake wrap, RFC 6455 section
// 4.2.1: the request has not been answered.
var ErrHandshake = errors.New("WebSocket handshake")

// What a handshake is refused for.
var (
	ErrNotUpgrade = fmt.Errorf("%w: not an upgrade request", ErrHandshake)
	ErrVersion    = fmt.Errorf("%w: version is not 13", ErrHandshake)
	ErrBadKey     = fmt.Errorf("%w: Sec-WebSocket-Key is not 16 bytes in base64", ErrHandshake)
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

// Accept answers a WebSocket handshake, RFC 6455 section 4.2, and takes the
// connection away from the HTTP server. Nothing is read or written before
// [Conn.Start], which must follow soon: the answer leaves then, in one write with
// the frames that were pushed meanwhile. When it returns an [ErrHandshake],
// the caller still has to answer the request; after any other error the
// connection is closed. It offers no extension and no
// subprotocol.
func (l *Loop) Accept(w http.ResponseWriter, r *http.Request, o Options, h Handler) (*Conn, error) {
	accept, err := checkHandshake(r)
	if err != nil {
		return nil, err
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("hijack: %w", err)
	}
	c := &Conn{handler: h, remote: r.RemoteAddr, peer: addrOf(nc), maxMessage: int32(min(o.MaxMessage, math.MaxInt32)), limit: o.Outbox, fd: -1}
	if c.maxMessage == 0 {
		c.maxMessage = int32(min(l.cfg.MaxMessage, math.MaxInt32))
	}
	if c.limit == 0 {
		c.limit = l.cfg.Outbox
	}
	fail := func(err error) (*Conn, error) {
		_ = nc.Close()
		if l.cfg.Released != nil {
			l.cfg.Released(c.peer)
		}
		return nil, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		early, err := rw.Reader.Peek(n)
		if err != nil {
			return fail(err)
		}
		c.in = &inbound{rest: bytes.Clone(early)}
	}
	c.shard = l.nextShard()
	if tcp, ok := nc.(*net.TCPConn); ok && c.shard.poll != nil {
		if c.fd, err = claimFD(tcp); err != nil {
			return fail(fmt.Errorf("descriptor: %w", err))
		}
		c.shard.poll.insert(c)
	} else {
		c.nc = nc
		c.shard.mu.Lock()
		c.shard.loners[c] = struct{}{}
		c.shard.mu.Unlock()
	}
	l.conns.Add(1)
	c.mu.Lock()
	c.queue(switching(accept, o.Header))
	c.mu.Unlock()
	return c, nil
}

// Start begins to write and to read. Call it once, when everything that Message
// needs is attached: bytes that came with the handshake are handled before it
// returns.
func (c *Conn) Start() {
	if !c.begin(reading | started) {
		return
	}
	if c.nc != nil {
		c.drain()
	} else if frames := c.take(); frames != nil {
		c.wrote(writeFrames(c.fd, frames, make([]byte, 0, 1<<10)))
	}
	if c.in != nil {
		early := c.in.rest
		c.in = nil
		c.input(early)
	}
	if c.nc != nil {
		go c.pull() // ends when the connection does
		return
	}
	c.mu.Lock()
	if c.flags&dead == 0 {
		c.flags |= watched
		if err := c.shard.poll.watch(c.fd, c.flags&blocked != 0); err != nil {
			c.kill(ErrReset)
		}
	}
	c.mu.Unlock()
	c.end(reading)
}

func (l *Loop) nextShard() *shard { return l.shards[l.turn.Add(1)%uint32(len(l.shards))] }

func addrOf(nc net.Conn) netip.Addr {
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// checkHandshake returns the Sec-WebSocket-Accept for a good request.
func checkHandshake(r *http.Request) (string, error) {
	if r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || !IsUpgrade(r) {
		return "", ErrNotUpgrade
	}
	if r.Header.Get("Sec-WebSocket-Version") != "13" {
		return "", ErrVersion
	}
	key := r.Header.Get("Sec-WebSocket-Key")
	if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) != 16 {
		return "", ErrBadKey
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

func switching(accept string, extra http.Header) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	b.WriteString(accept)
	b.WriteString("\r\n")
	_ = extra.Write(&b) // to memory
	b.WriteString("\r\n")
	return b.Bytes()
}
