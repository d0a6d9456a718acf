package client

import (
	"unicode/utf8"

	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
)

// clientEvent passes a client's event on to the other subscribers of a channel
// (Pusher Channels, "Client events").
func (c *client) clientEvent(m message) {
	refuse := func(code int, text string) {
		c.count(tally.ClientEventRefused)
		c.answer(protocol.ErrorFrame(code, m.Channel, text))
	}
	conf := c.app().Conf()
	if !conf.ClientEvents {
		refuse(protocol.CodeClientEvent, "client events are not enabled for this app")
		return
	}
	k := protocol.KindOf(m.Channel)
	switch {
	case !protocol.ValidChannel(m.Channel):
		refuse(0, protocol.ErrBadChannel.Error())
		return
	case !k.Private || k.Encrypted:
		refuse(protocol.CodeClientEvent, "client events are for private and presence channels only, not for "+protocol.Shown(m.Channel))
		return
	case !c.place.In(m.Channel):
		refuse(0, "client event on channel "+m.Channel+", which this connection does not subscribe to")
		return
	case utf8.RuneCountInString(m.Event) > protocol.MaxEventName:
		refuse(protocol.CodeClientEvent, "the name of a client event is longer than 200 characters")
		return
	}
	if most := conf.ClientEventRate; !c.clientEvents.Allow(most, most.Limit, c.now()) {
		refuse(protocol.CodeClientEvent, "client events come faster than "+most.String())
		return
	}
	data := m.text()
	if len(data) > conf.MaxEventBytes {
		refuse(protocol.CodeClientEvent, protocol.TooMuchData(len(data), conf.MaxEventBytes))
		return
	}
	if err := c.server.cfg().Gate.Try(); err != nil {
		refuse(protocol.CodeClientEvent, err.Error())
		return
	}
	defer c.server.cfg().Gate.Leave()
	c.count(tally.ClientEvent)
	c.place.ClientEvent(m.Channel, m.Event, data)
}
