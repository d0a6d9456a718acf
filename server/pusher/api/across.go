package api

import (
	"context"
	"errors"
	"sync"
	"time"

	"poosh/server/hub"
	"poosh/server/pusher/answer"
	"poosh/server/sends"
)

// askWithin bounds what is asked of the other processes of a cluster.
const askWithin = 5 * time.Second

// A handing waits until it is known what became of the events of a request, in a cluster.
type handing struct {
	wait sync.WaitGroup

	mu     sync.Mutex // guards what follows
	events []handed
}

// A handed is what became of an event, in all its channels.
type handed struct {
	some   bool // it was published to one at least
	took   int  // connections that took it, or -1 where nobody knows of all its channels
	failed error
}

// one is told what becomes of the publication of an event to one of its channels, once.
func (h *handing) one(place int) func(hub.Handed) {
	h.wait.Add(1)
	return func(got hub.Handed) {
		defer h.wait.Done()
		h.note(place, got.Took, got.Err)
	}
}

// note notes what became of one.
func (h *handing) note(place, took int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &h.events[place]
	switch {
	case took < 0 && err == nil:
		e.took = -1
	case took > 0 && e.took >= 0:
		e.took += took
	}
	switch {
	case err == nil && e.failed == nil:
		e.some = true
	case err == nil:
		e.some, e.failed = true, hub.ErrUncertain
	case e.some:
		e.failed = hub.ErrUncertain
	default:
		e.failed = worse(e.failed, err)
	}
}

// worse is what is to be said of two that failed: of one nobody may know whether it was published.
func worse(one, other error) error {
	if errors.Is(one, hub.ErrUncertain) {
		return one
	}
	return other
}

// outcome waits for all, and returns what became of each, with an error unless all of it was
// published.
func (h *handing) outcome() (events []handed, err error) {
	h.wait.Wait() // the hub bounds it
	some := false
	for i := range h.events {
		e := &h.events[i]
		some = some || e.some
		if e.failed != nil {
			err = worse(err, e.failed)
		}
	}
	if err != nil && some {
		err = hub.ErrUncertain
	}
	return h.events, err
}

// within is a time in which something is asked of other processes.
func (c *call) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, askWithin)
}

// asked is what a question is answered with to which others have no answer.
func asked(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return answer.ErrAway
	}
	return err
}

// An unexplained is the publication of an event to one of its channels, of which all processes
// are to say what becomes of it.
type unexplained struct {
	channel string
	event   *event
	place   int
	data    []byte
	account *sends.Account
}

// explainAcross publishes what waits for the processes' accounts, one after the other, with no place
// held. When [askWithin] is over it does not wait for more of them: the rest is published without.
func (c *call) explainAcross() {
	list := c.unexplained
	c.unexplained = nil
	end := time.Now().Add(askWithin)
	for _, u := range list {
		if time.Now().After(end) {
			c.app.Send(u.channel, u.event.name, u.data, u.event.socketID, c.handing.one(u.place))
			continue
		}
		p, became := c.app.Explain(u.channel, u.event.name, u.data, u.event.socketID)
		u.account.Add(p, became)
		took := became.Took
		if became.Uncounted {
			took = -1
		}
		c.handing.note(u.place, took, became.Err)
	}
}
