package api

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/server/admission"
	"poosh/server/idempotency"
	"poosh/server/pusher/answer"
	"poosh/server/sends"
)

// batchOnce publishes the events of a batch and answers, but for those that have been
// published under their keys, and unless all have been under the batch's.
func (c *call) batchOnce(events []event) (reply, error) {
	key, err := c.header()
	if err != nil {
		return nil, err
	}
	keys := placesWithKeys(events)
	if key == "" && len(keys) == 0 {
		if err := c.send(events...); err != nil {
			return nil, err
		}
		return c.accounted(c.countsOfBatch(events)), nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, admission.Patience) // for all waiting
	defer cancel()
	asked := askedOf(events)
	var claim *idempotency.Claim
	if key != "" {
		turn, err := c.app.Keys.Take(ctx, idempotency.Batch, key, contentOf(events), c.aside)
		switch {
		case err != nil:
			return nil, asAnswer(err)
		case turn.Elsewhere:
			return nil, errElsewhere
		case turn.Answer != nil:
			return c.batchBefore(turn.Answer, events, asked), nil
		}
		claim = turn.Claim
		defer c.giveBack(claim)
	}
	defer func() {
		for _, i := range keys {
			events[i].keyed.claim.Release()
		}
	}()
	if err := c.takeAll(ctx, events, keys); err != nil {
		return nil, err
	}
	if err := c.sendUnknown(events); err != nil {
		return nil, err
	}
	return c.settled(claim, asked, c.countsOfBatch(events)), nil
}

// placesWithKeys are the places of the events that have keys, in the order in which keys
// are taken: that of their texts.
func placesWithKeys(events []event) (places []int) {
	for i := range events {
		if events[i].keyed != nil {
			places = append(places, i)
		}
	}
	slices.SortStableFunc(places, func(i, j int) int { return cmp.Compare(events[i].keyed.key, events[j].keyed.key) })
	return places
}

// askedOf is what the events of a batch ask about their channels.
func askedOf(events []event) string {
	var asked strings.Builder
	for i := range events {
		asked.WriteString(strings.Join(events[i].info, ","))
		asked.WriteByte(';')
	}
	return asked.String()
}

// contentOf is what the key of a batch is bound to.
func contentOf(events []event) idempotency.Content {
	var parts [][]byte
	for i := range events {
		e := &events[i]
		own, key := e.content(), ""
		if e.keyed != nil {
			key = e.keyed.key
		}
		parts = append(parts, own[:], []byte(key))
	}
	return idempotency.ContentOf(parts...)
}

// takeAll takes the keys of all events, or finds that one cannot be sent. A key that stands
// twice in the batch, with the same content, is one event.
func (c *call) takeAll(ctx context.Context, events []event, places []int) error {
	wrong := func(place int, err error) error {
		e := *answer.As(asAnswer(err))
		e.Text = "event " + strconv.Itoa(place+1) + " of the batch: " + e.Text
		return &e
	}
	for n, i := range places {
		e := &events[i]
		if n > 0 && events[places[n-1]].keyed.key == e.keyed.key {
			first := &events[places[n-1]]
			if first.content() != e.content() {
				return wrong(i, idempotency.ErrConflict)
			}
			e.keyed.like = cmp.Or(first.keyed.like, first.keyed)
			continue
		}
		turn, err := c.app.Keys.Take(ctx, idempotency.Event, e.keyed.key, e.content(), c.aside)
		switch {
		case err != nil:
			return wrong(i, err)
		case turn.Elsewhere:
			return errElsewhere
		}
		e.keyed.claim, e.keyed.before = turn.Claim, turn.Answer
	}
	return nil
}

// sendUnknown publishes the events that have not been.
func (c *call) sendUnknown(events []event) error {
	if slices.ContainsFunc(events, func(e event) bool { return !e.keyed.known() }) {
		return c.send(events...)
	}
	c.id = c.app.NextID()
	c.repeated()
	for i := range events {
		c.accountBefore(&events[i])
	}
	return nil
}

// published says that an event has just been, and settles its key if it is one of a batch.
func (c *call) published(e *event, place int) {
	if !c.batch || e.keyed == nil {
		return
	}
	e.keyed.id = c.eventID(place)
	e.keyed.claim.Settle(idempotency.Answer{ID: e.keyed.id})
}

// accountBefore adds the account of an event that is not sent, where the sender asks for
// one.
func (c *call) accountBefore(e *event) {
	if !c.asksWhy() {
		return
	}
	id, at := "", time.Now()
	if e.keyed.before != nil {
		id, at = e.keyed.before.ID, e.keyed.before.At
	} else {
		id = e.keyed.like.id
		if before := e.keyed.like.before; before != nil {
			id, at = before.ID, before.At
		}
	}
	a := sends.Explain(id, e.name)
	a.Replayed = sends.ReplayOf(at)
	c.accounts = append(c.accounts, a)
}

// batchBefore answers for a batch that was sent before.
func (c *call) batchBefore(was *idempotency.Answer, events []event, asked string) reply {
	c.repeats(was)
	body := was.Body
	if was.Asked != asked || body == nil {
		body = c.countsOfBatch(events)
	}
	switch {
	case !c.asksWhy():
	case was.Account != nil:
		return whole(beside(sends.Replayed(was.Account, was.At, was.ID, ""), body))
	default:
		for i := range events {
			a := sends.Explain(c.eventID(i), events[i].name)
			a.Replayed = sends.ReplayOf(was.At)
			c.accounts = append(c.accounts, a)
		}
	}
	return c.accounted(body)
}
