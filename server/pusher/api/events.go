package api

import (
	"context"
	"log/slog"
	"slices"
	"strconv"

	"poosh/auth"
	"poosh/server/admission"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/protocol"
	"poosh/server/sends"
)

// send publishes events, each to all its channels, in their order, once the server
// keeps up. All that is wrong with them has been found before: who is refused for
// that neither waits nor holds a place.
//
// In a cluster it waits until the others have them, with no place held. With an error not all
// of them were published, and which of them cannot be told.
func (c *call) send(events ...event) error {
	if c.api.apps.Draining() {
		return answer.ErrDraining
	}
	if c.goesAside(events) {
		return errElsewhere
	}
	if c.app.Joined() {
		c.handing = newHanding(events)
	}
	if err := c.publishAll(events); err != nil || c.handing == nil {
		return err
	}
	c.explainAcross()
	became, err := c.handing.outcome()
	for i := range events {
		if e := &events[i]; !e.keyed.known() && became[i].Err == nil {
			c.done(e, i, i == len(events)-1 && err == nil, became[i].Took)
		}
	}
	return err
}

// publishAll is send where there is a place.
func (c *call) publishAll(events []event) error {
	if elsewhere, err := c.api.gate.EnterOr(c.ctx, c.aside); elsewhere {
		return errElsewhere
	} else if err != nil {
		return err
	}
	defer c.api.gate.Leave()
	var rest context.Context // of the time for pauses; nil before the second publication
	c.id = c.app.NextID()
	for i := range events {
		e, last := &events[i], i == len(events)-1
		if e.keyed.known() {
			c.accountBefore(e)
			c.out = last && c.handing == nil
			continue
		}
		account := c.account(i, e.name)
		data := protocol.JSONString(e.data)
		for j, channel := range e.channels {
			if i+j > 0 {
				if rest == nil {
					var cancel context.CancelFunc
					rest, cancel = context.WithTimeout(c.ctx, admission.Patience)
					defer cancel()
				}
				c.pause(rest)
			}
			took := c.publish(channel, e, i, data, account)
			switch {
			case c.handing != nil:
				if e.keyed != nil { // what repeats it in the batch names it
					e.keyed.id = c.eventID(i)
				}
			case j == len(e.channels)-1:
				c.out = last // before anything else, which may fail
				c.published(e, i)
				fallthrough
			default:
				c.report(e, i, channel, data, took)
			}
		}
		if log := c.api.answer.Log; log.Enabled(c.ctx, slog.LevelDebug) {
			log.Debug("event", "id", c.eventID(i), "app", c.app.ID(), "event", e.name, "channels", len(e.channels), "bytes", len(e.data))
		}
	}
	return nil
}

// done notes of an event that all processes of a cluster have it. took is how many connections in all its
// channels have, where that is known.
func (c *call) done(e *event, place int, last bool, took int) {
	c.out = last
	c.published(e, place)
	if took > 0 && len(e.channels) > 1 {
		took = -1 // who watches is told of each channel, and how many had it in that one nobody has kept
	}
	if c.app.Watched() {
		data := protocol.JSONString(e.data)
		for _, channel := range e.channels {
			c.report(e, place, channel, data, took)
		}
	}
}

// report tells those who watch of an event that was published to a channel.
func (c *call) report(e *event, place int, channel string, data []byte, took int) {
	if c.app.Watched() {
		c.app.Report(c.eventID(place), channel, e.name, data, len(e.data), took, c.from)
	}
}

// eventID is the id of an event: the request's, or in a batch one below that.
func (c *call) eventID(place int) string {
	if c.batch {
		return sends.Item(c.id, place)
	}
	return c.id
}

// publish publishes an event to one of its channels, and returns how many took it.
func (c *call) publish(channel string, e *event, place int, data []byte, account *sends.Account) int {
	switch {
	case account != nil && c.handing != nil:
		c.unexplained = append(c.unexplained, unexplained{channel, e, place, data, account})
		return 0
	case account != nil:
		p, became := c.app.Explain(channel, e.name, data, e.socketID)
		account.Add(p, became)
		return became.Took
	case c.handing != nil:
		c.app.Send(channel, e.name, data, e.socketID, c.handing.one[place])
		return 0
	}
	return c.app.Publish(channel, e.name, data, e.socketID)
}

// mayWait reports whether the events are more than one publication, or one that waits
// for its channel's turn.
func mayWait(events []event) bool {
	return len(events) != 1 || len(events[0].channels) != 1 || protocol.KindOf(events[0].channels[0]).Cache
}

// goesAside reports whether the request is to be served on a goroutine of its own, and not
// here: ask it before anything is done.
func (c *call) goesAside(events []event) bool {
	return (c.app.Joined() || mayWait(events) || c.asksWhy()) && c.aside()
}

// pause lets the server catch up between two publications of one request, which may
// be a megabyte for who subscribes to all its channels. It is too late to refuse the
// request then, so after ctx it goes on as it is.
func (c *call) pause(ctx context.Context) {
	_ = c.api.gate.Pause(ctx)
}

// events publishes one event to one or more channels.
func (c *call) events() (reply, error) {
	r, err := parseEvent(c.body, c.conf.MaxEventChannels)
	if err != nil {
		return nil, err
	}
	e, err := r.check(c.conf)
	if err != nil {
		return nil, c.named(&r, err)
	}
	return c.once(e)
}

// counts is what an event asks about its channels, an object; nil for nothing.
func (c *call) counts(e event) []byte {
	if len(e.info) == 0 {
		return nil
	}
	ctx, cancel := c.within()
	defer cancel()
	b := []byte(`{"channels":{`)
	for i, channel := range e.channels {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(protocol.AppendString(b, channel), ':')
		b = c.appendCounts(ctx, b, channel, e.info)
	}
	return append(b, "}}"...)
}

// userEvents publishes an event to a signed-in user. The official libraries name
// the user's channel instead.
func (c *call) userEvents() (reply, error) {
	r, err := parseEvent(c.body, c.conf.MaxEventChannels)
	if err != nil {
		return nil, err
	}
	r.channels = []string{protocol.UserChannel + c.of}
	e, err := r.check(c.conf)
	if err != nil {
		return nil, c.named(&r, err)
	}
	e.info = nil
	return c.once(e)
}

// batchEvents publishes several events, each to one channel, in their order.
func (c *call) batchEvents() (reply, error) {
	c.batch = true
	var batch [1]auth.Value
	if protocol.Pick(c.body, []string{"batch"}, batch[:]) != nil {
		return nil, errBadBody
	}
	switch batch[0].Kind() {
	case auth.Absent, auth.Null:
		return nil, answer.Invalid("batch is missing")
	case auth.Array:
	default:
		return nil, wrongKind("batch", batch[0])
	}
	n := 0
	for range elements(batch[0]) {
		if n++; n > c.conf.MaxBatch {
			return nil, answer.OverLimit("Batch too large: the limit is %d events, the app's max_batch_events", c.conf.MaxBatch)
		}
	}
	var events []event
	for raw := range elements(batch[0]) {
		e, err := c.batchEvent(raw)
		if err != nil {
			e := *answer.As(err)
			e.Text = "event " + strconv.Itoa(len(events)+1) + " of the batch: " + e.Text
			return nil, &e
		}
		events = append(events, e)
	}
	return c.batchOnce(events)
}

// countsOfBatch is what the events of a batch ask about their channels, an object; nil for
// nothing.
func (c *call) countsOfBatch(events []event) []byte {
	if !slices.ContainsFunc(events, func(e event) bool { return len(e.info) > 0 }) {
		return nil
	}
	ctx, cancel := c.within()
	defer cancel()
	b := []byte(`{"batch":[`)
	for i, e := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.appendCounts(ctx, b, e.channels[0], e.info)
	}
	return append(b, "]}"...)
}

// batchEvent reads and judges one event of a batch.
func (c *call) batchEvent(raw auth.Value) (event, error) {
	r, err := parseEvent(raw.Bytes(), c.conf.MaxEventChannels)
	if err != nil {
		return event{}, err
	}
	if len(r.channels) > 1 {
		return event{}, answer.Invalid("more than one channel")
	}
	e, err := r.check(c.conf)
	return e, c.named(&r, err)
}
