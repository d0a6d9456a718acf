package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf8"
)

// inbound is what has been read of a message that is not complete. It is bounded for
// all connections together, and in time.
type inbound struct {
	rest  []byte // the beginning of a frame
	parts []byte // unmasked fragments
	text  bool   // of the fragmented message
	open  bool   // a fragmented message is under way

	counted int    // what Config.Input has been asked for
	late    *Timer // ends a message that does not end
}

// received takes what a read gave. The reader calls it with its claim; scratch is
// memory of the reader's, to write with.
func (c *Conn) received(data, scratch []byte, err error) {
	if len(data) > 0 {
		if s, ok := c.handler.(carried); ok {
			c.cork()
			c.hand(s, data)
			c.flush(scratch)
		} else {
			c.input(data)
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		c.Abort(ErrGone)
	default:
		c.Abort(ErrReset)
	}
}

// cork leaves what is pushed to the reader, who will write it with flush.
func (c *Conn) cork() {
	c.mu.Lock()
	c.flags |= corked
	c.mu.Unlock()
}

// hand gives a stream what was read.
func (c *Conn) hand(s carried, data []byte) {
	defer c.recoverHandler()
	s.Data(c, data)
}

// input takes bytes off the socket and hands over the messages in them. It may
// change data, and keeps no reference to it.
func (c *Conn) input(data []byte) {
	if c.deaf {
		return
	}
	defer c.recoverHandler()
	kept := c.in != nil && len(c.in.rest) > 0 // data is ours to keep
	if kept {
		data = append(c.in.rest, data...)
		c.in.rest = nil
	}
	whole := false
	for len(data) > 0 && !c.deaf {
		h, err := parseHeader(data, int(c.maxMessage))
		if err == nil && len(data) < h.size+h.payload {
			err = errNeedMore
		}
		if err == errNeedMore {
			err = c.keep(data, kept, whole)
			if err == nil {
				return
			}
		}
		if err == nil {
			payload := data[h.size : h.size+h.payload]
			data = data[h.size+h.payload:]
			unmask(payload, h.mask)
			whole = whole || h.fin && h.op < opClose
			err = c.frame(h, payload)
		}
		if err != nil {
			c.breach(err)
			return
		}
	}
	switch {
	case c.in == nil:
	case !c.in.open:
		c.forgetInput()
	default:
		if err := c.hold(whole); err != nil {
			c.breach(err)
		}
	}
}

// keep stores the beginning of a frame. It grows with what arrives, not with
// what the header promises.
func (c *Conn) keep(data []byte, ours, fresh bool) error {
	if c.in == nil {
		c.in = new(inbound)
	}
	if !ours || len(data) < cap(data)/4 {
		data = append([]byte(nil), data...)
	}
	c.in.rest = data
	return c.hold(fresh)
}

// hold counts what is held of an unfinished message, and bounds its time; fresh says
// that it has just begun.
func (c *Conn) hold(fresh bool) error {
	in, l := c.in, c.shard.loop
	now := cap(in.rest) + cap(in.parts)
	if q := l.cfg.Input; q != nil && now > in.counted {
		if !q.Take(c.peer, in.counted, now-in.counted) {
			return errTooMuch
		}
	} else if q != nil {
		q.Give(c.peer, in.counted-now)
	}
	in.counted = now
	if in.late == nil {
		in.late = &Timer{Fire: func() {
			c.close(closeFrame(ClosePolicy, "message takes too long"), ErrUnfinished, breached)
		}}
		fresh = true
	}
	if fresh {
		l.Schedule(in.late, l.cfg.MessageTimeout)
	}
	return nil
}

// forgetInput gives back what unfinished messages hold. The reader calls it, or the
// reaper when there is none any more.
func (c *Conn) forgetInput() {
	if c.in == nil {
		return
	}
	l := c.shard.loop
	if l.cfg.Input != nil {
		l.cfg.Input.Give(c.peer, c.in.counted)
	}
	if c.in.late != nil {
		l.Cancel(c.in.late)
	}
	c.in = nil
}

// breach closes a connection whose peer broke the protocol. Where its next frame
// begins is not known any more, RFC 6455 section 7.1.7.
func (c *Conn) breach(err error) {
	c.forgetInput()
	c.deaf = true
	reason, code := ErrProtocol, CloseProtocol
	var pe *protocolError
	if errors.As(err, &pe) {
		code = pe.code
		switch pe {
		case errTooBig:
			reason = ErrTooBig
		case errTooMuch:
			reason = ErrTooMuch
		}
	}
	c.close(closeFrame(code, err.Error()), reason, breached)
}

// frame handles one complete frame.
func (c *Conn) frame(h header, payload []byte) error {
	c.mu.Lock()
	ending := c.flags&(dead|closing) != 0
	c.mu.Unlock()
	if ending && h.op != opClose {
		return nil // too late to be heard
	}
	switch h.op {
	case opPing, opPong:
		if h.op == opPing {
			c.answerPing(payload)
		}
		if w, ok := c.handler.(Watcher); ok {
			w.Alive(c)
		}
		return nil
	case opClose:
		return c.peerClose(payload)
	}
	return c.data(h, payload)
}

// peerClose answers a close frame, RFC 6455 section 5.5.1, or takes it as the
// answer to ours.
func (c *Conn) peerClose(payload []byte) error {
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
	c.deaf = true // nothing follows a close frame
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.flags&dead != 0:
	case c.flags&closing == 0:
		c.queue(closeFrame(code, ""))
		c.flags |= closing | answering
		c.reason = ErrGone
	case len(c.frames) > 0 || c.flags&writing != 0:
		c.flags |= answering // ours has not left yet, and is the answer to this one
	default:
		c.kill(ErrGone)
	}
	return nil
}

// data handles a text, binary or continuation frame, RFC 6455 section 5.4.
func (c *Conn) data(h header, payload []byte) error {
	if h.op == opContinuation {
		if c.in == nil || !c.in.open {
			return errSequence
		}
		if len(c.in.parts)+len(payload) > int(c.maxMessage) {
			return errTooBig
		}
		c.in.parts = append(c.in.parts, payload...)
		if !h.fin {
			return nil
		}
		payload, text := c.in.parts, c.in.text
		c.in.parts, c.in.open = nil, false
		return c.message(text, payload)
	}
	if c.in != nil && c.in.open {
		return errSequence
	}
	if h.fin {
		return c.message(h.op == opText, payload)
	}
	if c.in == nil {
		c.in = new(inbound)
	}
	c.in.open, c.in.text = true, h.op == opText
	c.in.parts = append([]byte(nil), payload...)
	return nil
}

func (c *Conn) message(text bool, payload []byte) error {
	if text && !utf8.Valid(payload) {
		return errUTF8
	}
	c.handler.Message(c, !text, payload)
	return nil
}
