package socketio

import (
	"encoding/json"

	"poosh/server/loop"
	"poosh/server/websocket"
)

// Connection state recovery, as clients of socket.io 4.6 and newer ask for it: the answer to
// their CONNECT has a secret, the pid, beside the sid. Each event that wants no answer has a
// string as its last argument, the offset. When they connect anew they say both, {"pid",
// "offset"}, beside what the page says, and take an answer with the pid that they have for
// the word that they miss nothing (socket.io-client 4.8.1, lib/socket.ts, onconnect).

// Recovery says which clients may have that.
type Recovery uint8

// The choices.
const (
	RecoveryAsked Recovery = iota // those whose page asks for it
	RecoveryOn
	RecoveryOff
)

// A Returner is a [Handler] that can give a client back what it was. From within Connected
// it calls [Session.Return], and what that says to.
type Returner interface {
	Handler
	// Returns reports whether there is anything to come back to; it never changes.
	Returns() bool
}

// A Return is what a client says of itself when it connects.
type Return struct {
	Wanted bool // it may have a pid
	PID    string
	Offset string // empty for a client that has seen no event
	Wrong  bool   // it says what cannot be: it has nothing to come back to
}

// returning is what is kept of a client between its CONNECT and the answer.
type returning struct {
	said  Return
	hello []byte // the answer, once there is one
}

func isYes(text string) bool { return text == "1" || text == "true" }

// returns notes what a client says as it connects. in.mu is held.
func (s *Session) returns(data []byte) {
	if !s.server.returner || s.speaks() != 4 || s.guessed.Load() {
		return
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(data, &fields) // whatever it says else is the page's
	back := &returning{}
	r := &back.said
	if pid, ok := fields["pid"]; ok {
		r.Wrong = json.Unmarshal(pid, &r.PID) != nil || r.PID == ""
	}
	if offset, ok := fields["offset"]; ok {
		r.Wrong = json.Unmarshal(offset, &r.Offset) != nil || r.Offset == "" || r.Wrong
	}
	asks := s.recovery || isYes(string(fields["recovery"])) || string(fields["recovery"]) == `"1"`
	r.Wanted = s.server.cfg().Recovery == RecoveryOn || asks || r.PID != ""
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.space == spaceNever || s.space == spaceLeft {
		s.back = back
	}
}

// Return is what the client said when it connected. It is for Connected alone.
func (s *Session) Return() Return {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back == nil {
		return Return{}
	}
	return s.back.said
}

// written takes a packet of the library's. The answer to a CONNECT is set aside for a client
// that may come back: it may be another one.
func (s *Session) written(text []byte) {
	frame := messageFrame(s.greeting(text))
	s.mu.Lock()
	if s.back != nil && s.space.holds() && len(text) > 0 && text[0] == typeConnect {
		s.back.hello = frame
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.Replay(frame) // an answer: publishers wait for nobody who does not fetch that
}

// GiveID gives the client a pid. It is for Connected alone, as [Session.Resume] is.
func (s *Session) GiveID(pid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back != nil {
		s.back.hello = helloFrame(s.id, pid)
	}
}

// Resume makes the client who it was: it is told so, and then gets what was delivered to it
// so far, which is what it missed.
//
// The official server says it behind that. But what comes before the answer to CONNECT is kept
// by the client, and neither forgotten when the connection ends nor counted in the offset that
// it says next: cut off in between, it would be given that once more, and handle it twice
// (socket.io-client 4.6.2 and 4.8.1, lib/socket.ts: onevent, onclose, emitEvent).
func (s *Session) Resume(id, pid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back != nil {
		s.id, s.back.hello = id, helloFrame(id, pid)
	}
}

func helloFrame(id, pid string) []byte {
	return websocket.TextFrame([]byte(`40{"sid":"` + id + `","pid":"` + pid + `"}`))
}

// greetFirst puts the answer to CONNECT before all that was delivered meanwhile.
func (s *Session) greetFirst() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back == nil {
		return
	}
	if hello := s.back.hello; hello != nil && s.life == lifeOpen {
		s.held = append([][]byte{hello}, s.held...)
		s.size += loop.Cost(hello)
	}
	s.back = nil
}
