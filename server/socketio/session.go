package socketio

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zishang520/socket.io/parsers/socket/v3/parser"
	"github.com/zishang520/socket.io/servers/socket/v3"

	"poosh/server/wire"
)

// Why sessions end, in the words of engine.io where it has them.
const (
	reasonTimeout    wire.Reason = "ping timeout"
	reasonClosed     wire.Reason = "transport close"
	reasonFailed     wire.Reason = "transport error"
	reasonPacket     wire.Reason = "parse error"
	reasonSlow       wire.Reason = "slow consumer"
	reasonForced     wire.Reason = "forced server close"
	reasonShutdown   wire.Reason = "server shutdown"
	reasonUnfinished wire.Reason = "handshake without a request"
)

// Bounds on what may arrive before the client has joined the namespace.
const (
	maxHeldPackets = 1_000
	maxHeldBytes   = 1 << 20
)

// A Session is one client across its transports: first polling, say, then a
// WebSocket. Its methods may be called from any goroutine.
type Session struct {
	// Data belongs to the [Handler]: set it in Connected, and read it in the
	// other calls.
	Data any

	server   *Server
	engineID string // what requests name it by
	remote   string
	address  address
	protocol int  // 2, 3 or 4
	form     form // of polling answers
	layer    utf8Layer
	lib      engineSocket
	timer    wire.Timer

	heard  atomic.Int64 // the server's uptime at the last packet
	direct atomic.Pointer[wire.Conn]

	in inbox // what arrives

	mu      sync.Mutex // guards what follows; taken before a Conn's own lock
	id      string     // what the namespace knows it by
	conn    *wire.Conn // set once the session is on a WebSocket
	probe   *wire.Conn // a WebSocket that may take over
	poll    *polling   // nil once the session is on a WebSocket
	holding bool       // the client is not told anything yet
	held    [][]byte   // what waits for that
	state   sessionState
	joined  joinState
	ready   chan struct{} // closed once joined is settled; nil when nobody waits
	sock    *socket.Socket
	awaited bool // protocol 4: a pong is due
}

type sessionState uint8

const (
	stateOpen sessionState = iota
	stateClosing
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

// How long a polling session that was closed waits for its client to fetch what
// is left: the close packet alone, or events before it.
const (
	lingerIdle = 2 * time.Second
	lingerFull = 30 * time.Second
)

// inbox serializes what arrives: POSTs and WebSocket frames come from different
// goroutines.
type inbox struct {
	mu          sync.Mutex // guards what follows; held while a packet is handled
	waiting     [][]byte   // messages that came while the client was joining
	size        int
	attachments int // binary packets still to come, and to be dropped
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

// Protocol returns the Engine.IO protocol that the client speaks: 2 and 3 are
// socket.io 1.x and 2.x, 4 is 3.x and 4.x.
func (s *Session) Protocol() int { return s.protocol }

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
	switch {
	case s.state != stateOpen:
		return false
	case s.holding:
		s.held = append(s.held, frame) // bounded: it ends with the handshake
		return true
	}
	return s.push(frame)
}

// push hands a frame to the transport of the moment. s.mu is held.
func (s *Session) push(frame []byte) bool {
	if s.conn != nil {
		return s.conn.Push(frame)
	}
	if s.poll.add(frame, s.server.cfg.Outbox, s.server.cfg.Unfetched) {
		return true
	}
	s.state = stateClosing
	s.server.slow.Add(1)
	go s.end(reasonSlow) // not here: the caller may hold a room's lock
	return false
}

// probe is the ping that an upgrade begins with. It alone has a text that is
// sent back, engine.io 1.5.1, socket.js.
var probe = []byte("2probe")

// Packets that are always the same, ready to write.
var (
	frameClose = wire.TextFrame([]byte{engineClose})
	framePing  = wire.TextFrame([]byte{enginePing})
	framePong  = wire.TextFrame([]byte{enginePong})
	frameNoop  = wire.TextFrame([]byte{engineNoop})
	frameProbe = wire.TextFrame([]byte("3probe"))
	frameHello = wire.TextFrame([]byte("40"))
)

// open introduces the session to the library and starts its clock. A client of
// protocols 2 and 3 is in the default namespace when it returns, with the open
// packet and the connect packet waiting to be written. Nothing is read from the
// client before.
func (s *Session) open(openPacket []byte) {
	s.alive()
	s.timer.Fire = s.check
	s.lib.session = s
	ready := make(chan struct{})
	s.mu.Lock()
	s.push(openPacket)
	if s.protocol == 4 {
		s.release()
		close(ready)
	} else {
		s.joined, s.holding, s.ready = joining, true, ready
	}
	s.mu.Unlock()
	s.server.library.accept(&s.lib)
	s.server.loop.Schedule(&s.timer, s.patience())

	t := time.NewTimer(s.server.cfg.ConnectTimeout)
	defer t.Stop()
	select {
	case <-ready:
	case <-t.C:
		s.end(reasonFailed)
	}
}

// settled lets open return. s.mu is held.
func (s *Session) settled() {
	if s.ready != nil {
		close(s.ready)
		s.ready = nil
	}
}

// connected is the library's word that a socket is in the default namespace. The
// client has not been told: what the library wrote is held.
func (s *Session) connected(sock *socket.Socket) {
	s.mu.Lock()
	if s.state != stateOpen || s.joined != joining {
		s.settled()
		s.mu.Unlock()
		// The session ended while the library was at it, which has not noticed.
		sock.Disconnect(false)
		return
	}
	s.sock, s.id, s.joined = sock, string(sock.Id()), greeting
	s.mu.Unlock()

	s.server.handler.Connected(s)

	s.mu.Lock()
	s.settled()
	if s.state == stateClosed {
		s.mu.Unlock()
		s.server.handler.Closed(s, string(reasonClosed))
		return
	}
	s.joined = inside
	s.release()
	s.mu.Unlock()
	s.resume()
}

// release lets go what was held, in order. s.mu is held.
func (s *Session) release() {
	s.holding = false
	for _, frame := range s.held {
		if !s.push(frame) {
			break
		}
	}
	s.held = nil
	if s.conn != nil && s.state == stateOpen {
		s.direct.Store(s.conn)
	}
}

// join asks the library to connect the client to the default namespace.
func (s *Session) join() {
	s.mu.Lock()
	if s.state != stateOpen || s.joined != outside {
		s.mu.Unlock()
		return
	}
	s.joined = joining
	s.holding = true
	s.direct.Store(nil)
	s.mu.Unlock()
	s.lib.data(&parser.Packet{Type: parser.CONNECT, Nsp: "/"})
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
	s.lib.data(&parser.Packet{Type: parser.DISCONNECT, Nsp: "/"})
	s.server.handler.Closed(s, reason)
}

// Close ends the session in order: what waits is written first. The client sees
// a closed transport and connects anew. It returns at once.
func (s *Session) Close(reason string) { s.shut(wire.CloseNormal, reason) }

func (s *Session) shut(code int, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateOpen {
		return
	}
	if s.holding {
		s.release()
	}
	s.direct.Store(nil)
	if s.conn != nil {
		s.state = stateClosing
		s.conn.Close(code, reason) // its end is the session's
		return
	}
	linger := lingerIdle
	if s.poll.size > 0 {
		linger = lingerFull
	}
	fetched := s.poll.get != nil
	// Never packet 41: a client that gets it does not connect anew.
	s.push(frameClose)
	s.state = stateClosing
	if fetched {
		go s.end(reasonForced) // not here: the caller may hold a lock
	}
	if s.probe != nil {
		s.probe.Close(code, reason)
	}
	s.server.loop.Schedule(&s.timer, linger)
}

// end is where every session ends, once. It must not be called with a lock held,
// nor by the handler.
func (s *Session) end(reason wire.Reason) {
	s.mu.Lock()
	if s.state == stateClosed {
		s.mu.Unlock()
		return
	}
	s.state = stateClosed
	s.direct.Store(nil)
	conn, probe, poll := s.conn, s.probe, s.poll
	wasInside := s.joined == inside
	if wasInside {
		s.joined = outside
	}
	s.sock, s.held = nil, nil
	s.settled()
	if poll != nil {
		poll.finish(reason)
	}
	s.mu.Unlock()

	s.server.loop.Cancel(&s.timer)
	s.server.remove(s, reason)
	for _, c := range []*wire.Conn{conn, probe} {
		switch {
		case c == nil:
		case reason == reasonTimeout:
			c.Abort(reason) // it would not answer
		case reason == reasonPacket:
			c.Close(wire.CloseProtocol, string(reason))
		default:
			c.Close(wire.CloseNormal, string(reason))
		}
	}
	if s.lib.closed != nil {
		s.lib.closed(string(reason))
	}
	if wasInside {
		s.in.mu.Lock() // an event may be with the handler
		defer s.in.mu.Unlock()
		s.server.handler.Closed(s, string(reason))
	}
}
