package pusher

import (
	"fmt"
	"sync"

	"poosh/auth"
)

// maxWatchlist is how many users one connection may watch (Pusher Channels,
// "Watchlist events").
const maxWatchlist = 100

var signInNames = []string{"auth", "user_data"}

// signIn makes the connection a user's (Pusher Channels, "User authentication").
// The client then subscribes to the user's own channel by itself.
func (c *client) signIn(m message) {
	var values [2]auth.Value
	err := m.pick(signInNames, values[:])
	token, ok := textOf(values[0])
	userData, ok2 := textOf(values[1])
	if err == nil && !(ok && ok2) {
		err = errNoData
	}
	if err != nil {
		c.reject("sign-in refused", codeUnauthorized, "pusher:signin: "+err.Error()+" with auth and user_data")
		return
	}
	if err := auth.PusherUser(c.app.conf.Key, c.app.conf.Secret, c.socketID, userData, token); err != nil {
		c.reject("sign-in refused", codeUnauthorized, err.Error())
		return
	}
	user, err := parseUser(userData)
	if err == nil && len(user.info) > c.app.conf.MaxUserInfoBytes {
		err = fmt.Errorf("user_info of %d bytes exceeds the allowed maximum (%d bytes)", len(user.info), c.app.conf.MaxUserInfoBytes)
	}
	if err != nil {
		c.reject("sign-in refused", codeUnauthorized, err.Error())
		return
	}
	if !c.app.conf.Watchlist {
		user.watchlist = nil
	}
	tooMany := len(user.watchlist) > maxWatchlist
	if tooMany {
		user.watchlist = user.watchlist[:maxWatchlist]
	}
	c.mu.Lock()
	old := c.user
	if old == nil {
		c.user, c.trusted = &user, true
	}
	c.mu.Unlock()
	if old != nil && old.id != user.id {
		c.reject("sign-in refused", codeUnauthorized, "this connection is signed in as another user")
		return
	}
	c.conn.Push(signedInFrame(userData))
	if old != nil {
		return // signed in again as who it is
	}
	if tooMany {
		c.reject("watchlist cut", codeWatchlist, fmt.Sprintf("the watchlist has more than %d users, the first %d are watched", maxWatchlist, maxWatchlist))
	}
	c.d.counts.add("sign-in", 1)
	c.app.users.signIn(c, &user)
}

// isUser reports whether the connection is signed in as a user.
func (c *client) isUser(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user != nil && c.user.id == id
}

// users knows who is signed in to an app on which connections, and who watches
// whom. A user is online with at least one connection.
type users struct {
	mu       sync.Mutex // guards what follows
	online   map[string]map[*client]struct{}
	watchers map[string]map[*client]struct{} // by the id of the user they watch
}

// signIn adds a connection, tells it who of its watchlist is online, and tells
// those who watch the user.
func (u *users) signIn(c *client, user *userInfo) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.online == nil {
		u.online = make(map[string]map[*client]struct{})
		u.watchers = make(map[string]map[*client]struct{})
	}
	first := len(u.online[user.id]) == 0
	enlist(u.online, user.id, c)
	if first {
		u.tell(user.id, true)
	}
	var online, offline []string
	for _, id := range user.watchlist {
		if _, twice := u.watchers[id][c]; twice || !validUserID(id) {
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
		c.conn.Push(watchlistFrame(online, offline))
	}
}

// signOut takes off a connection that has ended.
func (u *users) signOut(c *client, user *userInfo) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, id := range user.watchlist {
		strike(u.watchers, id, c)
	}
	if strike(u.online, user.id, c) {
		u.tell(user.id, false)
	}
}

// tell tells those who watch a user. u.mu is held: the news come in their order.
func (u *users) tell(id string, online bool) {
	watchers := u.watchers[id]
	if len(watchers) == 0 {
		return
	}
	frame := watchlistFrame(nil, []string{id})
	if online {
		frame = watchlistFrame([]string{id}, nil)
	}
	for c := range watchers {
		c.conn.Push(frame)
	}
}

// of returns the connections that are signed in as a user.
func (u *users) of(id string) []*client {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]*client, 0, len(u.online[id]))
	for c := range u.online[id] {
		list = append(list, c)
	}
	return list
}

func enlist(lists map[string]map[*client]struct{}, id string, c *client) {
	list := lists[id]
	if list == nil {
		list = make(map[*client]struct{})
		lists[id] = list
	}
	list[c] = struct{}{}
}

// strike takes c off a list and reports whether that emptied it.
func strike(lists map[string]map[*client]struct{}, id string, c *client) bool {
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

// isMember reports whether the connection is a user in some presence channel.
func (c *client) isMember(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, member := range c.membership {
		if member == id {
			return true
		}
	}
	return false
}
