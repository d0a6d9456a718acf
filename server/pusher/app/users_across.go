package app

import (
	"context"
	"slices"
	"strings"

	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/pusher/protocol"
)

// In a cluster each user has a room in the app's own part of the hub, see [across]. A member of it,
// named after the user, stands for all connections of one process that are signed in as it; another
// one for all of a process that watch it, so that the process hears of the first. So a user's second
// connection here, and its second watcher, cost the others nothing.

// A person is a user who is signed in or watched in this process.
type person struct {
	id     string
	asking bool            // a step is under way
	in     [seatKinds]bool // this process is in its room, for that
	watch  int             // connections here that watch it, or are about to
	greets []*greeting     // of those that are to be told, once it is known
	known  bool            // whether it is there
	there  bool            // in whatever process; what was so last, while that is not known
	// untold are those who watch it and were greeted while that was not known.
	untold map[*Connection]struct{}
}

// A greeting is what a connection that has signed in is told of whom it watches.
type greeting struct {
	c    *Connection
	ids  []string
	left int // of whom nobody has said yet whether they are there
	done func()
}

const (
	userRoom   = "user:"
	userMember = "user:"  // and its id: it is signed in
	watching   = "watch:" // and the process that watches it
)

// watched lists whom a user watches, each once.
func watched(user *protocol.User) (ids []string) {
	for _, id := range user.Watchlist {
		if protocol.ValidUserID(id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// personOf finds a person, or makes it. u.mu is held.
func (u *users) personOf(id string) *person {
	p := u.people[id]
	if p == nil {
		if u.people == nil {
			u.people = make(map[string]*person)
		}
		p = &person{id: id}
		u.people[id] = p
	}
	return p
}

// signInAcross is signIn in a cluster: the connection is told who of its watchlist is there as
// soon as that is known of all, or that of some it cannot be known now.
func (u *users) signInAcross(c *Connection, user *protocol.User, done func()) {
	g := &greeting{c: c, ids: watched(user), done: done}
	u.mu.Lock()
	if u.online == nil {
		u.online = make(map[string]map[*Connection]struct{})
		u.watchers = make(map[string]map[*Connection]struct{})
	}
	c.greeted = true
	enlist(u.online, user.ID, c)
	if c.app.Conf().Watchlist {
		u.look(c.app.across, u.personOf(user.ID))
	}
	for _, id := range g.ids {
		p := u.personOf(id)
		p.watch++
		if !p.known {
			g.left++
			p.greets = append(p.greets, g)
		}
		u.look(c.app.across, p)
	}
	ready := g.left == 0
	if ready {
		u.greet(g)
	}
	u.mu.Unlock()
	if ready {
		done()
	}
}

// greet tells a connection who of those it watches is there, and has it told of changes from then
// on. u.mu is held.
func (u *users) greet(g *greeting) {
	var online, offline []string
	for _, id := range g.ids {
		enlist(u.watchers, id, g.c)
		switch p := u.people[id]; {
		case !p.known: // it is told once somebody can be asked
			if p.untold == nil {
				p.untold = make(map[*Connection]struct{})
			}
			p.untold[g.c] = struct{}{}
		case p.there:
			online = append(online, id)
		default:
			offline = append(offline, id)
		}
	}
	if len(online)+len(offline) > 0 {
		g.c.Push(protocol.WatchlistFrame(online, offline))
	}
}

// signOutAcross is signOut in a cluster. Who has gone before it was greeted has nothing to take back.
func (u *users) signOutAcross(c *Connection, user *protocol.User) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !c.greeted {
		return
	}
	for _, id := range watched(user) {
		strike(u.watchers, id, c)
		p := u.people[id]
		delete(p.untold, c)
		p.watch--
		u.look(c.app.across, p)
	}
	strike(u.online, user.ID, c)
	if p := u.people[user.ID]; p != nil {
		u.look(c.app.across, p)
	}
}

// wanted is in which rooms of a person this process is to be. u.mu is held.
func (u *users) wanted(x *across, p *person) [seatKinds]bool {
	return [seatKinds]bool{forOnline: len(u.online[p.id]) > 0 && x.app.Conf().Watchlist, forWatch: p.watch > 0}
}

// look does the next step towards what is wanted of a person, if none is under way. u.mu is held.
func (u *users) look(x *across, p *person) {
	if p.asking {
		return
	}
	wanted := u.wanted(x, p)
	for _, kind := range []seatKind{forWatch, forOnline} {
		if wanted[kind] == p.in[kind] {
			continue
		}
		p.asking = true
		u.steps.Add(1)
		enter := wanted[kind]
		x.app.shared.Hub.Queue(x.own, userRoom+p.id, func(r *hub.Roster) {
			if enter {
				u.enter(x, p, kind, r)
			} else {
				u.leave(x, p, kind, r)
			}
		})
		return
	}
	if !p.in[forOnline] && !p.in[forWatch] {
		delete(u.people, p.id)
		x.forget(p)
	}
}

// entry is what this process is in a person's room.
func (p *person) entry(x *across, kind seatKind) presence.Entry {
	member := userMember + p.id
	if kind == forWatch {
		member = watching + x.app.shared.process
	}
	return presence.Entry{App: x.own, Room: userRoom + p.id, User: member, Info: protocol.EmptyObject, Only: true, Counted: true}
}

// enter has this process be in a person's room. r is its turn.
func (u *users) enter(x *across, p *person, kind seatKind, r *hub.Roster) {
	e := p.entry(x, kind)
	x.Desk.Enter(e, func(_ presence.Seated, err error) {
		there := false
		if err == nil {
			_, err = r.Join(x.seats[kind], hub.Member{ID: e.User, Info: e.Info})
			if err != nil {
				x.Desk.Leave(e)
			}
			there = r.Has(userMember + p.id)
		}
		r.Close()
		x.heard(err)
		u.entered(x, p, kind, there, err)
	})
}

// entered goes on behind an answer, in the order of what happens in the room.
func (u *users) entered(x *across, p *person, kind seatKind, there bool, err error) {
	u.mu.Lock()
	p.asking = false
	if err == nil {
		p.in[kind] = true
		if !p.known {
			u.learn(p, there)
		}
	}
	ready := p.greets
	p.greets = nil
	ready = slices.DeleteFunc(ready, func(g *greeting) bool {
		g.left--
		return g.left > 0
	})
	for _, g := range ready {
		u.greet(g)
	}
	if err == nil || u.wanted(x, p) == p.in {
		u.look(x, p) // of whom nobody wants anything any more, nothing waits
	} else {
		x.later(p, func() {
			u.mu.Lock()
			defer u.mu.Unlock()
			if u.people[p.id] == p {
				u.look(x, p)
			}
		})
	}
	u.mu.Unlock()
	for _, g := range ready {
		g.c.socket.Guard(g.done)
	}
	u.steps.Done()
}

// learn notes whether a person is there, and tells those who watch it and have heard otherwise, or
// nothing: who came while this process was about to leave the person's room has heard what was so then.
// u.mu is held.
func (u *users) learn(p *person, there bool) {
	changed := p.there != there
	p.known, p.there = true, there
	frame := changeFrame(p.id, there)
	for c := range u.watchers[p.id] {
		if _, untold := p.untold[c]; untold || changed {
			c.Push(frame)
		}
	}
	p.untold = nil
}

// leave has this process leave a person's room. r is its turn.
func (u *users) leave(x *across, p *person, kind seatKind, r *hub.Roster) {
	e := p.entry(x, kind)
	r.Leave(x.seats[kind], e.User)
	x.Desk.Leave(e)
	r.Close()
	u.mu.Lock()
	p.asking, p.in[kind] = false, false
	if p.in == [seatKinds]bool{} {
		p.known = false
	}
	u.look(x, p)
	u.mu.Unlock()
	u.steps.Done()
}

// switched has the watchlist's switch count, which may have been turned.
func (u *users) switched(x *across) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id := range u.online {
		u.look(x, u.personOf(id))
	}
}

// await waits until no step is under way, or until ctx ends. Every connection is gone.
func (u *users) await(ctx context.Context) {
	done := make(chan struct{})
	go func() { // ends with the desk's answers, which are bounded
		u.steps.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// news tells those who watch a user that it has come or gone, wherever that was.
func (u *users) news(id string, there bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := u.people[id]; p != nil && p.known && p.there != there {
		p.there = there
		u.tell(id, there)
	}
}

// An ownListener hears what happens in the rooms of an app that are no channels.
type ownListener struct{ app *App }

var _ presence.Listener = ownListener{}

// Came implements [presence.Listener].
func (l ownListener) Came(_ string, m hub.Member, _ string) {
	if id, is := strings.CutPrefix(m.ID, userMember); is {
		l.app.users.news(id, true)
	}
}

// Went implements [presence.Listener].
func (l ownListener) Went(_, member string) {
	if id, is := strings.CutPrefix(member, userMember); is {
		l.app.users.news(id, false)
	}
}

// Occupied implements [presence.Listener].
func (ownListener) Occupied(string) {}

// Vacated implements [presence.Listener].
func (ownListener) Vacated(string) {}

// Counted implements [presence.Listener].
func (ownListener) Counted(string, int) {}

// Due implements [presence.Listener].
func (ownListener) Due(_ presence.Happening, done func()) { done() }
