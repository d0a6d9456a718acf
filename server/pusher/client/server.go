// Package client is Pusher's WebSocket protocol, versions 4 to 7 and 2 (Sockudo's): it
// takes connections, reads what clients send, asks silent ones for a sign of life and
// ends all of them (Pusher Channels, "Pusher Channels protocol"). What an app decides
// about its channels and users is the app's; the API is not known here.
//
// Connections live on a [websocket.Server], whose goroutines handle their messages.
package client

import (
	"sync/atomic"
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
	rules  atomic.Pointer[rules] // never nil
	apps   *app.List
	loop   *websocket.Server
	answer answer.Writer
	open   admission.Door // connections, also those still in their handshake
}

// New makes a server whose connections live on loop. It starts nothing.
func New(cfg Config, apps *app.List, loop *websocket.Server, w answer.Writer) *Server {
	s := &Server{apps: apps, loop: loop, answer: w}
	s.rules.Store(&rules{cfg, rate.PerAddress(cfg.Rate)})
	return s
}

// A rules is what connections go by until the settings are read again.
type rules struct {
	Config
	limit *rate.Limiter // of connects, by address; nil without one
}

// Change has other settings count from now on, but for Gate: for messages, which are as
// large as they may be when their connection comes.
func (s *Server) Change(cfg Config) {
	before := s.rules.Load()
	cfg.Gate = before.Gate
	s.rules.Store(&rules{cfg, before.limit.Follow(rate.PerAddress(cfg.Rate))})
}

// cfg is what counts now.
func (s *Server) cfg() *Config { return &s.rules.Load().Config }

// Len returns how many connections are open.
func (s *Server) Len() int { return s.open.Inside() }

// Limit is what bounds the connects of each address; nil without.
func (s *Server) Limit() *rate.Limiter { return s.rules.Load().limit }

// Full reports whether there is no place for a connection more.
func (s *Server) Full() bool {
	most := s.cfg().MaxConnections
	return most > 0 && s.Len() >= most
}

// now is the clock of connections: it never jumps, and a time during which the process
// did not run is none, or all of them would be found silent at its end.
func (s *Server) now() time.Duration { return s.loop.Now() }

// goingAway is the reason that clients are told when the server ends.
const goingAway = "the server is going away, reconnect"
