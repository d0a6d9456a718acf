package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
)

// resumeEvent is what a client of Sockudo's version resumes with, by our name.
const resumeEvent = "pusher:resume"

// Codes of what is wrong with what a client asks for of what is kept (Sockudo, "Error codes").
const (
	codeBadSince    = 4000
	codeNoHistory   = 4301
	codeNoPositions = 4302
)

// since is what a subscription asks for of what is kept: with rewind, as Sockudo has it, or
// with resume, a position, so that nothing newer comes before what was missed. Nobody else
// is understood to ask for anything.
func (c *client) since(want *subscription) (s app.Since, err error) {
	if c.version != protocol.SockudoVersion {
		return s, nil
	}
	if asked(want.resume) {
		return readPosition(want.resume.Bytes()), nil
	}
	if !asked(want.rewind) {
		return s, nil
	}
	if !c.app().Keeps() {
		return s, errors.New("rewind: nothing is kept for this app")
	}
	return readRewind(want.rewind)
}

func asked(v auth.Value) bool { return v.Kind() != auth.Absent && v.Kind() != auth.Null }

//lint:ignore ST1005 these are Sockudo's words, which go to its client
var errBadRewind = errors.New(`Invalid rewind option in subscription data: want a number of events, or {"count": n} or {"seconds": n}`)

// readRewind reads how far back a client wants to go.
func readRewind(v auth.Value) (app.Since, error) {
	var fields struct {
		Count    *float64 `json:"count"`
		Seconds  *float64 `json:"seconds"`
		Duration *float64 `json:"duration_seconds"`
	}
	n := new(float64)
	text := v.Bytes()
	if v.Kind() == auth.String {
		inside, _ := protocol.TextOf(v)
		text = []byte(inside)
	}
	switch v.Kind() {
	case auth.Object:
		if json.Unmarshal(text, &fields) != nil {
			return app.Since{}, errBadRewind
		}
		n = fields.Count
	default:
		if json.Unmarshal(text, n) != nil {
			return app.Since{}, errBadRewind
		}
	}
	if n != nil {
		if !(*n >= 1 && *n == math.Trunc(*n)) {
			return app.Since{}, errBadRewind
		}
		return app.Since{Rewind: true, Count: int(min(*n, math.MaxInt32))}, nil
	}
	if n = fields.Seconds; n == nil {
		n = fields.Duration
	}
	if n == nil || !(*n > 0) {
		return app.Since{}, errBadRewind
	}
	return app.Since{Rewind: true, Within: time.Duration(min(*n, 1e9) * float64(time.Second))}, nil
}

// maxFormerly is how many socket ids a position names at the most: the last of them count.
const maxFormerly = 20

// formerly are socket ids in JSON: one, or a list.
type formerly []string

// UnmarshalJSON implements [json.Unmarshaler].
func (f *formerly) UnmarshalJSON(text []byte) error {
	var one string
	if err := json.Unmarshal(text, &one); err == nil {
		*f = formerly{one}
		return nil
	}
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	*f = list[max(0, len(list)-maxFormerly):]
	return nil
}

// readPosition reads where a client was. What is no position is one of no log.
func readPosition(text []byte) app.Since {
	var at struct {
		StreamID string   `json:"stream_id"`
		Serial   uint64   `json:"serial"`
		SocketID formerly `json:"socket_id"` // that it had then and since; ours
	}
	s := app.Since{Resume: true, After: app.NoPosition}
	if json.Unmarshal(text, &at) != nil {
		return s
	}
	s.Formerly = at.SocketID
	if epoch, ok := protocol.ParseStreamID(at.StreamID); ok {
		s.After = hub.Position{Epoch: epoch, Number: at.Serial}
	}
	return s
}

var resumeNames = []string{"channel_positions"}

// readPositions reads where a client was in channels, by name; none for what says no such thing.
// It fails for data that is no object.
func readPositions(m message) (positions map[string]json.RawMessage, err error) {
	var values [1]auth.Value
	if err := m.pick(resumeNames, values[:]); err != nil {
		return nil, err
	}
	if values[0].Kind() == auth.Object && json.Unmarshal(values[0].Bytes(), &positions) != nil {
		return nil, nil
	}
	return positions, nil
}

// resume gives a client what it missed of channels that it has subscribed to (Sockudo,
// "Connection recovery"). Sockudo gives it to anybody; here nobody is given what it may not
// subscribe to.
func (c *client) resume(m message) {
	if c.version != protocol.SockudoVersion {
		c.unknown(m)
		return
	}
	positions, err := readPositions(m)
	if err != nil {
		c.reject(tally.MessageRefused, codeBadSince, "sockudo:resume: "+err.Error()+" with channel_positions")
		return
	}
	if len(positions) == 0 {
		c.reject(tally.MessageRefused, codeNoPositions, "sockudo:resume: no channel_positions")
		return
	}
	if !c.app().Keeps() {
		c.reject(tally.MessageRefused, codeNoHistory, "sockudo:resume: nothing is kept for this app")
		return
	}
	if most := c.app().Conf().MaxChannels; len(positions) > most {
		c.reject(tally.MessageRefused, protocol.CodeFull, fmt.Sprintf("sockudo:resume: more than %d channels", most))
		return
	}
	names := make([]string, 0, len(positions))
	for name := range positions {
		names = append(names, name)
	}
	slices.Sort(names)
	c.line.Begin()
	of := func(name string) app.Since { return readPosition(positions[name]) }
	resume := func() {
		c.conn.Owe(c.place.Resume(names, of))
		c.answered()
	}
	if !c.place.Await(names, of, func() { c.Guard(resume) }) {
		resume()
	}
}
