// Package socketio serves Socket.IO to every client from 1.0 to 4.x: Engine.IO
// protocols 2, 3 and 4 over polling, JSONP and WebSocket. It is the only
// importer of zishang520/socket.io and fences its quirks in; it knows no event
// and no room: a dialect's [Handler] does.
//
// A session has no goroutine of its own: requests come on the HTTP server's,
// WebSocket messages on the loop's, and the library connects sockets on one
// that ends at once. Nothing here waits: a handshake is answered before the library
// has connected its client, who is told that with the next packet, and a poll that
// waits is answered by [http1.Later], where that is to be had; else the HTTP server's
// goroutine waits.
//
// # Why
//
// The library does what Socket.IO is above the transports: namespaces and the
// connecting of sockets, with their packets; once a client is in, the library forgets
// it, since what it keeps is two thirds of what an idle connection weighs. Below,
// engine.io is ours: the library's text payloads break every 1.x browser, its queues
// have no bound, and its way of an event costs many times what the socket does.
// Sessions are attached before they are announced: the library may lose the first
// packets of a client that is quicker than its listeners.
package socketio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/closed"
	"poosh/server/http1"
	"poosh/server/metric"
	"poosh/server/peers"
	"poosh/server/websocket"
)

// A Handler is a dialect: it is told what clients do in the default namespace.
// Calls for one session never overlap, but those for different sessions do.
type Handler interface {
	// Connected tells of a client that joined. The client itself is told
	// afterwards, so that whatever is attached here misses nothing.
	Connected(s *Session)
	// Event hands over an event: its name, the JSON text of each argument, valid
	// only during the call, and how to answer it. It must not block: it runs on a
	// goroutine that reads for many clients.
	Event(s *Session, name string, args [][]byte, ack Ack)
	// Closed tells that the client left, once for each Connected.
	Closed(s *Session, reason string)
}

// A Server serves Socket.IO under /socket.io/. Make one with [New].
type Server struct {
	rules     atomic.Pointer[rules] // never nil
	handler   Handler
	loop      *websocket.Server
	log       *slog.Logger
	library   *library
	addresses addresses

	// later is [http1.Later], but where tests wait by themselves.
	later func(http.ResponseWriter, http1.Waiter) (laterAnswer, bool)

	draining atomic.Bool
	polled   atomic.Int64        // bytes that wait for polling clients
	slow     atomic.Uint64       // polling sessions that were closed for those
	kinds    [kinds]atomic.Int64 // sessions, by transport and version; see Session.recount
	empty    chan struct{}       // told when the last session goes; capacity 1

	mu       sync.RWMutex // guards what follows and each session's entry; taken after Session.mu
	sessions map[string]*Session
	reserved int // sessions that count and are not in the map yet

	returner bool // clients may come back to what they were

	refused *metric.Set[turnedAway]
	clients *closed.Source
	traffic *metric.Traffic
}

// New returns a server whose WebSockets live on loop. It starts no goroutine
// and ends with [Server.Shutdown].
func New(loop *websocket.Server, cfg Config, h Handler, log *slog.Logger) *Server {
	srv := &Server{handler: h, loop: loop, log: log,
		sessions: make(map[string]*Session), empty: make(chan struct{}, 1)}
	srv.refused = metric.Closed[turnedAway](turnedAwayNames[:])
	if srv.clients = cfg.Closed; srv.clients == nil {
		srv.clients = closed.New(0).Source("", "")
	}
	if srv.traffic = cfg.Traffic; srv.traffic == nil {
		srv.traffic = new(metric.Traffic)
	}
	if r, ok := h.(Returner); ok {
		srv.returner = r.Returns() && cfg.Recovery != RecoveryOff
	}
	srv.addresses.counts = make(map[address]tally)
	srv.Change(cfg)
	srv.library = newLibrary(*srv.cfg(), (*Session).connected)
	srv.later = postpone
	return srv
}

// A rules is what an operator may choose, and what follows from it. It never changes: there
// is another one when the settings are read again.
type rules struct {
	Config
	origins origins
	script  http.Handler
}

// Change has other settings count from now on: for new sessions, for what comes and for
// what waits. The times of heartbeats and of connecting, Closed, Traffic, Recovery, Node and Passer
// stay those of [New]. Any goroutine may call it.
func (srv *Server) Change(cfg Config) {
	cfg = cfg.withDefaults()
	if before := srv.rules.Load(); before != nil { // clients have been told these
		cfg.PingInterval, cfg.PingTimeout = before.PingInterval, before.PingTimeout
		cfg.ConnectTimeout, cfg.UnfinishedTimeout = before.ConnectTimeout, before.UnfinishedTimeout
		cfg.Closed, cfg.Traffic, cfg.Begin = before.Closed, before.Traffic, before.Begin
		cfg.Node, cfg.Passer, cfg.Recovery = before.Node, before.Passer, before.Recovery
	}
	srv.rules.Store(&rules{cfg, newOrigins(cfg.Origins), clientScript(cfg.ClientScript)})
	srv.addresses.bound(cfg)
}

// cfg is what counts now.
func (srv *Server) cfg() *Config { return &srv.rules.Load().Config }

// uptime is the sessions' clock, and the only one: it never jumps, and a time during
// which the process did not run is none.
func (srv *Server) uptime() time.Duration { return srv.loop.Now() }

// newSession returns a session that nobody knows yet.
func (srv *Server) newSession(r *http.Request) *Session {
	var space [usual]parameter
	q := parseQuery(space[:0], r.URL.RawQuery)
	s := &Session{server: srv, engineID: newID(srv.cfg().Node), remote: r.RemoteAddr, address: peers.Of(r.RemoteAddr)}
	protocol := int32(3)
	switch q.get("EIO") {
	case "2":
		protocol = 2
	case "4":
		protocol = 4
	}
	s.protocol.Store(protocol)
	s.jsonp = q.has("j")
	s.recovery = isYes(q.get("recovery"))
	switch {
	case protocol == 4:
		s.form = formSeparated
	case q.has("j"), q.get("b64") != "" && q.get("b64") != "0":
		s.form = formText
	}
	s.layer.always = isOldTimestamp(q.get("t"))
	if begin := srv.cfg().Begin; begin != nil {
		s.Data = begin(r)
	}
	return s
}

// isOldTimestamp tells the t of clients before 1.4, "<milliseconds>-<count>".
func isOldTimestamp(t string) bool {
	dash := -1
	for i := range len(t) {
		switch {
		case t[i] == '-' && dash < 0:
			dash = i
		case !isDigit(t[i]):
			return false
		}
	}
	return dash > 0 && dash < len(t)-1
}

// newID returns the name of a node and 20 characters that nobody can guess, which are the form
// of engine.io 1.5.1.
func newID(node string) string {
	var b [15]byte
	_, _ = rand.Read(b[:]) // never fails
	return node + base64.RawURLEncoding.EncodeToString(b[:])
}

// openPacket is the first packet of a session, engine.io 1.5.1 and 6.6.4,
// socket.js, onOpen.
func (srv *Server) openPacket(s *Session, mayUpgrade bool) []byte {
	b := make([]byte, websocket.HeaderSpace, 160)
	b = append(b, `0{"sid":"`...)
	b = append(b, s.engineID...)
	b = append(b, `","upgrades":[`...)
	if mayUpgrade {
		b = append(b, `"websocket"`...)
	}
	b = append(b, `],"pingInterval":`...)
	b = strconv.AppendInt(b, srv.cfg().PingInterval.Milliseconds(), 10)
	b = append(b, `,"pingTimeout":`...)
	b = strconv.AppendInt(b, srv.cfg().PingTimeout.Milliseconds(), 10)
	if s.speaks() == 4 {
		b = append(b, `,"maxPayload":`...)
		b = strconv.AppendInt(b, int64(srv.cfg().MaxPayload), 10)
	}
	return websocket.FrameInPlace(append(b, '}'))
}

// entry is where a session stands in its server's books.
type entry uint8

const (
	entryNone     entry = iota
	entryReserved       // it counts, and has no transport yet: nobody can find it
	entryListed
)

// reserve counts a session, or answers the request with the bound that was met.
// [Server.remove] gives its place back.
func (srv *Server) reserve(s *Session, w http.ResponseWriter, r *http.Request) bool {
	srv.mu.Lock()
	full := len(srv.sessions)+srv.reserved >= srv.cfg().MaxSessions
	bound, ok := turnedAway(0), !full
	if !full {
		bound, ok = srv.addresses.enter(s.address, s.via.polls())
	}
	if ok {
		srv.reserved++
		s.entry = entryReserved
	}
	srv.mu.Unlock()
	switch {
	case full:
		srv.refused.Add(refusedSessions, 1)
		srv.log.Warn("handshake refused", "remote", s.remote, "bound", "MAX_CONNECTIONS")
		srv.failStatus(w, r, http.StatusServiceUnavailable, overloaded)
	case !ok:
		srv.refused.Add(bound, 1)
		srv.log.Warn("handshake refused", "remote", s.remote, "bound", turnedAwayNames[bound])
		srv.failStatus(w, r, http.StatusTooManyRequests, tooMany)
	}
	return ok
}

// enter lets requests, and a shutdown, find a session. It does nothing for one that
// has ended already.
func (srv *Server) enter(s *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if s.entry == entryReserved {
		srv.reserved--
		s.entry = entryListed
		srv.sessions[s.engineID] = s
		s.count(true)
	}
}

// begun counts a polling session as one that is used. s.mu is held.
func (srv *Server) begun(s *Session) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if s.entry != entryNone {
		srv.addresses.finished(s.address)
	}
}

// ended counts the end of a session.
func (srv *Server) ended(s *Session, left departure) {
	id := left.id
	if id == "" {
		id = s.engineID // it never was in the namespace
	}
	srv.log.Debug("session closed", "remote", s.remote, "session", s.engineID, "reason", left.why, "waiting", left.waiting)
	srv.clients.Closed(left.why, id, s.address, srv.uptime()-s.opened, left.waiting)
}

// remove forgets a session that has ended.
func (srv *Server) remove(s *Session) {
	if srv.strike(s) > 0 {
		return
	}
	select {
	case srv.empty <- struct{}{}:
	default:
	}
}

// strike takes a session off the books, in one step for who enters it meanwhile, and
// returns how many are left.
func (srv *Server) strike(s *Session) (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	srv.mu.Lock()
	defer srv.mu.Unlock()
	s.count(false)
	switch s.entry {
	case entryReserved:
		srv.reserved--
	case entryListed:
		delete(srv.sessions, s.engineID)
	}
	if s.entry != entryNone {
		srv.addresses.leave(s.address, s.via == viaHandshake)
	}
	s.entry = entryNone
	return len(srv.sessions) + srv.reserved
}

func (srv *Server) find(id string) *Session {
	srv.mu.RLock()
	defer srv.mu.RUnlock()
	return srv.sessions[id]
}

func (srv *Server) all() []*Session {
	srv.mu.RLock()
	defer srv.mu.RUnlock()
	list := make([]*Session, 0, len(srv.sessions))
	for _, s := range srv.sessions {
		list = append(list, s)
	}
	return list
}

// Stats describe a server.
type Stats struct {
	Sessions int
	Queued   int64             // bytes that wait for polling clients
	Slow     uint64            // polling clients that too much waited for
	Ended    map[string]uint64 // sessions that have ended, by reason
	Refused  map[string]uint64 // handshakes and requests that were refused, by reason
}

// Stats returns the counts of this moment.
func (srv *Server) Stats() Stats {
	srv.mu.RLock()
	st := Stats{Sessions: len(srv.sessions), Queued: srv.polled.Load(), Slow: srv.slow.Load(), Ended: srv.clients.By(), Refused: srv.refused.All()}
	srv.mu.RUnlock()
	return st
}

// Refused are the handshakes and requests that were refused, by reason, those that never
// happened among them.
func (srv *Server) Refused() []metric.Sample {
	return srv.refused.Samples(refusedSessions, refusedBody, "")
}

// Leave refuses new sessions, and returns those who are there: for who sends them away
// one by one, with [Session.Leave].
func (srv *Server) Leave() []*Session {
	srv.draining.Store(true) // a session that begins from here on ends itself
	return srv.all()
}

// Shutdown refuses new sessions, writes what waits for each client and closes
// its transport, so that it connects anew elsewhere. Requests must still be
// served meanwhile: polling clients fetch their last packets. When ctx ends
// before all are gone, the rest is cut off and ctx's error returned.
func (srv *Server) Shutdown(ctx context.Context) error {
	for _, s := range srv.Leave() {
		s.Leave()
	}
	for {
		srv.mu.RLock()
		left := len(srv.sessions) + srv.reserved
		srv.mu.RUnlock()
		if left == 0 {
			return nil
		}
		select {
		case <-srv.empty:
		case <-ctx.Done():
			for _, s := range srv.all() {
				s.end(reasonShutdown)
				s.forget()
			}
			return ctx.Err()
		}
	}
}
