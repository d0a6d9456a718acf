package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"

	"poosh/server/loop"
	"poosh/server/peers"
)

// Options are about one connection.
type Options struct {
	MaxMessage int         // bytes of one incoming message; there is none without such a bound
	Outbox     int         // what may wait to be written, in bytes of [loop.Cost]; unset, the loop's; see [Grower]
	Header     http.Header // more headers of the 101 answer

	// AnyKey takes each Sec-WebSocket-Key of up to 128 bytes, as the ws library of
	// socket.io 1.x did: some clients send what is not 16 bytes in base64.
	AnyKey bool
	// FirstProtocol answers an offer of subprotocols with the first one, as the ws
	// library does for socket.io. Otherwise no subprotocol is chosen.
	FirstProtocol bool
}

// An Upgrader is a ResponseWriter whose connection stands on the loop: it stays there
// when it becomes a WebSocket.
type Upgrader interface {
	// Upgrade gives the connection away, with what was read behind the request; from
	// is the network that it counts for from now on. It fails with [loop.ErrTooMany] and
	// has done nothing then. It is called on the connection's reader.
	Upgrade(from netip.Addr) (c *loop.Conn, early []byte, err error)
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
//
// It panics where nothing bounds the messages.
func (s *Server) Accept(w http.ResponseWriter, r *http.Request, o Options, h Handler) (*Conn, error) {
	if o.MaxMessage <= 0 {
		panic("websocket: no bound on messages")
	}
	key, err := checkHandshake(r, o.AnyKey)
	if err != nil {
		if errors.Is(err, ErrVersion) {
			w.Header().Set("Sec-WebSocket-Version", "13")
		}
		return nil, err
	}
	p := &codec{server: s, handler: h, remote: r.RemoteAddr, maxMessage: int32(min(o.MaxMessage, math.MaxInt32))}
	c, early, err := s.TakeOver(w, p, loop.Options{Outbox: o.Outbox}, refusedLate)
	if err != nil {
		return nil, err
	}
	if len(early) > 0 {
		p.in = &inbound{rest: bytes.Clone(early)}
	}
	s.conns.Add(1)
	c.Push(switching(key, o.protocol(r), o.Header))
	return (*Conn)(c), nil
}

// TakeOver takes the connection of a request away from the HTTP server, for p to be spoken
// on it from the next byte on: a WebSocket, or whatever else stands on the loop as one does
// and counts as one. It returns what was read behind the request. What is said of
// [Server.Accept] holds for when to start it. Its place is given back by
// [Server.Released], which p.Closed must call, and which was called if there is an error.
//
// With [ErrTooMany] the request is not answered yet; after any other error there is nothing
// left to answer on. Where there turn out to be too many after the connection was taken
// from net/http, late makes the answer, and the error is [loop.ErrTooMany].
func (s *Server) TakeOver(w http.ResponseWriter, p loop.Protocol, o loop.Options, late func() []byte) (*loop.Conn, []byte, error) {
	from := peers.Of(p.RemoteAddr())
	if u := upgrader(w); u != nil {
		c, early, err := u.Upgrade(from)
		if errors.Is(err, loop.ErrTooMany) {
			return nil, nil, ErrTooMany
		}
		if err == nil {
			c.Become(p, o)
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
	if passed, ok := nc.(Passed); ok {
		if !passed.Upgraded(from) {
			_, _ = nc.Write(late())
			_ = nc.Close()
			return nil, nil, loop.ErrTooMany
		}
		var unread []byte
		nc, unread = passed.Unwrap()
		early = append(bytes.Clone(early), unread...)
	}
	c, err := s.AttachConn(nc, o, p)
	if err != nil {
		s.Released(from)
	}
	return c, early, err
}

// refusedLate answers a handshake whose connection was taken from net/http before
// there turned out to be too many.
func refusedLate() []byte { return []byte(tooManyLate) }

const tooManyLate = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nConnection: close\r\n" +
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
