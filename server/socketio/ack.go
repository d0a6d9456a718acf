package socketio

import (
	"poosh/server/loop"
	"poosh/server/websocket"
)

// An Ack is the number by which a client knows the answer to an event of its own: digits,
// or empty for an event that wants none.
type Ack string

// AckFrame returns the packet 43<ack>[data], the same in all versions (socket.io-protocol,
// ACK), as a frame for [Session.Answer]. data is JSON text.
func AckFrame(ack Ack, data []byte) []byte {
	b := make([]byte, websocket.HeaderSpace, websocket.HeaderSpace+len(ack)+len(data)+8)
	b = append(append(append(b, `43`...), ack...), '[')
	b = appendASCII(b, data)
	return websocket.FrameInPlace(append(b, ']'))
}

// Answer is [Session.Deliver] of a frame that the client has asked for: one who asks on and
// on and does not read is not heard until it does, see [loop.Conn.Owe].
func (s *Session) Answer(frame []byte) bool {
	if c := s.direct.Load(); c != nil {
		return c.Answer(frame)
	}
	return s.Replay(frame)
}

// Fits reports whether so many bytes in so many frames can be delivered to the client in
// one go, so that a fourth of its outbox is left for what comes meanwhile. What is said of
// [Session.Deliver] holds for it.
func (s *Session) Fits(frames, bytes int) bool {
	// A WebSocket from before the last reload has no less: see peer.Outbox.
	cost, most := bytes+frames*loop.Cost(nil), s.server.cfg().Outbox
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil && s.server.polled.Load()+int64(cost) > s.server.cfg().Unfetched {
		return false
	}
	return s.occupied()+cost <= most/4*3
}
