//go:build linux

package load

import (
	"errors"
	"fmt"
	"time"

	"poosh/server/loadtest"
)

// churn is what the clients that come and go have to do.
type churn struct {
	interval int64 // between two operations; zero while nothing is to be done
	begin    int64
	Churned
}

// Churned is what clients that come and go did.
type Churned struct {
	Operations int64              // joins and leaves
	Late       int64              // of them, that had to wait for a join that was not answered
	Received   int64              // events by these clients
	Joined     loadtest.Histogram // from when a join was due to its answer
}

// ErrNoLeaving tells that clients of a protocol leave a room with their connection
// alone.
var ErrNoLeaving = errors.New("clients of this protocol cannot leave a room")

// ConnectVisitors adds clients that join no room until [Crowd.BeginChurn]. It is for
// after the last [Crowd.Connect].
func (c *Crowd) ConnectVisitors(n int, timeout time.Duration) error {
	if c.cfg.Protocol.polling() || c.cfg.Protocol == EIO4 {
		return ErrNoLeaving
	}
	c.residents = len(c.clients)
	c.stays = make([]stay, n)
	_, err := c.add(n, timeout)
	return err
}

// BeginChurn has the visitors join the room and leave it again, in turn, one
// operation each interval for as long as the crowd is pumped. Event next is the
// first that a publisher sends meanwhile, who keeps p. All are outside before.
func (c *Crowd) BeginChurn(next int, p *Progress, interval time.Duration) {
	c.visits.begin(p, next)
	c.churn = churn{interval: int64(interval), begin: now()}
}

// PauseChurn ends what [Crowd.BeginChurn] began: who is inside stays there. Pump until
// [Crowd.Settled] before asking for the result.
func (c *Crowd) PauseChurn() { c.churn.interval = 0 }

// Settled reports whether each visitor has every event that it must get.
func (c *Crowd) Settled() bool { return c.visits.settled() }

// EndChurn returns what the visitors did, and an error if they got less or more than
// they should. All leave who are still inside.
func (c *Crowd) EndChurn() (*Churned, error) {
	c.churn.Received = c.heard
	err := c.visits.err()
	for i := range c.stays {
		if s := &c.stays[i]; s.state != outside {
			c.visits.leaves(s)
			err = errors.Join(err, c.write(&c.clients[c.residents+i], c.leaveFrame(c.residents+i)))
		}
	}
	return &c.churn.Churned, err
}

// Operations returns how many joins and leaves there were since [Crowd.BeginChurn].
func (c *Crowd) Operations() int64 { return c.churn.Operations }

// visitor reports whether a client comes and goes, and where it stands.
func (c *Crowd) visitor(i int) (*stay, bool) {
	if len(c.stays) == 0 || i < c.residents {
		return nil, false
	}
	return &c.stays[i-c.residents], true
}

// operate does the joins and leaves that are due.
func (c *Crowd) operate(t int64) {
	for o := &c.churn; o.interval > 0; o.Operations++ {
		due := o.begin + o.Operations*o.interval
		if due > t {
			return
		}
		i := c.residents + int(o.Operations)%len(c.stays)
		s := &c.stays[i-c.residents]
		if s.state == coming {
			o.Late++ // once for each turn that it is waited for
			return
		}
		if err := c.toggle(i, s, due); err != nil {
			c.drop(i, err)
			o.interval = 0
		}
	}
}

// toggle joins or leaves.
func (c *Crowd) toggle(i int, s *stay, due int64) error {
	cl := &c.clients[i]
	if cl.state != joined {
		return fmt.Errorf("a client that should come or go is %v", cl.state)
	}
	if s.state == inside {
		c.visits.leaves(s)
		return c.write(cl, c.leaveFrame(i))
	}
	s.state = coming
	cl.due = due
	return c.write(cl, c.joinFrames(i))
}

// welcomed takes a server's answer to a join.
func (c *Crowd) welcomed(i int) error {
	cl := &c.clients[i]
	s, comes := c.visitor(i)
	switch {
	case cl.state == opening && cl.awaits > 1:
		cl.awaits--
	case cl.state == opening:
		c.join(cl)
	case comes && s.state == coming:
		c.churn.Joined.Record(time.Duration(now() - cl.due))
		c.visits.comesIn(s)
	default:
		return errors.New("an answer to a join that nobody asked for")
	}
	return nil
}
