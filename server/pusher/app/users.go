package app

import (
	"sync"

	"poosh/server/command"
	"poosh/server/pusher/protocol"
)

// users knows who is signed in to an app on which connections, and who watches
// whom. A user is online with at least one connection.
type users struct {
	turn command.Turn // taken by who comes and goes: the news come in their order

	mu       sync.Mutex // guards what follows, which changes in turn
	online   map[string]map[*Connection]struct{}
	watchers map[string]map[*Connection]struct{} // by the id of the user they watch

	people map[string]*person // in a cluster
	steps  sync.WaitGroup     // that are under way there
}

// signIn adds a connection, tells it who of its watchlist is online, and tells
// those who watch the user. It does so at once if it can, and calls done then.
func (u *users) signIn(c *Connection, user *protocol.User, done func()) {
	if c.app.across != nil {
		u.signInAcross(c, user, done)
		return
	}
	u.step(c, func() { u.add(c, user) }, done)
}

// signOut takes off a connection that has ended, as signIn adds one.
func (u *users) signOut(c *Connection, user *protocol.User, done func()) {
	if c.app.across != nil {
		u.signOutAcross(c, user)
		done()
		return
	}
	u.step(c, func() { u.remove(c, user) }, done)
}

// step has something done in turn, and what follows it out of turn.
func (u *users) step(c *Connection, do, done func()) {
	inTurn := func() {
		defer done()
		defer u.turn.Pass()
		do()
	}
	if u.turn.Try() {
		inTurn()
		return
	}
	u.turn.Queue(func() { c.socket.Guard(inTurn) })
}

func (u *users) add(c *Connection, user *protocol.User) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.online == nil {
		u.online = make(map[string]map[*Connection]struct{})
		u.watchers = make(map[string]map[*Connection]struct{})
	}
	first := len(u.online[user.ID]) == 0
	enlist(u.online, user.ID, c)
	if first {
		u.tell(user.ID, true)
	}
	var online, offline []string
	for _, id := range user.Watchlist {
		if _, twice := u.watchers[id][c]; twice || !protocol.ValidUserID(id) {
			continue
		}
		enlist(u.watchers, id, c)
		if len(u.online[id]) > 0 {
			online = append(online, id)
		} else {
			offline = append(offline, id)
		}
	}
	if len(online)+len(offline) > 0 {
		c.Push(protocol.WatchlistFrame(online, offline))
	}
}

func (u *users) remove(c *Connection, user *protocol.User) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, id := range user.Watchlist {
		strike(u.watchers, id, c)
	}
	if strike(u.online, user.ID, c) {
		u.tell(user.ID, false)
	}
}

// tell tells those who watch a user. u.mu is held: the news come in their order.
func (u *users) tell(id string, online bool) {
	watchers := u.watchers[id]
	if len(watchers) == 0 {
		return
	}
	frame := changeFrame(id, online)
	for c := range watchers {
		c.Push(frame)
	}
}

// changeFrame says that a user has come or gone.
func changeFrame(id string, online bool) []byte {
	if online {
		return protocol.WatchlistFrame([]string{id}, nil)
	}
	return protocol.WatchlistFrame(nil, []string{id})
}

// of returns the connections that are signed in as a user.
func (u *users) of(id string) []*Connection {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]*Connection, 0, len(u.online[id]))
	for c := range u.online[id] {
		list = append(list, c)
	}
	return list
}

// len returns how many users are online, and how many are watched.
func (u *users) len() (online, watched int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.online), len(u.watchers)
}

func enlist(lists map[string]map[*Connection]struct{}, id string, c *Connection) {
	list := lists[id]
	if list == nil {
		list = make(map[*Connection]struct{})
		lists[id] = list
	}
	list[c] = struct{}{}
}

// strike takes c off a list and reports whether that emptied it.
func strike(lists map[string]map[*Connection]struct{}, id string, c *Connection) bool {
	list := lists[id]
	if _, on := list[c]; !on {
		return false
	}
	delete(list, c)
	if len(list) == 0 {
		delete(lists, id)
		return true
	}
	return false
}
