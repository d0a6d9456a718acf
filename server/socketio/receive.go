package socketio

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"poosh/server/closed"
	"poosh/server/loop"
	"poosh/server/websocket"
)

// inbox serializes what arrives: POSTs and WebSocket frames come from different
// goroutines.
type inbox struct {
	mu          sync.Mutex    // guards what follows; held while a packet is handled, taken before Session.mu
	waiting     [][]byte      // messages that came while the client was joining
	size        int           // what waiting costs
	attachments int           // binary packets still to come, and to be dropped
	over        closed.Reason // the client's last packet was taken, or one that it may not send
	pings       int           // that came while the client was joining
}

// heldPackets is how many messages without length may wait while the client is
// joining, beside one of the greatest length.
const heldPackets = 1_000

// heldPings is how many pings are answered that came while the client was joining.
const heldPings = 8

// errClosed is what receive returns for the close packet.
var errClosed = errors.New("closed by the client")

// receive handles one engine.io packet. With an error nothing more is taken from the
// client; see [Session.stop].
func (s *Session) receive(p packet) error {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.server.traffic.Received(len(p.data))
	s.alive()
	if s.in.over != closed.None {
		return nil
	}
	if p.binary {
		return s.attachment()
	}
	if len(p.data) == 0 {
		return errPacket
	}
	switch p.data[0] {
	case enginePing:
		return s.ping(p.data)
	case enginePong:
		s.pong()
	case engineMessage:
		return s.message(p.data[1:])
	case engineClose:
		return errClosed
	case engineUpgrade, engineNoop:
	default:
		return errPacket
	}
	return nil
}

// stop ends the session for what receive returned, and says for what: the client
// closed it, or sent what it may not. What came before is handled first. It must not
// be called with a lock held.
func (s *Session) stop(err error) closed.Reason {
	reason := reasonPacket
	if errors.Is(err, errClosed) {
		reason = reasonClosed
	}
	s.in.mu.Lock()
	if s.in.over == closed.None {
		s.in.over = reason
	}
	wait := s.waits()
	s.in.mu.Unlock()
	if reason == reasonPacket {
		s.server.log.Debug("client packet refused", "remote", s.remote, "session", s.engineID, "err", err)
	}
	if !wait { // else resume does it
		s.end(reason)
	}
	return reason
}

// ping answers a client of protocol 2 or 3. Those of 4 do not ping. in.mu is held.
func (s *Session) ping(data []byte) error {
	if s.settle(3) {
		s.join()
	}
	if s.guessed.Load() {
		s.setGuessed(false)
	}
	if s.speaks() == 4 {
		return fmt.Errorf("%w: ping from a client of protocol 4", errPacket)
	}
	switch {
	case bytes.Equal(data, probePing):
		s.Answer(frameProbe)
	case s.waits():
		s.in.pings = min(s.in.pings+1, heldPings) // 40 comes first, as it did from the Node server
	default:
		s.Answer(framePong)
	}
	return nil
}

// attachment drops the binary part of an event: no event that a dialect knows
// has one. One that was not announced is malformed. in.mu is held.
func (s *Session) attachment() error {
	if s.in.attachments == 0 {
		return fmt.Errorf("%w: binary data without an event", errPacket)
	}
	s.in.attachments--
	return nil
}

// waits reports whether messages have to wait: the client is joining, or others
// wait. in.mu is held.
func (s *Session) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.life.over() && (s.space.holds() || len(s.in.waiting) > 0)
}

// message handles a Socket.IO packet, or keeps it while the client is joining.
// in.mu is held.
func (s *Session) message(text []byte) error {
	if len(text) > 0 && text[0] == typeConnect {
		s.settle(4)
	} else if s.settle(3) {
		s.join()
	}
	if !s.waits() {
		return s.handle(text)
	}
	cost := loop.Cost(text)
	if s.in.size+cost > s.server.cfg().MaxPayload+heldPackets*loop.Cost(nil) {
		return fmt.Errorf("%w: too much before the namespace is joined", errPacket)
	}
	s.in.waiting = append(s.in.waiting, bytes.Clone(text))
	s.in.size += cost
	return nil
}

// resume handles what came while the client was joining, its end included.
func (s *Session) resume() {
	over, err := s.catchUp()
	switch {
	case err != nil:
		s.stop(err)
	case over != closed.None:
		s.end(over)
	}
}

// catchUp handles what waited, and says what ends the session then, if anything does.
func (s *Session) catchUp() (over closed.Reason, err error) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	for ; s.in.pings > 0; s.in.pings-- {
		s.Answer(framePong)
	}
	waiting := s.in.waiting
	s.in.waiting, s.in.size = nil, 0
	for i, text := range waiting {
		if err := s.message(text); err != nil {
			return closed.None, err
		}
		waiting[i] = nil
	}
	if s.waits() { // it left, and is joining again
		return closed.None, nil
	}
	return s.in.over, nil
}

// handle handles one Socket.IO packet. in.mu is held.
func (s *Session) handle(text []byte) error {
	if s.in.attachments > 0 {
		return fmt.Errorf("%w: text in place of binary data", errPacket)
	}
	m, err := parseMessage(text)
	if err != nil {
		return err
	}
	if m.namespace != "/" {
		return s.elsewhere(m)
	}
	s.mu.Lock()
	where := s.space
	s.mu.Unlock()
	switch m.kind {
	case typeConnect:
		s.returns(m.data)
		return s.connect(where)
	case typeDisconnect:
		s.leave(LeftByClient)
		return nil
	case typeAck, typeBinaryAck:
		return fmt.Errorf("%w: answer to nothing", errPacket)
	case typeError:
		return fmt.Errorf("%w: error packet from a client", errPacket)
	}
	var space [4][]byte
	name, args, err := m.event(space[:0])
	if err != nil {
		return err
	}
	if where != spaceInside {
		if s.speaks() == 4 {
			return fmt.Errorf("%w: event outside a namespace", errPacket)
		}
		return nil // after its disconnect packet; the original ignores it too
	}
	s.in.attachments = m.attachments
	if m.kind == typeEvent {
		s.server.handler.Event(s, name, args, m.ack)
	}
	return nil
}

// connect handles a client's wish to be in the default namespace. in.mu is held.
func (s *Session) connect(where namespaceState) error {
	switch {
	case where == spaceNever || where == spaceLeft:
		s.join()
	case s.guessed.Load():
		s.promote() // it has been given what it asks for
	case s.speaks() != 4:
		// A client of 1.x may ask for what it was given unasked.
		s.Answer(frameHello)
	default:
		return fmt.Errorf("%w: connected already", errPacket)
	}
	return nil
}

// elsewhere answers packets for other namespaces than the default: there are
// none, socket.io 1.3.5 and 4.8.1, client.js.
func (s *Session) elsewhere(m message) error {
	s.in.attachments = m.attachments
	if m.kind != typeConnect {
		return nil
	}
	b := append(make([]byte, websocket.HeaderSpace, websocket.HeaderSpace+len(m.namespace)+48), "44"...)
	b = append(b, appendNamespace(nil, m.namespace)...)
	if s.Protocol() == 4 {
		b = append(b, `,{"message":"Invalid namespace"}`...)
	} else {
		b = append(b, `,"Invalid namespace"`...)
	}
	s.Answer(websocket.FrameInPlace(b))
	return nil
}

// appendNamespace writes a client's own name for a namespace back to it. What is
// not ASCII cannot be escaped there, so it is dropped.
func appendNamespace(dst []byte, name string) []byte {
	for i := range len(name) {
		if c := name[i]; c > ' ' && c < 0x7f {
			dst = append(dst, c)
		}
	}
	return dst
}
