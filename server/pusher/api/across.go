package api

import (
	"context"
	"errors"
	"time"

	"poosh/server/hub"
	"poosh/server/pusher/answer"
	"poosh/server/sends"
)

// askWithin bounds what is asked of the other processes of a cluster.
const askWithin = 5 * time.Second

// A handing waits until it is known what became of the events of a request, in a cluster.
type handing struct {
	one    []func(hub.Handed) // told what became of an event in each of its channels, by its place; nil for one that is not sent
	became []hub.Handed       // of each event, in all its channels; to be read behind outcome
	all    chan hub.Handed    // what became of all; capacity 1
}

func newHanding(events []event) *handing {
	h := &handing{make([]func(hub.Handed), len(events)), make([]hub.Handed, len(events)), make(chan hub.Handed, 1)}
	var sent []int // places
	for i := range events {
		if !events[i].keyed.known() {
			sent = append(sent, i)
		}
	}
	all := hub.Together(len(sent), func(got hub.Handed) { h.all <- got })
	for _, i := range sent {
		h.one[i] = hub.Together(len(events[i].channels), func(got hub.Handed) {
			h.became[i] = got
			all(got)
		})
	}
	return h
}

// outcome waits for all, and returns what became of each, with an error unless all of it was
// published.
func (h *handing) outcome() (became []hub.Handed, err error) {
	all := <-h.all // the hub bounds it
	return h.became, all.Err
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
// held. When [askWithin] is over, or who asks has gone, it does not wait for more of them: the rest is published
// without, and its accounts say so.
func (c *call) explainAcross() {
	list := c.unexplained
	c.unexplained = nil
	ctx, cancel := c.within()
	defer cancel()
	for _, u := range list {
		if ctx.Err() != nil {
			u.account.Skip(u.channel)
			c.app.Send(u.channel, u.event.name, u.data, u.event.socketID, c.handing.one[u.place])
			continue
		}
		p, became := c.app.Explain(u.channel, u.event.name, u.data, u.event.socketID)
		u.account.Add(p, became)
		c.handing.one[u.place](became.Handed())
	}
}
