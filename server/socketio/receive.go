package socketio

import (
	"bytes"
	"fmt"

	"poosh/server/wire"
)

// receive handles one engine.io packet. An error ends the session as malformed.
func (s *Session) receive(p packet) error {
	s.alive()
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if p.binary {
		return s.attachment()
	}
	if len(p.data) == 0 {
		return errPacket
	}
	switch p.data[0] {
	case enginePing:
		if s.protocol == 4 {
			return fmt.Errorf("%w: ping from a client of protocol 4", errPacket)
		}
		if bytes.Equal(p.data, probe) {
			s.Deliver(frameProbe)
		} else {
			s.Deliver(framePong)
		}
	case enginePong:
		s.pong()
	case engineMessage:
		return s.message(p.data[1:])
	case engineClose:
		go s.end(reasonClosed) // not here: the handler may come back for in.mu
	case engineUpgrade, engineNoop:
	default:
		return errPacket
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

// message handles a Socket.IO packet, or keeps it while the client is joining.
// in.mu is held.
func (s *Session) message(text []byte) error {
	s.mu.Lock()
	wait := s.joined == joining || s.joined == greeting
	s.mu.Unlock()
	if wait || len(s.in.waiting) > 0 {
		if len(s.in.waiting) == maxHeldPackets || s.in.size+len(text) > maxHeldBytes {
			return fmt.Errorf("%w: too much before the namespace is joined", errPacket)
		}
		s.in.waiting = append(s.in.waiting, bytes.Clone(text))
		s.in.size += len(text)
		return nil
	}
	return s.handle(text)
}

// resume handles what came while the client was joining.
func (s *Session) resume() {
	s.in.mu.Lock()
	waiting := s.in.waiting
	s.in.waiting, s.in.size = nil, 0
	var err error
	for i, text := range waiting {
		if err = s.message(text); err != nil {
			break
		}
		waiting[i] = nil
	}
	s.in.mu.Unlock()
	if err != nil {
		s.fail(err)
	}
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
	joined := s.joined
	s.mu.Unlock()
	switch m.kind {
	case typeConnect:
		switch {
		case joined == outside:
			s.join()
		case s.protocol != 4:
			// A client of 1.x may ask for what it was given unasked.
			s.Deliver(frameHello)
		default:
			return fmt.Errorf("%w: connected already", errPacket)
		}
		return nil
	case typeDisconnect:
		s.leave("client namespace disconnect")
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
	if joined != inside {
		if s.protocol == 4 {
			return fmt.Errorf("%w: event outside a namespace", errPacket)
		}
		return nil // after its disconnect packet; the original ignores it too
	}
	s.in.attachments = m.attachments
	if m.kind == typeEvent {
		s.server.handler.Event(s, name, args)
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
	b := append(make([]byte, wire.HeaderSpace, wire.HeaderSpace+len(m.namespace)+48), "44"...)
	b = append(b, appendNamespace(nil, m.namespace)...)
	if s.protocol == 4 {
		b = append(b, `,{"message":"Invalid namespace"}`...)
	} else {
		b = append(b, `,"Invalid namespace"`...)
	}
	s.Deliver(wire.FrameInPlace(b))
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

// fail ends a session that sent what it may not.
func (s *Session) fail(err error) {
	s.server.log.Debug("client packet refused", "remote", s.remote, "session", s.engineID, "err", err)
	s.end(reasonPacket)
}
