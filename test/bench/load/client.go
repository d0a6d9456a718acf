//go:build linux

package load

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"

	"poosh/server/loadtest"
)

// A client is one connection of a crowd.
type client struct {
	fd       int32
	state    state
	asked    asked     // polling: what the request under way is for
	beaten   int64     // when it last showed a sign of life
	rest     []byte    // the beginning of a frame or response
	tls      *tls.Conn // nil without TLS
	target   string    // polling: path and query of its requests
	socket   string    // Pusher: the id of its connection
	awaits   uint8     // joins that are to be answered before it is in its rooms
	due      int64     // when the join of one that comes and goes was due
	forsaken bool      // its node is dead, see Forsake
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
			data = loadtest.Unescape(data)
		}
		switch {
		case op == opText && c.cfg.Protocol == Centrifuge && len(c.stays) > 0:
			err = c.centrifugeLines(i, data, t)
		case op == opText && cl.state == joined && len(data) >= loadtest.MinPayload && c.scan(i, data, t) > 0:
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
		c.join(cl) // there is no answer to a join
		if _, comes := c.visitor(i); comes {
			return nil
		}
		return c.write(cl, c.joinFrames(i))
	case bytes.HasPrefix(data, []byte("430[")):
		return c.isBack(data)
	case bytes.HasPrefix(data, []byte(`42["joined",`)): // but by servers that can be left
		if _, comes := c.visitor(i); comes {
			return c.welcomed(i)
		}
		return nil
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
			if err := c.arrive(i); err != nil {
				return err
			}
		case bytes.Contains(line, []byte(`"unsubscribe":{`)):
		case bytes.Contains(line, []byte(`"subscribe":{`)):
			if err := c.welcomed(i); err != nil {
				return err
			}
		default:
			return fmt.Errorf("reply %q", line[:min(len(line), 80)])
		}
	}
	return nil
}

// centrifugeLines takes a frame whose lines may be events and replies, one by one:
// what comes before the answer to a join differs from what comes after it.
func (c *Crowd) centrifugeLines(i int, data []byte, t int64) error {
	for line := range bytes.Lines(data) {
		if len(line) >= loadtest.MinPayload && c.scan(i, line, t) > 0 {
			continue
		}
		if err := c.centrifuge(i, line); err != nil {
			return err
		}
	}
	return nil
}

// arrive joins the rooms of a client that has its connection, in protocols that
// answer a join.
func (c *Crowd) arrive(i int) error {
	cl := &c.clients[i]
	if _, comes := c.visitor(i); comes {
		c.join(cl)
		return nil
	}
	cl.awaits = uint8(len(c.cfg.Rooms.of(i)))
	return c.write(cl, c.joinFrames(i))
}

// pingAmong reports whether a ping stands between the lines of a frame.
func pingAmong(data []byte) bool {
	return bytes.HasPrefix(data, []byte("{}\n")) || bytes.Contains(data, []byte("\n{}"))
}

func (c *Crowd) join(cl *client) {
	cl.state = joined
	c.joined++
}
