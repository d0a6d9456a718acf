package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf8"
)

// inbound is what has been read of a message that is not complete.
type inbound struct {
	rest  []byte // the beginning of a frame
	parts []byte // unmasked fragments
	text  bool   // of the fragmented message
	open  bool   // a fragmented message is under way
}

// received takes what a read gave. The reader calls it with its claim.
func (c *Conn) received(data []byte, err error) {
	if len(data) > 0 {
		if s, ok := c.handler.(carried); ok {
			c.hand(s, data)
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
	for len(data) > 0 {
		h, err := parseHeader(data, int(c.maxMessage))
		if err == nil && len(data) < h.size+h.payload {
			err = errNeedMore
		}
		if err == errNeedMore {
			c.keep(data, kept)
			return
		}
		if err == nil {
			payload := data[h.size : h.size+h.payload]
			data = data[h.size+h.payload:]
			unmask(payload, h.mask)
			err = c.frame(h, payload)
		}
		if err != nil {
			c.breach(err)
			return
		}
	}
	if c.in != nil && !c.in.open {
		c.in = nil
	}
}

// keep stores the beginning of a frame. It grows with what arrives, not with
// what the header promises.
func (c *Conn) keep(data []byte, ours bool) {
	if c.in == nil {
		c.in = new(inbound)
	}
	if !ours || len(data) < cap(data)/4 {
		data = append([]byte(nil), data...)
	}
	c.in.rest = data
}

// breach closes a connection whose peer broke the protocol. Where its next frame
// begins is not known any more, RFC 6455 section 7.1.7.
func (c *Conn) breach(err error) {
	c.in, c.deaf = nil, true
	reason, code := ErrProtocol, CloseProtocol
	var pe *protocolError
	if errors.As(err, &pe) {
		code = pe.code
		if pe == errTooBig {
			reason = ErrTooBig
		}
	}
	c.close(closeFrame(code, err.Error()), reason)
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
			c.Push(controlFrame(opPong, payload))
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
	c.mu.Lock()
	answered := c.flags&closing != 0
	if answered {
		c.kill(ErrGone)
	}
	c.mu.Unlock()
	if !answered {
		c.close(closeFrame(code, ""), ErrGone)
		c.mu.Lock()
		c.flags |= answering
		c.mu.Unlock()
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
