package app

import (
	"errors"
	"fmt"
	"strconv"

	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/presence"
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

// crowd is from how many members on a newcomer is told of them on a goroutine of its
// own: writing down a crowd takes longer than who reads for others has.
const crowd = 256

// An entry is a subscription that is being decided.
type entry struct {
	c       *Connection
	channel string
	kind    protocol.Kind
	who     protocol.Member // nobody but in a presence channel
	since   Since

	seated *presence.Seated // what the desk has told; nil in one process alone
	late   bool             // it waits, or has waited, until other processes can be asked
	sits   bool             // and is being made now; across.mu guards it
}

// Enter subscribes the connection to a channel that it may be in and is not in yet. who
// is a member in a presence channel, and nobody in others. Of what is kept, the client is
// given what since asks for. [Socket.Entered] is the
// answer; it may come before Enter returns, which waits for nobody.
//
// The confirmation, a cached event, the news of the member and what webhooks are told
// are one step for the channel.
func (c *Connection) Enter(channel string, who protocol.Member, since Since) {
	e := entry{c: c, channel: channel, kind: protocol.KindOf(channel), who: who, since: since}
	if !c.begin() {
		c.socket.Entered(channel, 0, ErrGone)
		return
	}
	if !c.charge(channel, e.kind) {
		defer c.done()
		c.socket.Entered(channel, 0, errFull)
		return
	}
	shared := c.app.shared
	if c.app.across != nil {
		asks := e // on the heap, as below
		asks.enterAcross()
		return
	}
	r := shared.Hub.TryOpen(c.app.hubName, channel)
	long := r != nil && e.long(r)
	if r != nil && !long {
		e.decide(r)
		return
	}
	later := e // on the heap, where what is decided at once does not go
	if r == nil {
		shared.Hub.Queue(c.app.hubName, channel, later.run)
		return
	}
	go later.run(r) // ends with the entry
}

// long reports whether deciding takes long.
func (e *entry) long(r *hub.Roster) bool { return e.kind.Presence && r.Len() > crowd }

// run decides with the channel open.
func (e *entry) run(r *hub.Roster) {
	e.c.socket.Guard(func() { e.decide(r) })
}

// decide seats the connection, and answers.
func (e *entry) decide(r *hub.Roster) {
	c := e.c
	defer c.done()
	told, err := e.seat(r)
	if err != nil {
		c.discharge(e.channel, e.kind)
	} else if e.kind.Private {
		c.trust()
	}
	c.socket.Entered(e.channel, told, err)
}

// seat does what an entry is, and closes the channel. told is what the client is told of its
// subscription, in bytes of [loop.Cost].
func (e *entry) seat(r *hub.Roster) (told int, _ error) {
	defer r.Close()
	c, a, channel, k, who := e.c, e.c.app, e.channel, e.kind, e.who
	if c.isGone() {
		return 0, ErrGone
	}
	if k.Presence && !r.Has(who.ID) && r.Len() >= a.Conf().MaxMembers {
		return 0, fmt.Errorf("channel %s has %d members, as many as it may have", channel, r.Len())
	}
	member := hub.Member{ID: who.ID, Info: who.Info}
	first, missed, told, err := e.join(r, member)
	if err != nil {
		if errors.Is(err, hub.ErrTooManyRooms) {
			err = tooManyChannels(a.Conf().MaxChannels)
		}
		return 0, err
	}
	a.kinds[kindOf(k)].made.Add(1)
	if k.Presence {
		c.setMember(channel, who.ID)
	}
	if k.User {
		return told, nil // nobody else's business
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
	return told, nil
}

// join seats the connection and tells it so. missed says that a cache channel was empty.
func (e *entry) join(r *hub.Roster, member hub.Member) (first, missed bool, told int, err error) {
	data := protocol.EmptyObject
	if e.kind.Presence {
		data = presenceData(r, member)
	}
	if t := e.c.trail(); t != nil {
		kept := *e // e of who may not resume stays off the heap
		return kept.joinKept(r, t, member, data)
	}
	var welcome [2][]byte
	greet := append(welcome[:0], e.c.own(protocol.EventFrame("pusher_internal:subscription_succeeded", e.channel, data)))
	if e.kind.Cache {
		var frame []byte
		frame, missed = e.cached()
		greet = append(greet, frame)
	}
	if e.since.Resume {
		e.c.app.recovered(hub.Recovery{})
		no := notKept(e.channel)
		greet = append(greet, no[:]...)
	}
	first, err = r.Join(e.c.sub, member, greet...)
	for _, frame := range greet {
		told += loop.Cost(frame)
	}
	return first, missed, told, err
}

// cached is what a newcomer to a cache channel is told, and whether that is that there is
// no event.
func (e *entry) cached() (frame []byte, missed bool) {
	last, _ := e.c.app.cache.get(e.channel)
	if e.seated != nil {
		last = e.seated.Cached
	}
	if last != nil {
		if frame = e.c.encodeCached(last); frame != nil {
			return frame, false
		}
	}
	return e.c.own(protocol.EventFrame("pusher:cache_miss", e.channel, "{}")), last == nil
}

// Leave ends a subscription, if there is one, in one step for the channel.
// [Socket.Left] is the answer, as that to Enter.
func (c *Connection) Leave(channel string) {
	if !c.begin() {
		c.socket.Left(channel) // it leaves everything
		return
	}
	c.leave(channel, true)
}

// leave ends a subscription, and tells who asked for that. It is one of what is under
// way.
func (c *Connection) leave(channel string, tell bool) {
	if c.app.across != nil {
		c.leaveAcross(channel, tell)
		return
	}
	h, name := c.app.shared.Hub, c.app.hubName
	if r := h.TryOpen(name, channel); r != nil {
		c.unseat(r, channel, tell)
		return
	}
	h.Queue(name, channel, func(r *hub.Roster) {
		c.socket.Guard(func() { c.unseat(r, channel, tell) })
	})
}

func (c *Connection) unseat(r *hub.Roster, channel string, tell bool) {
	defer c.done()
	c.vacate(r, channel)
	if tell {
		if t := c.trail(); t != nil {
			t.Forget(channel)
		}
		c.socket.Left(channel)
	}
}

// vacate does what leaving is, and closes the channel.
func (c *Connection) vacate(r *hub.Roster, channel string) {
	if r != nil {
		defer r.Close()
	}
	if c.app.across != nil {
		c.vacateAcross(r, channel)
		return
	}
	a, k := c.app, protocol.KindOf(channel)
	var id string
	if k.Presence {
		id = c.unsetMember(channel)
	}
	was, last := r.Leave(c.sub, id)
	if !was {
		return
	}
	a.kinds[kindOf(k)].ended.Add(1)
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
