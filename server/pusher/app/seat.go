package app

import (
	"errors"
	"fmt"
	"net/netip"

	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/pusher/protocol"
)

// noNetwork is whose what another process has told is.
var noNetwork netip.Addr

// at is a connection in a channel, as the desk is told it. Only is left to be said.
func (c *Connection) at(channel string, k protocol.Kind, who protocol.Member) presence.Entry {
	a := c.app
	e := presence.Entry{App: a.hubName, Room: channel, Socket: c.sub.ID(), Counted: true, Cache: k.Cache}
	if k.Presence {
		e.User, e.Info, e.MaxMembers = who.ID, who.Info, a.Conf().MaxMembers
	}
	if !k.User && !a.hooks.Idle() {
		e.Told, e.Hold = true, a.shared.WebhookHold
	}
	return e
}

// enterAcross is [Connection.Enter] where other processes have to be asked. In a channel with
// members one comes after the other, so that it is known who is the first of a user here; in
// others all ask at once.
func (e *entry) enterAcross() {
	if !e.kind.Presence {
		e.ask(nil)
		return
	}
	h, name := e.c.app.shared.Hub, e.c.app.hubName
	if r := h.TryOpen(name, e.channel); r != nil {
		e.ask(r)
		return
	}
	h.Queue(name, e.channel, func(r *hub.Roster) { e.c.socket.Guard(func() { e.ask(r) }) })
}

// ask asks the desk. r is the channel's turn; nil where there is none.
func (e *entry) ask(r *hub.Roster) {
	at := e.c.at(e.channel, e.kind, e.who)
	at.Only = r != nil && !r.Here(e.who.ID)
	e.c.app.across.Desk.Enter(at, func(s presence.Seated, err error) {
		e.c.socket.Guard(func() { e.answered(r, &at, &s, err) })
	})
}

// again asks for what was to be made later.
func (e *entry) again() {
	x := e.c.app.across
	if !x.stillWaits(e) {
		return
	}
	if e.c.begin() {
		e.enterAcross()
	}
}

// answered seats the connection, in the order of the channel's events, unless the desk has an
// error. It is called once for each question.
func (e *entry) answered(r *hub.Roster, at *presence.Entry, s *presence.Seated, err error) {
	c, x := e.c, e.c.app.across
	defer c.done()
	told, back := 0, false
	func() {
		if r != nil {
			defer r.Close()
		}
		if err != nil {
			return
		}
		if told, err = e.sit(r, s); err != nil {
			x.Desk.Leave(*at)
			x.heard(nil)
			return
		}
		if back = e.late && !x.take(e); back {
			c.unsit(r, e.channel) // the client has left as it sat down
		}
	}()
	if x.heard(err) {
		e.postpone()
		return
	}
	if back || err != nil && e.late && !x.take(e) {
		return // it has been taken back, with what it cost
	}
	if err != nil {
		c.discharge(e.channel, e.kind)
		err = c.app.said(e.channel, err)
	} else if e.kind.Private {
		c.trust()
	}
	if e.late {
		c.socket.Late(e.channel, told, err)
		return
	}
	c.socket.Entered(e.channel, told, err)
}

// postpone has the entry made later. The client is told so once.
func (e *entry) postpone() {
	c, x := e.c, e.c.app.across
	if e.late {
		x.later(e.again)
		return
	}
	err := ErrAway
	switch most := c.app.Conf().MaxChannels; {
	case len(c.sub.Rooms())+x.waitingOf(c) >= most:
		err = tooManyChannels(most)
	case x.wait(e):
		x.later(e.again)
	default:
		err = ErrGone
	}
	if !errors.Is(err, ErrAway) {
		c.discharge(e.channel, e.kind)
	}
	c.socket.Entered(e.channel, 0, err)
}

func tooManyChannels(most int) error {
	return fmt.Errorf("this connection subscribes to %d channels, as many as it may", most)
}

// sit does what an entry is, once the desk has let it in.
func (e *entry) sit(r *hub.Roster, s *presence.Seated) (told int, _ error) {
	c, a, k := e.c, e.c.app, e.kind
	if c.isGone() || e.late && !a.across.stillWaits(e) {
		return 0, ErrGone
	}
	if r == nil {
		// Nobody keeps the turn of a channel without members, so it is free, or is in a moment.
		r = a.shared.Hub.Open(a.hubName, e.channel)
		defer r.Close()
	}
	e.seated = s
	if a.kept {
		a.shared.Hub.Reach(a.hubName, s.At)
	}
	_, missed, told, err := e.join(r, hub.Member{ID: e.who.ID, Info: e.who.Info})
	if errors.Is(err, hub.ErrTooManyRooms) {
		err = tooManyChannels(a.Conf().MaxChannels)
	}
	if err != nil {
		return 0, err
	}
	a.kinds[kindOf(k)].made.Add(1)
	if k.Presence {
		c.setMember(e.channel, e.who.ID)
	}
	if missed {
		a.across.tellMiss(e.channel)
	}
	if !k.Presence && !k.User {
		a.counter.changed(e.channel, s.Connections, c.cause())
	}
	return told, nil
}

// leaveAcross is [Connection.leave] where other processes have to be told.
func (c *Connection) leaveAcross(channel string, tell bool) {
	x, k := c.app.across, protocol.KindOf(channel)
	if x.drop(c, channel) {
		c.discharge(channel, k)
		c.done()
		if tell {
			c.socket.Left(channel)
		}
		return
	}
	if !k.Presence {
		c.unseat(nil, channel, tell)
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

// vacateAcross does what leaving is. r is the channel's turn; nil where there is none.
func (c *Connection) vacateAcross(r *hub.Roster, channel string) {
	if c.unsit(r, channel) {
		c.discharge(channel, protocol.KindOf(channel))
	}
}

// unsit is vacateAcross of a subscription that does not count as one any more. It reports whether
// there was one.
func (c *Connection) unsit(r *hub.Roster, channel string) bool {
	a, k := c.app, protocol.KindOf(channel)
	var who protocol.Member
	var was, last bool
	if k.Presence {
		who.ID = c.unsetMember(channel)
		was, last = r.Leave(c.sub, who.ID)
	} else {
		was = a.shared.Hub.Leave(c.sub, channel)
	}
	if !was {
		return false
	}
	a.kinds[kindOf(k)].ended.Add(1)
	at := c.at(channel, k, who)
	at.Only = last
	a.across.Desk.Leave(at)
	return true
}

// dropLate takes back what was to be entered later by a connection that is gone.
func (c *Connection) dropLate() {
	for _, channel := range c.app.across.dropAll(c) {
		c.discharge(channel, protocol.KindOf(channel))
	}
}
