package e2e

import "fmt"

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
	k := streamKinds()[0]
	s, err := k.open(c.from, "r")
	if err != nil {
		return nil, err
	}
	return func() error {
		defer s.Close()
		y := streamTally()
		if err := s.readToEnd(y, paceOver+2*patience, "server shutdown"); err != nil {
			return err
		}
		c.has(y)
		next, err := k.open(c.next, "r")
		if err != nil {
			return fmt.Errorf("at the next process: %w", err)
		}
		return next.Close()
	}, nil
}

// has notes what a client has heard from the first process.
func (c *emigrants) has(y *tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, y)
}
