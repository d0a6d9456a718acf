package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// An emigrantKind is a kind of client that moves. enter connects the one of a number to the
// first process; move reads to its end there, and then connects to the next at once, as
// clients of Pusher do; others would wait a little.
type emigrantKind struct {
	room  bool // it is in the room "r" of Poosh
	enter func(c *emigrants, i int) (move func() error, err error)
}

var emigrantKinds = []emigrantKind{
	{true, socketEmigrant(pooshDialect(3))},
	{true, socketEmigrant(pooshDialect(4))},
	{false, socketEmigrant(pusherDialect())},
	{false, socketEmigrant(socktopusDialect())},
	{true, (*emigrants).enterPolling},
	{true, (*emigrants).enterStream},
	{false, (*emigrants).enterDevice},
}

func (c *emigrants) enter(i int) (move func() error, err error) {
	return emigrantKinds[i%len(emigrantKinds)].enter(c, i/len(emigrantKinds))
}

// socketEmigrant is a client with a WebSocket.
func socketEmigrant(d *dialect) func(c *emigrants, i int) (func() error, error) {
	return func(c *emigrants, i int) (move func() error, err error) {
		m, err := d.enter(c.from, kinds()[i%2], "r")
		if err != nil {
			return nil, err
		}
		if d.name == "Socktopus" {
			c.mu.Lock()
			c.ids = append(c.ids, m.id)
			c.mu.Unlock()
		}
		return func() error {
			defer m.Close()
			y := newTally(d)
			if err := m.readToEnd(y, paceOver+2*patience, d.closes); err != nil {
				return fmt.Errorf("%s: after %d events: %w", d.name, y.count, err)
			}
			c.has(y)
			next, err := d.enter(c.next, m.kind, "r")
			if err != nil {
				return fmt.Errorf("%s: at the next process: %w", d.name, err)
			}
			return next.Close()
		}, nil
	}
}

// enterPolling enters a client that polls.
func (c *emigrants) enterPolling(i int) (move func() error, err error) {
	p := newBrowserPoller(c.from, 0, 3+i%2)
	if err := p.join("r"); err != nil {
		return nil, err
	}
	return func() error {
		defer p.close()
		y := newTally(pooshDialect(p.eio))
		if err := afterTheEnd(p.read(y, 1<<30)); err != nil {
			return fmt.Errorf("polling: %w", err)
		}
		c.has(y)
		next := newBrowserPoller(c.next, 0, p.eio)
		defer next.close()
		if err := next.join("r"); err != nil {
			return fmt.Errorf("polling: at the next process: %w", err)
		}
		return nil
	}, nil
}

// enterDevice enters a device of Push Socket that has not authorized.
func (c *emigrants) enterDevice(int) (move func() error, err error) {
	open := func(f *fourfold) (*member, error) {
		ws, err := kinds()[1].open(f, f.pushSocketPort, "/socket.io/?EIO=3&transport=websocket", "")
		if err != nil {
			return nil, fmt.Errorf("push socket: %w", err)
		}
		if _, err := ws.hearPrefix("40"); err != nil {
			ws.Close()
			return nil, fmt.Errorf("push socket: %w", err)
		}
		return &member{rawSocket: ws}, nil
	}
	m, err := open(c.from)
	if err != nil {
		return nil, err
	}
	return func() error {
		defer m.Close()
		if err := m.readToEnd(newTally(pooshDialect(3)), paceOver+2*patience, noCloseFrame); err != nil {
			return fmt.Errorf("push socket: %w", err)
		}
		next, err := open(c.next)
		if err != nil {
			return err
		}
		return next.Close()
	}, nil
}

// enterStream enters a client of GET /events.
func (c *emigrants) enterStream(int) (move func() error, err error) {
	s, err := openEventStream(c.from)
	if err != nil {
		return nil, err
	}
	return func() error {
		defer s.Close()
		y := newTally(&dialect{name: "/events", begins: `"`})
		for {
			name, data, err := s.nextEvent(paceOver + 2*patience)
			if err == nil && name == "n" {
				err = y.take(data)
			}
			switch {
			case err != nil:
				return fmt.Errorf("/events: after %d events: %w", y.count, err)
			case name != "poosh:closed":
				continue
			}
			if _, _, err := s.nextEvent(patience); err != io.EOF {
				return fmt.Errorf("/events: %v, and not the end of the stream", err)
			}
			c.has(y)
			next, err := openEventStream(c.next)
			if err != nil {
				return fmt.Errorf("at the next process: %w", err)
			}
			return next.Close()
		}
	}, nil
}

// has notes what a client has heard from the first process.
func (c *emigrants) has(y *tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, y)
}

// An eventStream is a connection of GET /events.
type eventStream struct {
	*rawSocket
	body *bufio.Reader
}

// openEventStream asks for the events of the room "r", and waits until they come.
func openEventStream(f *fourfold) (*eventStream, error) {
	c, err := dialFrom(f.clientPort, "")
	if err != nil {
		return nil, err
	}
	s := &eventStream{rawSocket: &rawSocket{c, bufio.NewReaderSize(c, 1<<10)}}
	if err := s.begin(); err != nil {
		c.Close()
		return nil, fmt.Errorf("/events: %w", err)
	}
	return s, nil
}

func (s *eventStream) begin() error {
	s.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(s, "GET /events?room=r HTTP/1.1\r\nHost: e2e.example\r\nAccept: text/event-stream\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	s.body = bufio.NewReaderSize(resp.Body, 1<<10)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", resp.Status)
	}
	if name, _, err := s.nextEvent(patience); err != nil || name != "poosh:connected" {
		return fmt.Errorf("%q comes first, %w", name, err)
	}
	return nil
}

// nextEvent reads to the end of an event that has a name.
func (s *eventStream) nextEvent(limit time.Duration) (name, data string, err error) {
	s.SetDeadline(time.Now().Add(limit))
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimSuffix(line, "\n")
		switch field, value, _ := strings.Cut(line, ": "); {
		case field == "event":
			name = value
		case field == "data":
			data = value
		case line == "" && name != "":
			return name, data, nil
		}
	}
}
