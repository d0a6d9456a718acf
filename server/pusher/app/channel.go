package app

import (
	"errors"
	"fmt"
	"strconv"

	"poosh/server/hub"
	"poosh/server/pusher/protocol"
)

// channelCost is about what a subscription takes beside the channel's name, in bytes,
// when nobody else is in the channel: measured.
const channelCost = 2500

// charge counts what a subscription costs, and reports false when there is no room for
// it. What an app has signed does not count: strangers cannot ask for it.
func (c *Connection) charge(channel string, k protocol.Kind) bool {
	q := c.app.shared.Channels
	return q == nil || k.Private || k.User || q.Take(c.network(), 0, channelCost+len(channel))
}

// discharge gives back what charge took.
func (c *Connection) discharge(channel string, k protocol.Kind) {
	if q := c.app.shared.Channels; q != nil && !k.Private && !k.User {
		q.Give(c.network(), channelCost+len(channel))
	}
}

var errFull = errors.New("the channels of all clients take as much as they may, try again later")

// Enter subscribes the connection to a channel that it may be in and is not in yet. who
// is a member in a presence channel, and nobody in others. The error is for the client.
//
// The confirmation, a cached event, the news of the member and what webhooks are told
// are one step for the channel.
func (c *Connection) Enter(channel string, who protocol.Member) error {
	k := protocol.KindOf(channel)
	if !c.charge(channel, k) {
		return errFull
	}
	if err := c.enter(channel, k, who); err != nil {
		c.discharge(channel, k)
		return err
	}
	if k.Private {
		c.trust()
	}
	return nil
}

func (c *Connection) enter(channel string, k protocol.Kind, who protocol.Member) error {
	a := c.app
	r := a.shared.Hub.Open(a.hubName, channel)
	defer r.Close()
	if k.Presence && !r.Has(who.ID) && r.Len() >= a.Conf.MaxMembers {
		return fmt.Errorf("channel %s has %d members, as many as it may have", channel, r.Len())
	}
	member := hub.Member{ID: who.ID, Info: who.Info}
	var welcome [2][]byte
	greet := welcome[:0]
	if k.Presence {
		greet = append(greet, protocol.EventFrame("pusher_internal:subscription_succeeded", channel, presenceData(r, member)))
	} else {
		greet = append(greet, protocol.EventFrame("pusher_internal:subscription_succeeded", channel, "{}"))
	}
	missed := false
	if k.Cache {
		if last, _ := a.cache.get(channel); last != nil {
			greet = append(greet, protocol.Encoder.Encode(last))
		} else {
			missed = true
			greet = append(greet, protocol.EventFrame("pusher:cache_miss", channel, "{}"))
		}
	}
	first, err := r.Join(c.sub, member, greet...)
	if err != nil {
		if errors.Is(err, hub.ErrTooManyRooms) {
			err = fmt.Errorf("this connection subscribes to %d channels, as many as it may", a.Conf.MaxChannels)
		}
		return err
	}
	if k.Presence {
		c.setMember(channel, who.ID)
	}
	if k.User {
		return nil // nobody else's business
	}
	if r.Connections() == 1 {
		a.hooks.Occupied(channel, c.cause())
	}
	if first {
		a.announce(channel, "pusher_internal:member_added", memberData(who.ID, who.Info), c.sub.ID())
		a.hooks.MemberAdded(channel, who.ID, c.cause())
	}
	if missed && a.cache.missed(channel) {
		a.hooks.CacheMiss(channel, c.cause())
	}
	if !k.Presence {
		a.counter.changed(channel, r.Connections(), c.cause())
	}
	return nil
}

// Leave ends a subscription, if there is one, in one step for the channel.
func (c *Connection) Leave(channel string) {
	a, k := c.app, protocol.KindOf(channel)
	r := a.shared.Hub.Open(a.hubName, channel)
	defer r.Close()
	var id string
	if k.Presence {
		id = c.unsetMember(channel)
	}
	was, last := r.Leave(c.sub, id)
	if !was {
		return
	}
	c.discharge(channel, k)
	if k.User {
		return
	}
	if last {
		a.announce(channel, "pusher_internal:member_removed", memberData(id, nil), "")
		a.hooks.MemberRemoved(channel, id, c.cause())
	}
	if r.Connections() == 0 {
		a.hooks.Vacated(channel, c.cause())
		return
	}
	if !k.Presence {
		a.counter.changed(channel, r.Connections(), c.cause())
	}
}

// presenceData is the data of a confirmed subscription to a presence channel: all
// users in it, and the newcomer, who is about to join.
func presenceData(r *hub.Roster, newcomer hub.Member) []byte {
	ids, hash := []byte(nil), []byte(nil)
	add := func(m hub.Member) bool {
		if len(ids) > 0 {
			ids, hash = append(ids, ','), append(hash, ',')
		}
		ids = protocol.AppendString(ids, m.ID)
		hash = append(protocol.AppendString(hash, m.ID), ':')
		hash = append(hash, m.Info...)
		return true
	}
	count := r.Len()
	r.Members(add)
	if !r.Has(newcomer.ID) {
		add(newcomer)
		count++
	}
	b := make([]byte, 0, len(ids)+len(hash)+64)
	b = append(b, `{"presence":{"ids":[`...)
	b = append(b, ids...)
	b = append(b, `],"hash":{`...)
	b = append(b, hash...)
	b = append(b, `},"count":`...)
	b = strconv.AppendInt(b, int64(count), 10)
	return append(b, "}}"...)
}

// memberData is the data of member_added, and of member_removed with no info.
func memberData(id string, info []byte) []byte {
	b := protocol.AppendString([]byte(`{"user_id":`), id)
	if info != nil {
		b = append(append(b, `,"user_info":`...), info...)
	}
	return append(b, '}')
}
