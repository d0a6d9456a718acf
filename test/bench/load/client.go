//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
)

// A client is one connection of a crowd.
type client struct {
	fd     int32
	state  state
	asked  asked  // polling: what the request under way is for
	beaten int64  // when it last showed a sign of life
	rest   []byte // the beginning of a frame or response
	target string // polling: path and query of its requests
}

// state is how far a client is.
type state uint8

const (
	connecting state = iota
	handshaking
	opening // on its WebSocket, or with a session, but not in the room
	joined
	gone
)

func (s state) String() string {
	return [...]string{"connecting", "in its handshake", "opening", "joined", "gone"}[s]
}

// framed serves a client on a WebSocket: b is what has come. It returns what is
// not whole yet.
func (c *Crowd) framed(i int, b []byte, t int64) ([]byte, error) {
	cl := &c.clients[i]
	if cl.state == handshaking {
		head, rest, found := bytes.Cut(b, []byte("\r\n\r\n"))
		if !found {
			return b, nil
		}
		if err := checkUpgraded(head); err != nil {
			return nil, err
		}
		cl.state = opening
		if c.cfg.Protocol == Centrifuge {
			if err := c.write(cl, centrifugeHello); err != nil {
				return nil, err
			}
		}
		b = rest
	}
	for {
		op, data, rest, ok := nextFrame(b)
		if !ok {
			return rest, nil
		}
		b = rest
		var err error
		if op == opText && c.cfg.Protocol == Pusher {
			data = unescape(data)
		}
		switch {
		case op == opText && cl.state == joined && len(data) >= MinPayload && c.scan(i, data, t) > 0:
			if c.cfg.Protocol == Centrifuge && pingAmong(data) {
				err = c.write(cl, centrifugePong)
			}
		case op == opText && c.cfg.Protocol == Centrifuge:
			err = c.centrifuge(i, data)
		case op == opText && c.cfg.Protocol == Pusher:
			err = c.pusher(i, data)
		case op == opText:
			err = c.packet(i, data)
		case op == opPing:
			err = c.write(cl, masked(opPing+1, data))
		case op == opClose:
			err = fmt.Errorf("%w: %q", errEnded, data)
		default:
			err = fmt.Errorf("a frame that begins with the byte %#x", op^finBit)
		}
		if err != nil {
			return nil, err
		}
	}
}

// packet handles an Engine.IO packet that is no event.
func (c *Crowd) packet(i int, data []byte) error {
	cl := &c.clients[i]
	switch {
	case len(data) == 0:
		return errors.New("empty packet")
	case data[0] == '0' && c.cfg.Protocol == EIO4:
		return c.write(cl, sayConnect)
	case data[0] == '0', data[0] == '3':
		return nil
	case data[0] == '2':
		cl.beaten = now()
		return c.write(cl, sayPong)
	case bytes.HasPrefix(data, []byte("40")) && cl.state == opening:
		c.join(cl)
		return c.write(cl, sayRoom)
	}
	return fmt.Errorf("packet %q", data[:min(len(data), 80)])
}

// centrifuge handles replies and pings of Centrifuge, one a line.
func (c *Crowd) centrifuge(i int, data []byte) error {
	cl := &c.clients[i]
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		switch {
		case string(line) == "{}":
			if err := c.write(cl, centrifugePong); err != nil {
				return err
			}
		case bytes.Contains(line, []byte(`"connect":{`)):
			if err := c.write(cl, centrifugeJoin); err != nil {
				return err
			}
		case bytes.Contains(line, []byte(`"subscribe":{`)) && cl.state == opening:
			c.join(cl)
		default:
			return fmt.Errorf("reply %q", line[:min(len(line), 80)])
		}
	}
	return nil
}

// pingAmong reports whether a ping stands between the lines of a frame.
func pingAmong(data []byte) bool {
	return bytes.HasPrefix(data, []byte("{}\n")) || bytes.Contains(data, []byte("\n{}"))
}

func (c *Crowd) join(cl *client) {
	cl.state = joined
	c.joined++
}
