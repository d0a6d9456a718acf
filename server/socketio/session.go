package socketio

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/closed"
	"poosh/server/latency"
	"poosh/server/loop"
	"poosh/server/websocket"
)

// Why sessions end, in the words of engine.io where it has them.
const (
	reasonTimeout    = closed.PingTimeout
	reasonClosed     = closed.ByPeer
	reasonFailed     = closed.Failed
	reasonPacket     = closed.Malformed
	reasonSlow       = closed.Slow
	reasonForced     = closed.Forced
	reasonShutdown   = closed.Shutdown
	reasonUnfinished = closed.Unfinished
)

// A Session is one client across its transports: first polling, say, then a
// WebSocket. Its methods may be called from any goroutine.
//
// It is three machines, which know nothing of each other: its life, what carries it,
// and where its client stands with the namespace. Each says what has to be done, and
// the session does it. It has a transport from before anybody else can find it.
type Session struct {
	// Data belongs to the [Handler]: set it in Connected, and read it in the
	// other calls. Before the first of them it is what [Config].Begin returned.
	Data any

	server   *Server
	engineID string // what requests name it by
	remote   string
	address  address
	form     form          // of polling answers
	jsonp    bool          // it began with a script
	recovery bool          // its query asks for recovery
	counts   bool          // it is one of server.kinds; guarded by mu
	counted  kind          // as that; guarded by mu
	layer    utf8Layer     // owned by the POST that is under way
	opened   time.Duration // the server's uptime then
	lib      engineSocket
	back     *returning // of a client that may come back; owned by who connects it
	timer    loop.Timer

	protocol atomic.Int32 // 2, 3 or 4: how it is spoken to
	guessed  atomic.Bool  // protocol 3 was chosen for a silent client that said 4
	heard    atomic.Int64 // the server's uptime at the last packet
	direct   atomic.Pointer[websocket.Conn]

	in inbox // what arrives

	mu       sync.Mutex // guards what follows; taken before a Conn's own lock
	life     lifeState
	via      transportState
	space    namespaceState
	posting  bool            // a POST is under way
	goesAway bool            // the server shuts down
	kicked   bool            // its client is to stay away
	settled  bool            // which protocol the client speaks is known
	awaited  bool            // protocol 4: a pong is due
	entry    entry           // guarded by server.mu
	id       string          // what the namespace knows it by
	conn     *websocket.Conn // set once the session is on a WebSocket
	probe    *probe          // a WebSocket that may take over; nil for none
	poll     *polling        // nil once the session is on a WebSocket
	held     [][]byte        // what waits for the client to be in the namespace
	size     int             // what held costs
	cause    closed.Reason   // it was asked to close for
	why      closed.Reason   // it ended for, or is about to
	until    time.Duration   // of lifeKept
	since    time.Duration   // when joining began last
	beat     time.Duration   // protocol 4: when the last ping or pong was
}

// ID returns the id of the client's socket: publications to the room of that
// name reach it. Valid from Connected on.
func (s *Session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// RemoteAddr returns the address the session was opened from.
func (s *Session) RemoteAddr() string { return s.remote }

// Network returns whose the session is, as [poosh/server/peers.Of] tells it of that
// address.
func (s *Session) Network() netip.Addr { return s.address }

// Protocol returns the Engine.IO protocol that the client speaks: 2 and 3 are
// socket.io 1.x and 2.x, 4 is 3.x and 4.x. A client that said 4, but is not known to
// speak it, counts as 4: what it must not be sent, nobody needs.
func (s *Session) Protocol() int {
	if s.guessed.Load() {
		return 4
	}
	return s.speaks()
}

// speaks is the protocol that the session is kept by.
func (s *Session) speaks() int { return int(s.protocol.Load()) }

func (s *Session) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life == lifeOpen
}

// Deliver queues a frame made by [EventFrame] and reports whether it was taken.
// A client with too much waiting is closed as a slow consumer. It never blocks
// and calls nobody, so it may be called with a room locked.
func (s *Session) Deliver(frame []byte) bool {
	if c := s.direct.Load(); c != nil {
		return c.Push(frame)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deliver(frame) && s.press(frame)
}

// Replay is [Session.Deliver] of what the client asks for once more: publishers do not wait
// until it has fetched that.
func (s *Session) Replay(frame []byte) bool {
	if c := s.direct.Load(); c != nil {
		return c.Push(frame)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deliver(frame)
}

// DeliverMarked is Deliver of a frame that carries a mark, which is passed when the frame
// has been written to the client, or never will be. A client that is still joining is not
// waited for.
func (s *Session) DeliverMarked(frame []byte, k *latency.Mark) bool {
	if c := s.direct.Load(); c != nil {
		return c.PushMarked(frame, k)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.life != lifeOpen || s.space.holds():
		return s.deliver(frame)
	case s.conn != nil:
		return s.conn.PushMarked(frame, k)
	}
	s.poll.mark(k) // before it is answered with
	return s.push(frame) && s.press(frame)
}

// deliver is Deliver with s.mu held.
func (s *Session) deliver(frame []byte) bool {
	if s.life != lifeOpen {
		return false
	}
	if !s.space.holds() {
		return s.push(frame)
	}
	if s.size += loop.Cost(frame); s.size > s.server.cfg().Outbox {
		s.slow()
		return false
	}
	s.held = append(s.held, frame)
	return true
}

// push hands a frame to the transport of the moment. s.mu is held.
func (s *Session) push(frame []byte) bool {
	if s.conn != nil {
		return s.conn.Push(frame)
	}
	if s.poll.add(frame, s.server.cfg().Outbox, s.server.cfg().Unfetched) {
		return true
	}
	s.slow()
	return false
}

// slow ends a session that has too much waiting. s.mu is held.
func (s *Session) slow() {
	if s.live(lifeOverflow)&lifeAbort != 0 {
		s.why = reasonSlow
		s.server.slow.Add(1)
		go s.end(reasonSlow) // not here: the caller may hold a room's lock
	}
}

// release lets go what was held, in order. s.mu is held.
func (s *Session) release() {
	held := s.held
	s.held, s.size = nil, 0
	for _, frame := range held {
		if !s.push(frame) {
			break
		}
	}
	s.route()
}

// route lets [Session.Deliver] go straight to a WebSocket while that is all there is to
// do. Whoever changes what it asks for calls it. s.mu is held.
func (s *Session) route() {
	var direct *websocket.Conn
	if s.life == lifeOpen && !s.space.holds() && s.held == nil {
		direct = s.conn
	}
	s.direct.Store(direct)
}

// Packets that are always the same, ready to write.
var (
	frameClose = websocket.TextFrame([]byte{engineClose})
	framePing  = websocket.TextFrame([]byte{enginePing})
	framePong  = websocket.TextFrame([]byte{enginePong})
	frameNoop  = websocket.TextFrame([]byte{engineNoop})
	frameProbe = websocket.TextFrame([]byte("3probe"))
	frameHello = websocket.TextFrame([]byte("40"))
)

// LeftByClient is the reason of a client that left the namespace by its packet 41.
const LeftByClient = "client namespace disconnect"
