package app

import (
	"math"
	"strings"
	"time"

	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
	"poosh/server/rate"
)

// Since is what of a channel's kept events a client of Sockudo's version wants to be given,
// in an app that keeps them. The zero Since asks for nothing.
type Since struct {
	// After is the last position that the client knows, Resume whether it names one. One that
	// it was told of no log is [NoPosition].
	Resume bool
	After  hub.Position
	// Formerly are the socket ids that the client had when it saw that and since: what excepts
	// one of them is not for this connection either. They may only take away.
	Formerly []string

	// Rewind asks for the newest Count events, or else for those of the time Within.
	Rewind bool
	Count  int
	Within time.Duration
}

// NoPosition is a position in a log that there is not.
var NoPosition = hub.Position{Epoch: math.MaxUint64}

// A trail is what a client that may resume has had, and how often it asked for more than it
// can take. It is of the goroutine that handles what the client asks for.
type trail struct {
	hub.Trail
	began     time.Time // set once
	fruitless rate.Fruitless
}

// A question is what a client asks the log for.
type question struct {
	hub.Ask
	cost    int  // of what is handed over, in bytes of [loop.Cost]
	refused bool // it is more than the client can take
}

// ask makes the question of what a client wants, and counts it when it has been answered, by
// done.
func (c *Connection) ask(t *trail, channel string, since *Since) (q *question, done func()) {
	now := time.Since(t.began)
	spent := t.fruitless.Spent(now)
	q = &question{Ask: hub.Ask{Formerly: since.Formerly}}
	switch {
	case since.Resume:
		q.After = since.After
	case since.Rewind && since.Count > 0:
		q.Last = since.Count
	case since.Rewind:
		q.Since = time.Now().Add(-since.Within)
	}
	q.Fits = func(frames, bytes int) bool {
		q.cost = bytes + frames*loop.Cost(nil)
		fits := !spent && c.socket.Fits(frames, bytes)
		q.refused = q.refused || !fits
		return fits
	}
	return q, func() {
		if q.refused {
			t.fruitless.Note(now)
		}
	}
}

// recovered counts what became of a question. It is called while nothing is published, so it
// does no more.
func (a *App) recovered(got hub.Recovery) {
	what := tally.NotRecovered
	if got.Whole {
		what = tally.Recovered
	}
	a.shared.Count(what, 1)
	a.shared.Count(tally.Replayed, got.Missed)
}

// joinKept seats the connection in a channel of an app that is kept, with what it missed.
// A cached event stands behind that, unless it is among it.
func (e *entry) joinKept(r *hub.Roster, t *trail, member hub.Member, data []byte) (first, missed bool, told int, err error) {
	c, ack := e.c, protocol.AckFrame(e.channel, data)
	push := func(frame []byte) {
		told += loop.Cost(frame)
		c.socket.Deliver(frame)
	}
	var cached []byte // who keeps one needs the channel's turn too: it stays what it is
	none := false
	if e.kind.Cache {
		cached, none = e.cached()
	}
	q, done := c.ask(t, e.channel, &e.since)
	defer done()
	q.Answer = func(got hub.Recovery) {
		if got.Missed > 0 {
			told += q.cost
		}
		if cached != nil && !hasCached(got.List) {
			missed = none
			push(cached)
		}
		if e.since.Resume || e.since.Rewind {
			c.app.recovered(got)
		}
		switch {
		case e.since.Resume:
			var said resumed
			if no := said.add(e.channel, &e.since, got); no != nil {
				push(no)
			}
			push(said.frame())
		case e.since.Rewind:
			push(rewound(e.channel, q, got))
		}
	}
	first, _, err = r.JoinKept(c.sub, &t.Trail, member, &q.Ask, func(head hub.Position) [][]byte {
		protocol.PlaceAck(ack, head)
		told += loop.Cost(ack)
		return [][]byte{ack}
	})
	return first, missed, told, err
}

// hasCached reports whether the event that a cache channel keeps is among its newest ones: it
// is the last that no client sent.
func hasCached(list []*hub.Kept) bool {
	for _, k := range list {
		if !strings.HasPrefix(k.Event, "client-") {
			return true
		}
	}
	return false
}

// Resume gives the client what it missed of channels that it is in, each once, and tells it
// what became of that. Who is not in a channel is given nothing of it: it may not be.
// Channels come in the order of names. told is what was delivered, in bytes of [loop.Cost].
// It is for an app that [App.Keeps] events.
func (c *Connection) Resume(names []string, of func(name string) Since) (told int) {
	if !c.begin() {
		return 0
	}
	defer c.done()
	t := c.trail()
	var said resumed
	push := func(frame []byte) {
		told += loop.Cost(frame)
		c.socket.Deliver(frame)
	}
	for _, name := range names {
		since := of(name)
		q, done := c.ask(t, name, &since)
		q.Rooms, q.Seated = []string{name}, true
		q.Answer = func(got hub.Recovery) {
			if got.Missed > 0 {
				told += q.cost
			}
			c.app.recovered(got)
			if no := said.add(name, &since, got); no != nil {
				push(no)
			}
		}
		if _, err := c.app.shared.Hub.Recover(c.sub, &t.Trail, &q.Ask); err != nil {
			c.app.recovered(hub.Recovery{})
			push(said.fail(name, failedChannel{Code: "unauthorized", Reason: "not_subscribed"}))
		}
		done()
	}
	push(said.frame())
	return told
}

// Await has then called once this process has come to where the client was in channels, if that is
// another one's place; see [hub.Hub.Await].
func (c *Connection) Await(names []string, of func(name string) Since, then func()) bool {
	places := make([]hub.Position, 0, len(names))
	for _, name := range names {
		places = append(places, of(name).After)
	}
	return c.app.await(places, c.network(), then)
}

// encodeCached is a cached event as the client reads it. It has no place: it is told anew to
// every newcomer.
func (c *Connection) encodeCached(event *hub.Publication) []byte {
	if !c.sockudo() {
		return protocol.Encoder.Encode(event)
	}
	again := *event
	again.Passing = true
	return c.encoder().Encode(&again)
}
