package api

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"poosh/auth"
	"poosh/server/idempotency"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/protocol"
	"poosh/server/sends"
)

// What follows are idempotency keys, by Sockudo's names: the field idempotency_key of an
// event, or a header, which is for the whole request; the field wins. What a key promises
// is told in package idempotency.

var (
	errConflict = &answer.Error{Status: http.StatusConflict, Code: "conflict", Text: idempotency.ErrConflict.Error()}
	errUnderWay = &answer.Error{Status: http.StatusServiceUnavailable, Code: "backpressure", Text: idempotency.ErrUnderWay.Error(), Retry: time.Second}
)

// asAnswer is what such an error is answered with.
func asAnswer(err error) error {
	switch {
	case errors.Is(err, idempotency.ErrConflict):
		return errConflict
	case errors.Is(err, idempotency.ErrUnderWay):
		return errUnderWay
	}
	return answer.Invalid("%s", err)
}

// A keyed is what has become of an event with a key.
type keyed struct {
	key    string
	claim  *idempotency.Claim  // while it is this request that sends it
	before *idempotency.Answer // where another one did
	like   *keyed              // the event with the same key before it in the batch
	id     string              // of the event, once it is published in a batch
}

// known reports whether the event is not to be sent.
func (k *keyed) known() bool { return k != nil && (k.before != nil || k.like != nil) }

// keyedBy reads the field of an event; nil for none.
func keyedBy(v auth.Value) (*keyed, error) {
	if v.Kind() == auth.Absent || v.Kind() == auth.Null {
		return nil, nil
	}
	key, ok := protocol.TextOf(v)
	if !ok {
		return nil, wrongKind("idempotency_key", v)
	}
	if err := idempotency.Check(key); err != nil {
		return nil, asAnswer(err)
	}
	return &keyed{key: key}, nil
}

// header returns the key of the request as a whole; empty for none.
func (c *call) header() (string, error) {
	for _, name := range []string{idempotency.PusherHeader, idempotency.Header} {
		if values := c.head[name]; values != nil {
			key, err := idempotency.Of(values)
			if err != nil {
				return "", asAnswer(err)
			}
			return key, nil
		}
	}
	return "", nil
}

// content is what a key is bound to.
func (e *event) content() idempotency.Content {
	parts := [][]byte{[]byte(e.name), []byte(e.socketID), e.data}
	for _, channel := range e.channels {
		parts = append(parts, []byte(channel))
	}
	return idempotency.ContentOf(parts...)
}

// once publishes an event and answers, unless it has been published under its key.
func (c *call) once(e event) (reply, error) {
	key, err := c.header()
	if err != nil {
		return nil, err
	}
	if e.keyed != nil {
		key = e.keyed.key
	}
	if key == "" {
		if err := c.send(e); err != nil {
			return nil, err
		}
		return c.accounted(c.counts(e)), nil
	}
	if c.goesAside([]event{e}) { // before a key is taken
		return nil, errElsewhere
	}
	asked := strings.Join(e.info, ",")
	turn, err := c.app.Keys.Take(c.ctx, idempotency.Event, key, e.content(), c.aside)
	switch {
	case err != nil:
		return nil, asAnswer(err)
	case turn.Elsewhere:
		return nil, errElsewhere
	case turn.Answer != nil:
		was := turn.Answer
		c.repeats(was)
		body := was.Body
		if was.Asked != asked || body == nil {
			body = c.counts(e)
		}
		if !c.asksWhy() {
			return c.accounted(body), nil
		}
		return whole(beside(sends.Replayed(was.Account, was.At, was.ID, e.name), body)), nil
	}
	defer c.giveBack(turn.Claim)
	if err := c.send(e); err != nil {
		return nil, err
	}
	return c.settled(turn.Claim, asked, c.counts(e)), nil
}

// giveBack releases the claim of a request that was not published to its last channel. Where
// it was, and a panic is on its way before there is an answer, a repetition sends nothing and
// is told what can be told.
func (c *call) giveBack(claim *idempotency.Claim) {
	if c.out {
		claim.Settle(idempotency.Answer{ID: c.id})
		return
	}
	claim.Release()
}

// repeats says that nothing is sent, since there was an answer.
func (c *call) repeats(was *idempotency.Answer) {
	c.id = was.ID
	c.repeated()
}

func (c *call) repeated() { c.w.Header()[idempotency.Replayed] = []string{"true"} }

// settled is [call.accounted], and what the next request with the key is answered.
func (c *call) settled(claim *idempotency.Claim, asked string, body []byte) reply {
	account := c.accountText()
	claim.Settle(idempotency.Answer{ID: c.id, Asked: asked, Body: body, Account: account})
	return c.told(account, body)
}
