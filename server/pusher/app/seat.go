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
	away, told := x.heard(err), 0
	func() {
		if r != nil {
			defer r.Close()
		}
		if err == nil {
			told, err = e.trySit(r, at, s)
		}
	}()
	if away {
		e.postpone()
		return
	}
	if e.late && !x.drop(e) {
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
		x.waitOn(e)
		return
	}
	err := ErrAway
	switch most := c.app.Conf().MaxChannels; {
	case len(c.sub.Rooms())+x.waitingOf(c) >= most:
		err = tooManyChannels(most)
	case !x.wait(e):
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

// trySit is sit, and gives the place at the desk back where that fails.
func (e *entry) trySit(r *hub.Roster, at *presence.Entry, s *presence.Seated) (told int, err error) {
	c, x, returned := e.c, e.c.app.across, false
	defer func() {
		if returned {
			return
		}
		// A panic ends the connection, which leaves what it is in.
		if x.drop(e); !c.sub.In(e.channel) {
			c.discharge(e.channel, e.kind)
			x.Desk.Leave(*at)
		}
	}()
	if told, err = e.sit(r, s); err != nil {
		x.Desk.Leave(*at)
	}
	returned = true
	return told, err
}

// sit does what an entry is, once the desk has let it in.
func (e *entry) sit(r *hub.Roster, s *presence.Seated) (told int, _ error) {
	c, a, k := e.c, e.c.app, e.kind
	if r == nil {
		// Nobody keeps the turn of a channel without members, so it is free, or is in a moment.
		r = a.shared.Hub.Open(a.hubName, e.channel)
		defer r.Close()
	}
	if c.isGone() || e.late && !a.across.sits(e) {
		return 0, ErrGone
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
	switch {
	case missed:
		a.across.tellMiss(e.channel)
	case s.Cached != nil: // who published that may not have known of any emptiness
		a.across.tellFilled(e.channel)
	}
	if !k.Presence && !k.User {
		a.counter.changed(e.channel, s.Connections, c.cause())
	}
	return told, nil
}

// leaveAcross is [Connection.leave] where other processes have to be told.
func (c *Connection) leaveAcross(channel string, tell bool) {
	x, k := c.app.across, protocol.KindOf(channel)
	was, sits := x.takeBack(c, channel)
	if was {
		c.discharge(channel, k)
		c.done()
		if tell {
			c.socket.Left(channel)
		}
		return
	}
	if !k.Presence && !sits {
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
		return
	}
	a.kinds[kindOf(k)].ended.Add(1)
	c.discharge(channel, k)
	at := c.at(channel, k, who)
	at.Only = last
	a.across.Desk.Leave(at)
}

// dropLate takes back what was to be entered later by a connection that is gone.
func (c *Connection) dropLate() {
	for _, channel := range c.app.across.takeAllBack(c) {
		c.discharge(channel, protocol.KindOf(channel))
	}
}
