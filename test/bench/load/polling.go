//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// asked says what a polling client's request under way is for. It has one at a
// time, on one connection: what it has to say is said between two fetches.
type asked uint8

const (
	askedSession asked = iota
	askedConnect       // posted the packet that EIO4 joins the namespace with
	askedWelcome       // fetches the answer
	askedRoom          // posted that it joins the room
	askedEvents        // fetches events
	askedBeat          // posted its heartbeat
)

// separator stands between the packets of an EIO4 payload.
const separator = 0x1e

// polled serves a polling client: b is what has come. It returns what is not
// whole yet.
func (c *Crowd) polled(i int, b []byte, t int64) ([]byte, error) {
	body, need, err := nextResponse(b)
	if err != nil {
		return nil, err
	}
	if need == 0 || len(b) < need {
		return b, nil
	}
	if len(b) > need {
		return nil, errors.New("an answer without a question")
	}
	return nil, c.answered(i, body, t)
}

// answered takes a whole answer and asks the next thing.
func (c *Crowd) answered(i int, body []byte, t int64) error {
	cl := &c.clients[i]
	four := c.cfg.Protocol == Poll4
	switch cl.asked {
	case askedSession:
		_, rest, found := bytes.Cut(body, []byte(`"sid":"`))
		id, _, ended := bytes.Cut(rest, []byte(`"`))
		if !found || !ended {
			return fmt.Errorf("no session in %q", body[:min(len(body), 200)])
		}
		cl.state, cl.target = opening, c.cfg.Protocol.target()+"&sid="+string(id)
		if c.cfg.Elsewhere {
			return c.move(i)
		}
		return c.opened(i)
	case askedConnect:
		return c.fetch(i, askedWelcome)
	case askedWelcome:
		if !bytes.Contains(body, []byte(`40{"sid"`)) {
			return c.fetch(i, askedWelcome)
		}
		return c.post(i, askedRoom, `42["room","`+Room+`"]`)
	case askedRoom:
		c.join(cl)
		return c.fetch(i, askedEvents)
	case askedBeat:
		return c.fetch(i, askedEvents)
	}
	seen := c.scan(i, body, t)
	switch {
	case four && pinged(body):
		return c.post(i, askedBeat, "3")
	case !four && t-cl.beaten > int64(pollBeat):
		cl.beaten = t
		return c.post(i, askedBeat, "2")
	case four && seen == 0:
		return fmt.Errorf("payload %q", body[:min(len(body), 80)])
	}
	return c.fetch(i, askedEvents)
}

// opened says the first thing in a session.
func (c *Crowd) opened(i int) error {
	c.clients[i].state = opening
	if c.cfg.Protocol == Poll4 {
		return c.post(i, askedConnect, "40")
	}
	return c.post(i, askedRoom, `42["room","`+Room+`"]`)
}

// pinged reports whether a payload has the server's ping.
func pinged(body []byte) bool {
	for packet := range bytes.SplitSeq(body, []byte{separator}) {
		if string(packet) == "2" {
			return true
		}
	}
	return false
}

// post sends a packet of a polling client.
func (c *Crowd) post(i int, a asked, packet string) error {
	cl := &c.clients[i]
	cl.asked = a
	if c.cfg.Protocol == Poll3 {
		packet = strconv.Itoa(len(packet)) + ":" + packet
	}
	v := c.values(cl.target)
	v.Length = len(packet)
	c.request = append(browserOf(i).Post.Append(c.request[:0], v), packet...)
	return c.write(cl, c.request)
}

// fetch sends a polling client's next request for packets.
func (c *Crowd) fetch(i int, a asked) error {
	cl := &c.clients[i]
	cl.asked = a
	c.request = browserOf(i).Poll.Append(c.request[:0], c.values(cl.target))
	return c.write(cl, c.request)
}
