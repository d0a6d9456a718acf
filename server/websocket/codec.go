package websocket

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync/atomic"
	"unicode/utf8"

	"poosh/server/loop"
	"poosh/server/peers"
)

// inbound is what has been read of a message that is not complete. It is bounded for
// all connections together, and in time.
type inbound struct {
	rest  []byte // the beginning of a frame
	parts []byte // unmasked fragments
	text  bool   // of the fragmented message
	open  bool   // a fragmented message is under way

	counted int         // what Config.Input has been asked for
	late    *loop.Timer // ends a message that does not end
	done    atomic.Bool // late must not be scheduled any more
}

// A codec is what a connection says and hears of RFC 6455, and who is told. Its fields
// are set once, or owned by the connection's reader.
type codec struct {
	server     *Server
	handler    Handler
	remote     string
	in         *inbound // nil between messages
	maxMessage int32
	halfClosed bool // nothing more is heard: the peer closed, or broke the protocol
}

// network is what the connection counts for.
func (p *codec) network() netip.Addr { return peers.Of(p.remote) }

// RemoteAddr implements [loop.Protocol].
func (p *codec) RemoteAddr() string { return p.remote }

// Closed implements [loop.Protocol].
func (p *codec) Closed(c *loop.Conn, reason error) {
	p.forgetInput()
	p.server.conns.Add(-1)
	p.server.Released(p.network())
	p.handler.Closed((*Conn)(c), reason)
}

// Settled implements [loop.Settler].
func (p *codec) Settled(c *loop.Conn) {
	if s, ok := p.handler.(Settler); ok {
		s.Settled((*Conn)(c))
	}
}

// Outbox implements [loop.Grower].
func (p *codec) Outbox() int {
	if g, ok := p.handler.(Grower); ok {
		return g.Outbox()
	}
	return 0
}

// Data implements [loop.Protocol]: it takes bytes off the socket and hands over the
// messages in them. It may change data, and keeps no reference to it.
func (p *codec) Data(c *loop.Conn, data []byte) {
	if p.halfClosed {
		return
	}
	kept := p.in != nil && len(p.in.rest) > 0 // data is ours to keep
	if kept {
		data = append(p.in.rest, data...)
		p.in.rest = nil
	}
	whole := false
	for len(data) > 0 && !p.halfClosed {
		h, err := parseHeader(data, int(p.maxMessage))
		if err == nil && len(data) < h.size+h.payload {
			err = errNeedMore
		}
		if err == errNeedMore {
			err = p.keep(c, data, kept, whole)
			if err == nil {
				return
			}
		}
		if err == nil {
			payload := data[h.size : h.size+h.payload]
			data = data[h.size+h.payload:]
			unmask(payload, h.mask)
			whole = whole || h.fin && h.op < opClose
			err = p.frame(c, h, payload)
		}
		if err != nil {
			p.breach(c, err)
			return
		}
	}
	switch {
	case p.in == nil:
	case !p.in.open:
		p.forgetInput()
	default:
		if err := p.hold(c, whole); err != nil {
			p.breach(c, err)
		}
	}
}

// keep stores the beginning of a frame. It grows with what arrives, not with
// what the header promises.
func (p *codec) keep(c *loop.Conn, data []byte, ours, fresh bool) error {
	if p.in == nil {
		p.in = new(inbound)
	}
	if !ours || len(data) < cap(data)/4 {
		data = append([]byte(nil), data...)
	}
	p.in.rest = data
	return p.hold(c, fresh)
}

// hold counts what is held of an unfinished message, and bounds its time; fresh says
// that it has just begun.
func (p *codec) hold(c *loop.Conn, fresh bool) error {
	in, l := p.in, p.server
	now := cap(in.rest) + cap(in.parts)
	if q := l.cfg.Input; q != nil && now > in.counted {
		if !q.Take(p.network(), in.counted, now-in.counted) {
			return errTooMuch
		}
	} else if q != nil {
		q.Give(p.network(), in.counted-now)
	}
	in.counted = now
	if in.late == nil {
		in.late = new(loop.Timer)
		in.late.Fire = func() { c.Guard(func() { p.expire(c, in) }) }
		fresh = true
	}
	if fresh {
		l.Schedule(in.late, l.cfg.MessageTimeout)
	}
	return nil
}

// expire ends a connection whose message has not ended in time; that in which its end may
// wait unread does not count. It runs on the goroutine of timers.
func (p *codec) expire(c *loop.Conn, in *inbound) {
	switch {
	case in.done.Load():
	case c.Unheard():
		p.server.Schedule(in.late, p.server.cfg.MessageTimeout)
		if in.done.Load() { // forgetInput may have canceled before
			p.server.Cancel(in.late)
		}
	default:
		c.End(loop.HalfClose, closeFrame(ClosePolicy, "message takes too long"), ErrUnfinished)
	}
}

// forgetInput gives back what unfinished messages hold. The reader calls it, or the
// reaper when there is none any more.
func (p *codec) forgetInput() {
	if p.in == nil {
		return
	}
	l := p.server
	if l.cfg.Input != nil {
		l.cfg.Input.Give(p.network(), p.in.counted)
	}
	p.in.done.Store(true)
	if p.in.late != nil {
		l.Cancel(p.in.late)
	}
	p.in = nil
}

// breach closes a connection whose peer broke the protocol. Where its next frame
// begins is not known any more, RFC 6455 section 7.1.7.
func (p *codec) breach(c *loop.Conn, err error) {
	p.forgetInput()
	p.halfClosed = true
	reason, code := ErrProtocol, CloseProtocol
	var pe *protocolError
	if errors.As(err, &pe) {
		code = pe.code
		switch pe {
		case errTooBig:
			reason = ErrTooBig
		case errTooMuch:
			reason = loop.ErrTooMuch
		}
	}
	c.End(loop.HalfClose, closeFrame(code, err.Error()), reason)
}

// frame handles one complete frame.
func (p *codec) frame(c *loop.Conn, h header, payload []byte) error {
	if h.op != opClose && c.Ending() {
		return nil // too late to be heard
	}
	switch h.op {
	case opPing, opPong:
		if h.op == opPing {
			c.PushLatest(controlFrame(opPong, payload)) // RFC 6455 section 5.5.3
		}
		if w, ok := p.handler.(Watcher); ok {
			w.Alive((*Conn)(c))
		}
		return nil
	case opClose:
		return p.peerClose(c, payload)
	}
	return p.data(c, h, payload)
}

// peerClose answers a close frame, RFC 6455 section 5.5.1, or takes it as the
// answer to ours.
func (p *codec) peerClose(c *loop.Conn, payload []byte) error {
	code := CloseNoStatus
	switch {
	case len(payload) == 1:
		return errCloseCode
	case len(payload) > 1:
		code = int(binary.BigEndian.Uint16(payload))
		if !validCloseCode(code) {
			return errCloseCode
		}
		if !utf8.Valid(payload[2:]) {
			return errUTF8
		}
	}
	p.halfClosed = true // nothing follows a close frame
	c.End(loop.CloseSocket, closeFrame(code, ""), loop.ErrPeerClosed)
	return nil
}

// data handles a text, binary or continuation frame, RFC 6455 section 5.4.
func (p *codec) data(c *loop.Conn, h header, payload []byte) error {
	if h.op == opContinuation {
		if p.in == nil || !p.in.open {
			return errSequence
		}
		if len(p.in.parts)+len(payload) > int(p.maxMessage) {
			return errTooBig
		}
		p.in.parts = append(p.in.parts, payload...)
		if !h.fin {
			return nil
		}
		payload, text := p.in.parts, p.in.text
		p.in.parts, p.in.open = nil, false
		return p.message(c, text, payload)
	}
	if p.in != nil && p.in.open {
		return errSequence
	}
	if h.fin {
		return p.message(c, h.op == opText, payload)
	}
	if p.in == nil {
		p.in = new(inbound)
	}
	p.in.open, p.in.text = true, h.op == opText
	p.in.parts = append([]byte(nil), payload...)
	return nil
}

func (p *codec) message(c *loop.Conn, text bool, payload []byte) error {
	if text && !utf8.Valid(payload) {
		return errUTF8
	}
	p.handler.Message((*Conn)(c), !text, payload)
	return nil
}
