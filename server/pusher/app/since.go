package app

import (
	"encoding/json"
	"math"
	"time"

	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/pusher/protocol"
)

// Since is what of a channel's kept events a client of Sockudo's version wants to be given,
// in an app that keeps them. The zero Since asks for nothing.
type Since struct {
	// After is the last position that the client knows, Resume whether it names one. One that
	// it was told of no log is [NoPosition].
	Resume bool
	After  hub.Position
	// Formerly is the socket id that the client had when it saw that: what excepts it is not
	// for this connection either. It may only take away.
	Formerly string

	// Rewind asks for the newest Count events, or else for those of the time Within.
	Rewind bool
	Count  int
	Within time.Duration
}

// NoPosition is a position in a log that there is not.
var NoPosition = hub.Position{Epoch: math.MaxUint64}

// joinKept seats the connection in a channel of an app that is kept, with what it missed.
// Behind what a client resumes with no event is cached: it has seen it, or is given it.
func (e *entry) joinKept(r *hub.Roster, trail *hub.Trail, member hub.Member, data []byte) (first, missed bool, told int, err error) {
	c, ack, replay := e.c, protocol.AckFrame(e.channel, data), 0
	push := func(frame []byte) {
		told += loop.Cost(frame)
		c.socket.Deliver(frame)
	}
	ask, rewound := c.ask(e.channel, &e.since)
	ask.Fits = func(frames, bytes int) bool {
		replay = bytes + frames*loop.Cost(nil)
		return c.socket.Fits(replay)
	}
	ask.Answer = func(got hub.Recovery) {
		if got.Missed > 0 {
			told += replay
		}
		if e.kind.Cache && got.Missed == 0 && !(e.since.Resume && got.Whole) {
			var frame []byte
			frame, missed = e.cached()
			push(frame)
		}
		switch {
		case e.since.Resume:
			var said resumed
			if no := said.add(e.channel, &e.since, got); no != nil {
				push(no)
			}
			push(said.frame())
		case e.since.Rewind:
			push(rewound.frame(e.channel, got))
		}
	}
	first, _, err = r.JoinKept(c.sub, trail, member, &ask, func(head hub.Position) [][]byte {
		protocol.PlaceAck(ack, head)
		told += loop.Cost(ack)
		return [][]byte{ack}
	})
	return first, missed, told, err
}

// ask is what since asks the log for.
func (c *Connection) ask(channel string, since *Since) (hub.Ask, rewind) {
	ask, w := hub.Ask{Formerly: since.Formerly}, rewind{}
	switch {
	case since.Resume:
		ask.After = since.After
	case !since.Rewind:
	case since.Count > 0:
		_, x := c.app.Kept(channel, math.MaxUint64, since.Count+1)
		ask.Last, w.count, w.more = since.Count, since.Count, len(x.List) > since.Count
	default:
		head, x := c.app.Kept(channel, math.MaxUint64, -1)
		ask.After, w.whole = head, x.Whole
		from := time.Now().Add(-since.Within)
		for _, k := range x.List {
			if !k.Entered.Before(from) {
				ask.After.Number = k.At.Number - 1
				break
			}
			w.whole = true // there is an older one
		}
		w.timed = true
	}
	return ask, w
}

// A rewind is what is known of one before it is answered.
type rewind struct {
	count int
	more  bool // there were more than that

	timed bool
	whole bool // all events of that time are kept
}

func (w *rewind) frame(channel string, got hub.Recovery) []byte {
	type told struct {
		Count       int  `json:"historical_count"`
		Live        int  `json:"live_count"`
		Complete    bool `json:"complete"`
		ByLimit     bool `json:"truncated_by_limit"`
		ByRetention bool `json:"truncated_by_retention"`
	}
	d := told{Count: got.Missed, ByLimit: w.more, ByRetention: !got.Whole || w.timed && !w.whole}
	d.Complete = !d.ByLimit && !d.ByRetention
	return protocol.ObjectFrame("sockudo:rewind_complete", channel, text(d))
}

// A resumed is the answer to a client that resumes.
type resumed struct {
	Recovered []recoveredChannel `json:"recovered"`
	Failed    []failedChannel    `json:"failed"`
}

type recoveredChannel struct {
	Channel  string   `json:"channel"`
	Source   string   `json:"source"`
	Replayed int      `json:"replayed"`
	Position position `json:"position"`
}

type position struct {
	StreamID string `json:"stream_id"`
	Serial   uint64 `json:"serial"`
}

type failedChannel struct {
	Channel  string `json:"channel,omitempty"`
	Code     string `json:"code"`
	Reason   string `json:"reason"`
	Expected string `json:"expected_stream_id,omitempty"`
	Current  string `json:"current_stream_id,omitempty"`
	Newest   uint64 `json:"newest_available_serial,omitempty"`
}

// add notes what became of one channel, and returns what the client is told of it alone if
// it is not recovered.
func (m *resumed) add(channel string, since *Since, got hub.Recovery) []byte {
	if got.Whole {
		m.Recovered = append(m.Recovered, recoveredChannel{channel, "hot", got.Missed, position{protocol.StreamID(got.Head.Epoch), got.Head.Number}})
		return nil
	}
	no := failedChannel{Code: "position_expired", Reason: "recovery_window_exceeded", Current: protocol.StreamID(got.Head.Epoch), Newest: got.Head.Number}
	switch {
	case since.After.Epoch != got.Head.Epoch:
		no.Code, no.Reason = "stream_reset", "stream_id_mismatch"
	case since.After.Number > got.Head.Number:
		no.Code, no.Reason = "continuity_unverifiable", "position_ahead_of_stream"
	}
	return m.fail(channel, no)
}

func (m *resumed) fail(channel string, no failedChannel) []byte {
	frame := protocol.EventFrame("sockudo:resume_failed", channel, text(no))
	no.Channel = channel
	m.Failed = append(m.Failed, no)
	return frame
}

func (m *resumed) frame() []byte {
	if m.Recovered == nil {
		m.Recovered = []recoveredChannel{}
	}
	if m.Failed == nil {
		m.Failed = []failedChannel{}
	}
	return protocol.EventFrame("sockudo:resume_success", "", text(m))
}

func text(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it has texts and numbers
	}
	return b
}

// Resume gives the client what it missed of channels that it is in, each once, and tells it
// what became of that. Who is not in a channel is given nothing of it: it may not be.
// Channels come in the order of names.
func (c *Connection) Resume(names []string, of func(name string) Since) {
	if !c.begin() {
		return
	}
	defer c.done()
	trail := c.trail()
	var said resumed
	for _, name := range names {
		since := of(name)
		switch {
		case trail == nil:
			c.socket.Deliver(said.fail(name, failedChannel{Code: "continuity_unverifiable", Reason: "history_disabled"}))
		case !c.In(name):
			c.socket.Deliver(said.fail(name, failedChannel{Code: "unauthorized", Reason: "not_subscribed"}))
		default:
			c.resume(&said, trail, name, since)
		}
	}
	c.socket.Deliver(said.frame())
}

func (c *Connection) resume(said *resumed, trail *hub.Trail, name string, since Since) {
	ask, _ := c.ask(name, &since)
	ask.Rooms = []string{name}
	ask.Fits = func(frames, bytes int) bool { return c.socket.Fits(bytes + frames*loop.Cost(nil)) }
	ask.Answer = func(got hub.Recovery) {
		if no := said.add(name, &since, got); no != nil {
			c.socket.Deliver(no)
		}
	}
	if _, err := c.app.shared.Hub.Recover(c.sub, trail, &ask); err != nil {
		c.socket.Deliver(said.fail(name, failedChannel{Code: "unauthorized", Reason: "not_subscribed"}))
	}
}

// Kept returns what is kept of a channel with numbers up to upTo: so many of the newest, or
// all for -1. It is for an app that [App.Keeps] events.
func (a *App) Kept(channel string, upTo uint64, last int) (hub.Position, hub.Excerpt) {
	return a.shared.Hub.Kept(a.hubName, []hub.Span{{Room: channel, UpTo: upTo, Last: last}})
}

// encodeCached is a cached event as the client reads it. It has no place: it is told anew to
// every newcomer.
func (c *Connection) encodeCached(event *hub.Publication) []byte {
	again := *event
	again.Passing = true
	return c.encoder().Encode(&again)
}
