package socketio

import (
	"github.com/zishang520/socket.io/servers/socket/v3"

	"poosh/server/closed"
)

// reasonConnected is why the library is told that a connection is over.
const reasonConnected = "connected"

// begin starts a session that has its transport: clients of protocols 2 and 3 are
// connected to the default namespace unasked, and told so once that is done. It
// waits for nothing; nothing is read from the client before it returns.
func (s *Session) begin() {
	s.alive()
	s.opened = s.server.uptime()
	s.lib.session = s
	s.timer.Fire = func() { s.Guard(s.check) }
	s.mu.Lock()
	s.beat = s.opened
	// Only clients of protocol 4 know of recovery.
	s.settled = s.speaks() != 4 || s.via != viaSocketOnly || s.recovery && s.server.returner
	s.route()
	s.plan()
	s.mu.Unlock()
	s.server.clients.Opened()
	s.server.enter(s)
	if s.speaks() != 4 {
		s.join()
	}
	if s.server.draining.Load() { // it may have begun before that, and been entered behind
		s.Leave()
	}
}

// join asks the library to connect the client to the default namespace; it answers
// by calling connected.
func (s *Session) join() {
	s.mu.Lock()
	if s.life != lifeOpen || s.move(spaceJoin)&spaceAsk == 0 {
		s.mu.Unlock()
		return
	}
	s.since = s.server.uptime()
	s.plan()
	s.mu.Unlock()
	s.lib.connect(s.speaks())
}

// connected is the library's word that a socket is in the default namespace. The
// client has not been told: what the library wrote is held. It runs on a goroutine
// that the library ends at once.
//
// The library has done its part with that, and keeps two thirds of what a connection weighs
// as long as it knows it: so it is told that the connection is over. It must be before anything
// is released, since a client that leaves and comes back meets the library anew.
func (s *Session) connected(sock *socket.Socket) {
	s.mu.Lock()
	event := spaceJoined
	if s.life != lifeOpen {
		event = spaceJoinLate
	}
	do := s.move(event)
	if do&spaceWelcome != 0 {
		s.id = string(sock.Id())
	}
	s.mu.Unlock()
	if do&spaceDrop != 0 {
		sock.Disconnect(false)
	}
	if do&spaceWelcome != 0 {
		if !s.survives(func() { s.server.handler.Connected(s) }) {
			s.end(closed.Panic) // before it is told that it is there
		}
		s.greetFirst()
		s.lib.disconnect(reasonConnected, false)
		s.greeted()
	}
}

// greeted follows when the handler has been told that the client is there.
func (s *Session) greeted() {
	s.mu.Lock()
	event := spaceGreet
	if s.life.over() {
		event = spaceGreetLate
	}
	do := s.move(event)
	why := s.why
	if do&spaceRelease != 0 {
		s.release()
		s.plan()
	}
	s.mu.Unlock()
	if do&spaceTell != 0 {
		s.left(why.String())
	}
	if do&spaceRelease != 0 {
		s.Guard(s.resume)
	}
}

// leave ends the client's stay in the default namespace; the session goes on.
func (s *Session) leave(reason string) {
	s.mu.Lock()
	do := s.move(spaceLeave)
	s.mu.Unlock()
	if do&spaceTell != 0 {
		s.left(reason)
	}
}
