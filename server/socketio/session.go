package socketio

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zishang520/socket.io/servers/socket/v3"

	"poosh/server/loop"
	"poosh/server/websocket"
)

// Why sessions end, in the words of engine.io where it has them.
const (
	reasonTimeout    loop.Reason = "ping timeout"
	reasonClosed     loop.Reason = "transport close"
	reasonFailed     loop.Reason = "transport error"
	reasonPacket     loop.Reason = "parse error"
	reasonSlow       loop.Reason = "slow consumer"
	reasonForced     loop.Reason = "forced server close"
	reasonShutdown   loop.Reason = "server shutdown"
	reasonUnfinished loop.Reason = "handshake without a request"
)

// A Session is one client across its transports: first polling, say, then a
// WebSocket. Its methods may be called from any goroutine.
//
// It has a transport from before anybody else can find it: a WebSocket, or polling
// and perhaps a probe beside it. It is open until something ends it. Then the
// handler is told, and a polling session that has still something to say is kept
// until its client has fetched that.
type Session struct {
	// Data belongs to the [Handler]: set it in Connected, and read it in the
	// other calls.
	Data any

	server     *Server
	engineID   string // what requests name it by
	remote     string
	address    address
	form       form          // of polling answers
	jsonp      bool          // it began with a script
	layer      utf8Layer     // owned by the POST that is under way
	socketOnly bool          // set once: it never polled
	opened     time.Duration // the server's uptime then
	lib        engineSocket
	timer      loop.Timer

	protocol atomic.Int32 // 2, 3 or 4: how it is spoken to
	guessed  atomic.Bool  // protocol 3 was chosen for a silent client that said 4
	heard    atomic.Int64 // the server's uptime at the last packet
	direct   atomic.Pointer[websocket.Conn]

	in inbox // what arrives

	mu       sync.Mutex      // guards what follows; taken before a Conn's own lock
	id       string          // what the namespace knows it by
	conn     *websocket.Conn // set once the session is on a WebSocket
	probe    *probe          // a WebSocket that may take over; nil for none
	poll     *polling        // nil once the session is on a WebSocket
	posting  bool            // a POST is under way
	holding  bool            // the client is not told anything yet
	held     [][]byte        // what waits for that
	size     int             // what held costs
	state    sessionState
	goesAway bool          // the server shuts down
	why      loop.Reason   // it ended for
	until    time.Duration // of stateLast
	joined   joinState
	since    time.Duration // when joining began; 0 if it never did
	settled  bool          // which protocol the client speaks is known
	sock     *socket.Socket
	awaited  bool          // protocol 4: a pong is due
	beat     time.Duration // protocol 4: when the last ping or pong was
	entry    entry         // guarded by server.mu
}

type sessionState uint8

const (
	stateOpen    sessionState = iota
	stateClosing              // it takes nothing more; its end follows
	stateLast                 // it has ended; what it said last is there to be fetched until s.until
	stateClosed
)

// joinState says where a client stands with the default namespace.
type joinState uint8

const (
	outside  joinState = iota
	joining            // the library is at it; packets wait
	greeting           // the handler is being told
	inside
)

// ID returns the id of the client's socket: publications to the room of that
// name reach it. Valid from Connected on.
func (s *Session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// RemoteAddr returns the address the session was opened from.
func (s *Session) RemoteAddr() string { return s.remote }

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
	return s.state == stateOpen
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
	return s.deliver(frame)
}

// deliver is Deliver with s.mu held.
func (s *Session) deliver(frame []byte) bool {
	if s.state != stateOpen {
		return false
	}
	if !s.holding {
		return s.push(frame)
	}
	if s.size += loop.Cost(frame); s.size > s.server.cfg.Outbox {
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
	if s.poll.add(frame, s.server.cfg.Outbox, s.server.cfg.Unfetched) {
		return true
	}
	s.slow()
	return false
}

// slow ends a session that has too much waiting. s.mu is held.
func (s *Session) slow() {
	s.state = stateClosing
	s.server.slow.Add(1)
	s.direct.Store(nil)
	go s.end(reasonSlow) // not here: the caller may hold a room's lock
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

// begin starts a session that has its transport: clients of protocols 2 and 3 are
// connected to the default namespace unasked, and told so once that is done. It
// waits for nothing; nothing is read from the client before it returns.
func (s *Session) begin() {
	s.alive()
	s.opened = s.server.uptime()
	s.socketOnly = s.poll == nil
	s.lib.session = s
	s.timer.Fire = s.check
	s.mu.Lock()
	s.beat = s.opened
	s.settled = s.speaks() != 4 || !s.socketOnly
	s.plan()
	s.mu.Unlock()
	s.server.enter(s)
	if s.speaks() != 4 {
		s.join()
	}
	if s.server.draining.Load() { // it may have begun before that, and been entered behind
		s.shut(websocket.CloseGoingAway, string(reasonShutdown))
	}
}

// join asks the library to connect the client to the default namespace; it answers
// by calling connected.
func (s *Session) join() {
	s.mu.Lock()
	if s.state != stateOpen || s.joined != outside {
		s.mu.Unlock()
		return
	}
	s.joined, s.since = joining, max(1, s.server.uptime())
	s.holding = true
	s.direct.Store(nil)
	s.plan()
	s.mu.Unlock()
	s.lib.connect(s.speaks())
}

// connected is the library's word that a socket is in the default namespace. The
// client has not been told: what the library wrote is held. It runs on a goroutine
// that the library ends at once.
func (s *Session) connected(sock *socket.Socket) {
	s.mu.Lock()
	if s.state != stateOpen || s.joined != joining {
		s.mu.Unlock()
		// The session ended while the library was at it, which has not noticed.
		sock.Disconnect(false)
		return
	}
	s.sock, s.id, s.joined = sock, string(sock.Id()), greeting
	s.mu.Unlock()

	s.server.handler.Connected(s)

	s.mu.Lock()
	if s.state >= stateLast {
		why := s.why
		s.joined = outside
		s.mu.Unlock()
		s.server.handler.Closed(s, string(why))
		return
	}
	s.joined = inside
	s.release()
	s.plan()
	s.mu.Unlock()
	s.resume()
}

// release lets go what was held, in order. s.mu is held.
func (s *Session) release() {
	if !s.holding {
		return
	}
	s.holding = false
	held := s.held
	s.held, s.size = nil, 0
	for _, frame := range held {
		if !s.push(frame) {
			break
		}
	}
	if s.conn != nil && s.state == stateOpen {
		s.direct.Store(s.conn)
	}
}

// leave ends the client's stay in the default namespace; the session goes on.
func (s *Session) leave(reason string) {
	s.mu.Lock()
	if s.joined != inside {
		s.mu.Unlock()
		return
	}
	s.joined = outside
	s.sock = nil
	s.mu.Unlock()
	s.lib.disconnect(reason, false)
	s.server.handler.Closed(s, reason)
}
