package pusher

import (
	"errors"
	"fmt"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/peers"
)

// Types of what is sent with a refused subscription, which pusher-js hands to the
// channel's own listeners. The first two are soketi's.
const (
	refusedAuth  = "AuthError"
	refusedLimit = "LimitReached"
	refusedName  = "InvalidChannel"
)

// refuse tells the client that a subscription is not made. The connection stays. A
// kind tells the channel's listeners too: empty for none, when the client is
// subscribed already or named no channel.
func (c *client) refuse(channel string, code int, kind, text string) {
	c.d.counts.add("subscribe refused", 1)
	c.err(code, text)
	if kind != "" {
		c.conn.Push(refusalFrame(channel, kind, text))
	}
}

// A subscription is what a client asks for with pusher:subscribe.
type subscription struct {
	channel, auth string
	data          *string // channel_data; nil for none
}

var subscribeNames = []string{"channel", "auth", "channel_data"}

func parseSubscribe(m message) (s subscription, err error) {
	var values [3]auth.Value
	if err := m.pick(subscribeNames, values[:]); err != nil {
		return s, err
	}
	var ok [3]bool
	s.channel, ok[0] = textOf(values[0])
	s.auth, ok[1] = textOf(values[1])
	data, is := textOf(values[2])
	if ok[2] = is; values[2].Kind() == auth.String {
		s.data = &data
	}
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
	channel, k := want.channel, kindOf(want.channel)
	// A page subscribes to all its channels as it opens.
	conf := &c.app.conf
	if !c.subscribes.allow(conf.SubscribeRate, max(conf.SubscribeRate.Limit, conf.MaxChannels), c.d.now()) {
		c.refuse(channel, codeFull, refusedLimit, "subscriptions come faster than "+conf.SubscribeRate.String())
		return
	}
	if !validChannel(channel) {
		kind := refusedName
		switch {
		case channel == "":
			kind = ""
		case len(channel) > maxChannelName:
			kind = refusedLimit
		}
		c.refuse(channel, 0, kind, "Invalid channel name "+shown(channel)+": "+channelRule)
		return
	}
	if c.sub.In(channel) {
		c.refuse("", 0, "", "Existing subscription to channel "+channel)
		return
	}
	var who memberInfo
	switch {
	case k.user:
		if !c.isUser(channel[len(userChannel):]) {
			c.refuse(channel, codeUnauthorized, refusedAuth, "only a connection signed in as that user may subscribe to "+shown(channel))
			return
		}
	case k.private:
		if err := auth.PusherChannel(c.app.conf.Key, c.app.conf.Secret, c.socketID, channel, want.data, want.auth); err != nil {
			c.refuse(channel, codeUnauthorized, refusedAuth, err.Error())
			return
		}
	}
	if k.presence {
		if who, err = c.member(want.data); err != nil {
			c.refuse(channel, codeUnauthorized, refusedAuth, err.Error())
			return
		}
		if len(who.info) > c.app.conf.MaxUserInfoBytes {
			c.refuse(channel, codeUnauthorized, refusedLimit, fmt.Sprintf("user_info of %d bytes exceeds the allowed maximum (%d bytes)",
				len(who.info), c.app.conf.MaxUserInfoBytes))
			return
		}
	}
	if !c.charge(channel, k) {
		c.refuse(channel, codeFull, refusedLimit, "the channels of all clients take as much as they may, try again later")
		return
	}
	if err := c.enter(channel, k, who); err != nil {
		c.discharge(channel, k)
		c.refuse(channel, codeFull, refusedLimit, err.Error())
		return
	}
	if k.private {
		c.trust()
	}
	c.d.counts.add("subscribe", 1)
}

// channelCost is about what a subscription takes beside the channel's name, in bytes,
// when nobody else is in the channel: measured.
const channelCost = 2500

// charge counts what a subscription costs, and reports false when there is no room for
// it. What an app has signed does not count: strangers cannot ask for it.
func (c *client) charge(channel string, k kind) bool {
	q := c.d.cfg.Channels
	return q == nil || k.private || k.user || q.Take(peers.Of(c.conn.RemoteAddr()), 0, channelCost+len(channel))
}

// discharge gives back what charge took.
func (c *client) discharge(channel string, k kind) {
	if q := c.d.cfg.Channels; q != nil && !k.private && !k.user {
		q.Give(peers.Of(c.conn.RemoteAddr()), channelCost+len(channel))
	}
}

var errNobody = errors.New("a presence channel needs channel_data, or a signed-in user")

// member is who the client is in a presence channel: what it says, signed, or else
// who it signed in as, which pusher-js relies on since 7.4.
func (c *client) member(channelData *string) (memberInfo, error) {
	if channelData != nil {
		return parseMember(*channelData)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.user == nil {
		return memberInfo{}, errNobody
	}
	return c.user.memberInfo, nil
}

// enter makes a subscription. The confirmation, a cached event, the news of the
// member and what webhooks are told are one step for the channel.
func (c *client) enter(channel string, k kind, who memberInfo) error {
	a := c.app
	r := c.d.hub.Open(a.hubName, channel)
	defer r.Close()
	if k.presence && !r.Has(who.id) && r.Len() >= a.conf.MaxMembers {
		return fmt.Errorf("channel %s has %d members, as many as it may have", channel, r.Len())
	}
	member := hub.Member{ID: who.id, Info: who.info}
	var welcome [2][]byte
	greet := welcome[:0]
	if k.presence {
		greet = append(greet, plainFrame("pusher_internal:subscription_succeeded", channel, presenceData(r, member)))
	} else {
		greet = append(greet, plainFrame("pusher_internal:subscription_succeeded", channel, "{}"))
	}
	missed := false
	if k.cache {
		if last, _ := a.cache.get(channel); last != nil {
			greet = append(greet, Encoder.Encode(last))
		} else {
			missed = true
			greet = append(greet, plainFrame("pusher:cache_miss", channel, "{}"))
		}
	}
	first, err := r.Join(c.sub, member, greet...)
	if err != nil {
		if errors.Is(err, hub.ErrTooManyRooms) {
			err = fmt.Errorf("this connection subscribes to %d channels, as many as it may", a.conf.MaxChannels)
		}
		return err
	}
	if k.presence {
		c.mu.Lock()
		if c.membership == nil {
			c.membership = make(map[string]string)
		}
		c.membership[channel] = who.id
		c.mu.Unlock()
	}
	if k.user {
		return nil // nobody else's business
	}
	if r.Connections() == 1 {
		a.hooks.occupied(channel, c.network())
	}
	if first {
		a.announce(channel, "pusher_internal:member_added", memberData(who.id, who.info), c.sub.ID())
		a.hooks.memberAdded(channel, who.id, c.network())
	}
	if missed && a.cache.missed(channel) {
		a.hooks.cacheMiss(channel, c.network())
	}
	if !k.presence {
		a.counter.changed(channel, r.Connections(), c.network())
	}
	return nil
}

// unsubscribe takes the client out of a channel.
func (c *client) unsubscribe(m message) {
	want, err := parseSubscribe(m)
	if err != nil {
		c.reject("unsubscribe refused", 0, "pusher:unsubscribe: "+err.Error()+" with a channel")
		return
	}
	if !c.sub.In(want.channel) {
		c.reject("unsubscribe refused", 0, "No current subscription to channel "+shown(want.channel))
		return
	}
	c.leave(want.channel)
}

// leave ends a subscription that there is, in one step for the channel.
func (c *client) leave(channel string) {
	a, k := c.app, kindOf(channel)
	r := c.d.hub.Open(a.hubName, channel)
	defer r.Close()
	var id string
	if k.presence {
		c.mu.Lock()
		id = c.membership[channel]
		delete(c.membership, channel)
		c.mu.Unlock()
	}
	was, last := r.Leave(c.sub, id)
	if !was {
		return
	}
	c.discharge(channel, k)
	if k.user {
		return
	}
	if last {
		a.announce(channel, "pusher_internal:member_removed", memberData(id, nil), "")
		a.hooks.memberRemoved(channel, id, c.network())
	}
	if r.Connections() == 0 {
		a.hooks.vacated(channel, c.network())
		return
	}
	if !k.presence {
		a.counter.changed(channel, r.Connections(), c.network())
	}
}
