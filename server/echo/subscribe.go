package echo

import (
	"net/http"

	"poosh/server/echo/authorize"
	"poosh/server/hub"
	"poosh/server/loop"
)

// A subscription is a channel that a client is in, or has asked for. It is the client's as long
// as it is in listener.channels: whoever has something to do about it looks there first, and
// does nothing where it is not, since the client has left meanwhile. listener.mu guards it.
type subscription struct {
	channel string
	kind    kind
	cancel  func()      // the application is being asked; nil while it is not
	seated  bool        // the client has a seat in the room
	coming  bool        // it is about to be a member
	member  *member     // who it is, once it is one
	retry   *loop.Timer // nil unless the others could not be asked
	back    *member     // set once: who it was, of a client that has come back

	returned bool // the seat is the one that it came back to
}

// Why a client that the application would let in is not in a channel, as the status that
// subscription_error has.
const (
	tooManyChannels = http.StatusTooManyRequests
	channelsFull    = http.StatusServiceUnavailable
	notAllowed      = http.StatusForbidden
	memberTooLarge  = http.StatusRequestEntityTooLarge
)

// subscribe has the client be in a channel. There is no answer but where that goes wrong, and
// in presence channels.
func (l *listener) subscribe(w wish) {
	s, status := l.begin(w)
	switch {
	case status != 0:
		l.refuse(w.channel, status)
	case s == nil: // what there is to say is on its way
	case s.kind.private:
		l.apply(s, w.headers)
	default:
		l.enter(s)
	}
}

// begin makes a subscription, or has the application asked once more about one that there is:
// pages subscribe to all that they know when they connect anew, also where they have everything
// back. It returns the status of a refusal, or the subscription if there is something to do about it.
func (l *listener) begin(w wish) (s *subscription, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, quota := l.channels[w.channel], l.d.process.Rooms
	l.asked = true
	switch {
	case l.gone, s != nil && (!s.kind.private || s.cancel != nil || s.coming):
		return nil, 0
	case s == nil && len(l.channels) >= l.d.bounds.Load().MaxChannels:
		return nil, tooManyChannels
	case s == nil && quota != nil && !quota.Take(l.from, l.taken, channelCost+len(w.channel)):
		return nil, channelsFull
	case s == nil:
		s = &subscription{channel: w.channel, kind: kindOf(w.channel)}
		l.channels[w.channel] = s
		l.taken += channelCost + len(w.channel)
	}
	if s.kind.private && l.d.asks == nil { // nor is anybody in one, see comeBack
		l.drop(s)
		return nil, notAllowed
	}
	return s, 0
}

// apply asks the application about a subscription.
func (l *listener) apply(s *subscription, headers map[string]string) {
	l.mu.Lock()
	if !l.is(s) || s.cancel != nil || s.coming {
		l.mu.Unlock()
		return
	}
	cancel, refused := l.d.asks.Ask(authorize.Question{Channel: s.channel, SocketID: l.sub.ID(), Presence: s.kind.presence,
		Headers: headers, Cookie: string(l.cookie), From: l.from}, func(a authorize.Answer) {
		l.session.Guard(func() { l.answered(s, a) })
	})
	s.cancel = cancel
	l.mu.Unlock()
	if refused != nil {
		l.answered(s, *refused)
	}
}

// refuse tells the client that it is not in a channel.
func (l *listener) refuse(channel string, status int) {
	l.d.refused.Add(1)
	l.session.Deliver(errorFrame(channel, status))
}

// is reports whether a subscription is still wanted. l.mu is held.
func (l *listener) is(s *subscription) bool { return !l.gone && l.channels[s.channel] == s }

// drop forgets a subscription that has no seat. l.mu is held.
func (l *listener) drop(s *subscription) {
	delete(l.channels, s.channel)
	cost := channelCost + len(s.channel)
	l.taken -= cost
	if q := l.d.process.Rooms; q != nil {
		q.Give(l.from, cost)
	}
}

// answered goes on with what the application has said.
func (l *listener) answered(s *subscription, a authorize.Answer) {
	l.mu.Lock()
	if !l.is(s) {
		l.mu.Unlock()
		return
	}
	s.cancel = nil
	who, status := (*member)(nil), a.Status
	allowed := a.Allowed
	if allowed && s.kind.presence {
		if who = newMember(a.Member, l.sub.ID()); len(who.entry) > l.d.bounds.Load().MaxMemberBytes {
			allowed, status = false, memberTooLarge
		}
	}
	if !allowed {
		leave := l.takeOut(s)
		l.mu.Unlock()
		leave()
		l.refuse(s.channel, status)
		return
	}
	s.coming = s.kind.presence
	seated := s.seated
	l.mu.Unlock()
	switch {
	case s.kind.presence:
		l.come(s, who)
	case !seated:
		l.enter(s)
	}
}

// enter seats the client in a room without members, in a cluster once what is published to it
// reaches this process.
func (l *listener) enter(s *subscription) {
	d := l.d
	if reach := d.process.Subscribe; reach != nil && !d.kept { // what is kept reaches every process
		reach(App, s.channel, func(error) { // with an error nobody knows when it will
			l.session.Guard(func() { l.sit(s) })
		})
		return
	}
	l.sit(s)
}

func (l *listener) sit(s *subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.is(s) || s.seated {
		return
	}
	var err error
	if l.trail != nil {
		err = l.d.hub.JoinKept(l.sub, l.trail, s.channel)
	} else {
		err = l.d.hub.Join(l.sub, s.channel)
	}
	if err != nil { // it is gone: the bound is that of begin
		l.drop(s)
		return
	}
	s.seated = true
	l.d.kinds[s.kind.index()].made.Add(1)
}

// unsubscribe has the client be in a channel no more.
func (l *listener) unsubscribe(channel string) {
	l.mu.Lock()
	s := l.channels[channel]
	if s == nil || l.gone {
		l.mu.Unlock()
		return
	}
	leave := l.takeOut(s)
	l.mu.Unlock()
	leave()
}

// takeOut ends a subscription, and returns what is to be done about it without the lock.
// l.mu is held.
func (l *listener) takeOut(s *subscription) (leave func()) {
	if s.cancel != nil {
		s.cancel()
		s.cancel = nil
	}
	if s.retry != nil {
		l.d.loop.Cancel(s.retry)
	}
	l.drop(s)
	if !s.seated {
		return func() {}
	}
	if s.kind.presence {
		l.underway++
		return func() { l.goOut(s) }
	}
	l.leaveRoom(s)
	return func() {}
}

// leaveRoom gives up the seat in a room that the client is in as nobody. l.mu is held.
func (l *listener) leaveRoom(s *subscription) {
	if l.d.hub.Leave(l.sub, s.channel) {
		l.left(s)
	}
}

// left notes that a seat was given up. l.mu is held.
func (l *listener) left(s *subscription) {
	s.seated, s.returned = false, false
	l.d.kinds[s.kind.index()].ended.Add(1)
	if l.trail != nil { // which somebody may be reading
		l.d.hub.Hold(App, func(hub.Position, hub.Reader) { l.trail.Forget(s.channel) })
	}
}

// depart takes a client that has gone out of its channels. Of presence channels it stays a
// member for a while if it may come back.
func (l *listener) depart(comesBack bool) {
	l.mu.Lock()
	l.gone = true
	for _, s := range l.channels {
		if s.cancel != nil {
			s.cancel()
			s.cancel = nil
		}
		if s.retry != nil {
			l.d.loop.Cancel(s.retry)
		}
		switch {
		case s.seated && s.kind.presence:
			l.underway++
			continue
		case s.seated:
			l.leaveRoom(s)
		}
		l.drop(s)
	}
	none := l.underway == 0
	l.mu.Unlock()
	switch grace := l.d.bounds.Load().Grace; {
	case none:
		l.d.hub.Unregister(l.sub)
	case comesBack && grace > 0 && l.d.linger(l, grace):
	default:
		l.vacate()
	}
}

// endGrace ends the time for which a client that is gone is still a member.
func (l *listener) endGrace() {
	if l.d.lingered(l) {
		l.vacate()
	}
}

// vacate has a client that is gone be a member of nothing any more, and then forgets it.
func (l *listener) vacate() {
	l.mu.Lock()
	list := make([]*subscription, 0, len(l.channels))
	for _, s := range l.channels {
		list = append(list, s)
		l.drop(s)
	}
	l.mu.Unlock()
	for _, s := range list {
		l.goOut(s)
	}
}

// wentOut notes that the client has left a presence channel. The last one that is gone leaves the
// hub.
func (l *listener) wentOut() {
	l.mu.Lock()
	l.underway--
	over := l.gone && l.underway == 0
	l.mu.Unlock()
	if over {
		l.d.hub.Unregister(l.sub)
	}
}
