package api

import (
	"encoding/json"
	"slices"

	"poosh/server/hub"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/protocol"
	"poosh/server/sends"
)

// asksWhy reports whether the sender wants to know what becomes of its events. The
// parameter is signed like the others of the query.
func (c *call) asksWhy() bool {
	value, _ := c.query.Get("explain")
	return sends.Asked(value)
}

// account begins the account of an event; nil where nobody asks for one.
func (c *call) account(place int, event string) *sends.Account {
	if !c.asksWhy() {
		return nil
	}
	a := sends.Explain(c.eventID(place), event)
	c.accounts = append(c.accounts, a)
	return a
}

// accounted adds to an answer, an object or nil for an empty one, what became of the
// events, where the sender asked for that.
func (c *call) accounted(body []byte) reply { return c.told(c.accountText(), body) }

// told is accounted with what became of the events, an object or nil.
func (c *call) told(account, body []byte) reply {
	switch {
	case account != nil:
		return whole(beside(account, body))
	case body == nil:
		return empty
	}
	return whole(body)
}

// beside joins two objects, of which the second may be nil.
func beside(account, body []byte) []byte {
	if body == nil {
		return account
	}
	return slices.Concat(account[:len(account)-1], []byte(","), body[1:])
}

// accountText is what became of the events, an object; nil where the sender does not ask.
func (c *call) accountText() []byte {
	if len(c.accounts) == 0 {
		return nil
	}
	var told any = c.accounts[0]
	if c.batch {
		told = struct {
			ID     string           `json:"id"`
			Events []*sends.Account `json:"events"`
		}{c.id, c.accounts}
	}
	text, err := json.Marshal(told)
	if err != nil {
		panic("pusher: " + err.Error()) // of our own types
	}
	return text
}

// named adds the cause to the refusal of an event for its name, where the sender asked
// for that.
func (c *call) named(r *eventRequest, err error) error {
	if err == nil || !protocol.Reserved(r.name) || !c.asksWhy() {
		return err
	}
	e := *answer.As(err)
	e.Cause = hub.RefusedName
	return &e
}
