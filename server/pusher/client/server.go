// Package client is Pusher's WebSocket protocol, versions 4 to 7: it takes connections,
// reads what clients send, asks silent ones for a sign of life and ends all of them
// (Pusher Channels, "Pusher Channels protocol"). What an app decides about its channels
// and users is the app's; the API is not known here.
//
// Connections live on a [websocket.Server], whose goroutines handle their messages.
package client

import (
	"time"

	"poosh/server/admission"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/app"
	"poosh/server/rate"
	"poosh/server/websocket"
)

// A Config is what an operator may choose.
type Config struct {
	MaxConnections  int             // open at once, of all apps; 0 for no limit
	MaxMessageBytes int             // of one message; more closes its connection
	PongTimeout     time.Duration   // for a sign of life after a ping
	Rate            rate.Rate       // connections opened by one address
	Gate            *admission.Gate // of client events; nil admits everything
}

// A Server has the connections of one dialect. Make one with [New]; its methods may be
// called from any goroutine.
type Server struct {
	cfg    Config
	apps   *app.List
	loop   *websocket.Server
	limit  *rate.Limiter // of connects, by address; nil without one
	answer answer.Writer
	open   admission.Door // connections, also those still in their handshake
}

// New makes a server whose connections live on loop. It starts nothing.
func New(cfg Config, apps *app.List, loop *websocket.Server, w answer.Writer) *Server {
	return &Server{cfg: cfg, apps: apps, loop: loop, limit: rate.PerAddress(cfg.Rate), answer: w}
}

// Len returns how many connections are open.
func (s *Server) Len() int { return s.open.Inside() }

// Limit is what bounds the connects of each address; nil without.
func (s *Server) Limit() *rate.Limiter { return s.limit }

// Full reports whether there is no place for a connection more.
func (s *Server) Full() bool {
	return s.cfg.MaxConnections > 0 && s.Len() >= s.cfg.MaxConnections
}

// now is the clock of connections: it never jumps, and a time during which the process
// did not run is none, or all of them would be found silent at its end.
func (s *Server) now() time.Duration { return s.loop.Now() }

// goingAway is the reason that clients are told when the server ends.
const goingAway = "the server is going away, reconnect"
