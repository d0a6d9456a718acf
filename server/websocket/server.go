// Package websocket speaks WebSocket, RFC 6455, on the connections of a
// [loop.Loop]: the handshake, frames, and how a connection ends. A frame that is
// pushed is bytes that are ready, made once for all who get it.
//
// # What the loop does for it
//
// The loop reads and writes. Of a protocol it asks what it is told of as
// [loop.Protocol]; a protocol ends connections with [loop.Conn.End] and answers pings
// with [loop.Conn.PushLatest], and sets timers as everybody does. So what is written
// costs no more than a push of bytes, and what is read one call through an interface
// for each read.
package websocket

import (
	"cmp"
	"net/netip"
	"sync/atomic"
	"time"

	"poosh/server/closed"
	"poosh/server/loop"
	"poosh/server/quota"
)

// DefaultMessageTimeout holds where a [Config] has none. The setting of the same meaning
// begins with it.
const DefaultMessageTimeout = 30 * time.Second

// Config holds what all connections of a server share.
type Config struct {
	MessageTimeout time.Duration // how long a message that has begun may take to arrive; unset, the default
	Input          *quota.Quota  // of unfinished messages, all together; nil for no bound

	// Released, if set, is told of each connection's end the network that it counted
	// for. It must not block.
	Released func(netip.Addr)
}

// A Server opens WebSockets on a loop. Make one with [NewServer]; its methods may be
// called from any goroutine.
type Server struct {
	*loop.Loop // set once
	cfg        Config
	conns      atomic.Int64
}

// NewServer returns a server whose connections live on l. It starts no goroutine, and
// ends with l.
func NewServer(l *loop.Loop, cfg Config) *Server {
	cfg.MessageTimeout = cmp.Or(cfg.MessageTimeout, DefaultMessageTimeout)
	return &Server{Loop: l, cfg: cfg}
}

// Open returns how many connections are open.
func (s *Server) Open() int64 { return s.conns.Load() }

// Released gives up the place of a connection that counts for a network; see
// [Server.TakeOver].
func (s *Server) Released(from netip.Addr) {
	if s.cfg.Released != nil {
		s.cfg.Released(from)
	}
}

// The reasons that connections end for, beside the loop's.
const (
	ErrProtocol   = closed.Protocol       // a breach of RFC 6455
	ErrTooBig     = closed.TooBig         // Options.MaxMessage
	ErrUnfinished = closed.MessageTimeout // Config.MessageTimeout
)
