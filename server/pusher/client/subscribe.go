package client

import (
	"errors"
	"fmt"
	"net/http"

	"poosh/auth"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
	"poosh/server/websocket"
)

// Types of what is sent with a refused subscription, which pusher-js hands to the
// channel's own listeners. The first two are soketi's.
const (
	refusedAuth  = "AuthError"
	refusedLimit = "LimitReached"
	refusedName  = "InvalidChannel"
	refusedAway  = "ServiceUnavailable" // for now
)

// refuse tells the client that a subscription is not made. The connection stays. A
// kind tells the channel's listeners too: empty for none, when the client is
// subscribed already or named no channel.
func (c *client) refuse(channel string, code int, kind, text string) {
	c.count(tally.SubscribeRefused)
	c.err(code, text)
	if kind != "" {
		c.answer(protocol.RefusalFrame(channel, kind, text, http.StatusUnauthorized))
	}
}

// await tells the channel's listeners that the subscription is made later. pusher-js, of all
// versions, hands them the event and waits on: for it the channel is subscribed to when it is
// confirmed.
func (c *client) await(channel string, why error) {
	c.answer(protocol.RefusalFrame(channel, refusedAway, why.Error(), http.StatusServiceUnavailable))
}

// A subscription is what a client asks for with pusher:subscribe.
type subscription struct {
	channel, auth string
	data          *string // channel_data; nil for none

	resume, rewind auth.Value // in Sockudo's version
}

var subscribeNames = []string{"channel", "auth", "channel_data", "resume", "rewind"}

func parseSubscribe(m message) (s subscription, err error) {
	var values [5]auth.Value
	if err := m.pick(subscribeNames, values[:]); err != nil {
		return s, err
	}
	var ok [3]bool
	s.channel, ok[0] = protocol.TextOf(values[0])
	s.auth, ok[1] = protocol.TextOf(values[1])
	data, is := protocol.TextOf(values[2])
	if ok[2] = is; values[2].Kind() == auth.String {
		s.data = &data
	}
	s.resume, s.rewind = values[3], values[4]
	if ok != [3]bool{true, true, true} {
		return s, errNoData
	}
	return s, nil
}

// subscribe lets the client into a channel (Pusher Channels protocol,
// "Subscription Events").
func (c *client) subscribe(m message) {
	want, err := parseSubscribe(m)
	if err != nil {
		c.refuse("", 0, "", "pusher:subscribe: "+err.Error()+" with a channel")
		return
	}
	channel, k := want.channel, protocol.KindOf(want.channel)
	// A page subscribes to all its channels as it opens.
	conf := c.app().Conf()
	if !c.subscribes.Allow(conf.SubscribeRate, max(conf.SubscribeRate.Limit, conf.MaxChannels), c.now()) {
		c.refuse(channel, protocol.CodeFull, refusedLimit, "subscriptions come faster than "+conf.SubscribeRate.String())
		return
	}
	if !protocol.ValidChannel(channel) {
		kind := refusedName
		switch {
		case channel == "":
			kind = ""
		case len(channel) > protocol.MaxChannelName:
			kind = refusedLimit
		}
		c.refuse(channel, 0, kind, "Invalid channel name "+protocol.Shown(channel)+": "+protocol.ChannelRule)
		return
	}
	if c.place.Asked(channel) {
		c.refuse("", 0, "", "Existing subscription to channel "+channel)
		return
	}
	since, err := c.since(&want)
	if err != nil {
		c.refuse("", codeBadSince, "", err.Error())
		return
	}
	var who protocol.Member
	switch {
	case k.User:
		if !c.place.IsUser(channel[len(protocol.UserChannel):]) {
			c.refuse(channel, protocol.CodeUnauthorized, refusedAuth, "only a connection signed in as that user may subscribe to "+protocol.Shown(channel))
			return
		}
	case k.Private:
		check := func(secret string) error {
			return auth.PusherChannel(conf.Key, secret, c.place.ID(), channel, want.data, want.auth)
		}
		if err := c.signed(conf, check); err != nil {
			c.refuse(channel, protocol.CodeUnauthorized, refusedAuth, err.Error())
			return
		}
	}
	if k.Presence {
		if who, err = c.member(want.data); err != nil {
			c.refuse(channel, protocol.CodeUnauthorized, refusedAuth, err.Error())
			return
		}
		if len(who.Info) > conf.MaxUserInfoBytes {
			c.refuse(channel, protocol.CodeUnauthorized, refusedLimit, fmt.Sprintf("user_info of %d bytes exceeds the allowed maximum (%d bytes)",
				len(who.Info), conf.MaxUserInfoBytes))
			return
		}
	}
	c.line.Begin()
	c.place.Enter(channel, who, since)
}

// Entered answers a subscription that was allowed; see [app.Socket]. What was said behind
// it waits while as much is to be written as may wait for a client that asks: a page asks
// for all its channels in one go, and the answers may be many times what an outbox holds.
func (c *client) Entered(channel string, told int, err error) {
	switch {
	case err == nil:
		c.count(tally.Subscribe)
		c.conn.Owe(told)
	case errors.Is(err, app.ErrAway):
		c.await(channel, err)
	case !errors.Is(err, app.ErrGone):
		c.refuse(channel, protocol.CodeFull, refusedLimit, err.Error())
	}
	c.answered()
}

// Late tells of a subscription that could not be made at once; see [app.Socket].
func (c *client) Late(channel string, told int, err error) {
	switch {
	case err == nil:
		c.count(tally.Subscribe)
		c.conn.Owe(told)
	case !errors.Is(err, app.ErrGone):
		c.refuse(channel, protocol.CodeFull, refusedLimit, err.Error())
	}
}

// answered goes on behind a command once enough of its answer has been written.
func (c *client) answered() {
	c.mu.Lock()
	c.full = true
	c.mu.Unlock()
	c.Settled(c.conn)
}

// Settled goes on behind a subscription, once enough has been written; see
// [websocket.Settler].
func (c *client) Settled(conn *websocket.Conn) {
	c.mu.Lock()
	over := c.full && !conn.Deaf()
	c.full = c.full && !over
	c.mu.Unlock()
	if over {
		c.line.End(c)
	}
}

var errNobody = errors.New("a presence channel needs channel_data, or a signed-in user")

// member is who the client is in a presence channel: what it says, signed, or else
// who it signed in as, which pusher-js relies on since 7.4.
func (c *client) member(channelData *string) (protocol.Member, error) {
	if channelData != nil {
		return protocol.ParseMember(*channelData)
	}
	user := c.place.User()
	if user == nil {
		return protocol.Member{}, errNobody
	}
	return user.Member, nil
}

// unsubscribe takes the client out of a channel.
func (c *client) unsubscribe(m message) {
	want, err := parseSubscribe(m)
	if err != nil {
		c.reject(tally.UnsubscribeRefused, 0, "pusher:unsubscribe: "+err.Error()+" with a channel")
		return
	}
	if !c.place.Asked(want.channel) {
		c.reject(tally.UnsubscribeRefused, 0, "No current subscription to channel "+protocol.Shown(want.channel))
		return
	}
	c.line.Begin()
	c.place.Leave(want.channel)
}

// Left answers the end of a subscription; see [app.Socket].
func (c *client) Left(string) { c.line.End(c) }
