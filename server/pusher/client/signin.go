package client

import (
	"errors"
	"fmt"

	"poosh/auth"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
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
	token, ok := protocol.TextOf(values[0])
	userData, ok2 := protocol.TextOf(values[1])
	if err == nil && !(ok && ok2) {
		err = errNoData
	}
	if err != nil {
		c.reject(tally.SignInRefused, protocol.CodeUnauthorized, "pusher:signin: "+err.Error()+" with auth and user_data")
		return
	}
	if err := auth.PusherUser(c.app().Conf.Key, c.app().Conf.Secret, c.place.ID(), userData, token); err != nil {
		c.reject(tally.SignInRefused, protocol.CodeUnauthorized, err.Error())
		return
	}
	user, err := protocol.ParseUser(userData)
	if err == nil && len(user.Info) > c.app().Conf.MaxUserInfoBytes {
		err = fmt.Errorf("user_info of %d bytes exceeds the allowed maximum (%d bytes)", len(user.Info), c.app().Conf.MaxUserInfoBytes)
	}
	if err != nil {
		c.reject(tally.SignInRefused, protocol.CodeUnauthorized, err.Error())
		return
	}
	if !c.app().Conf.Watchlist {
		user.Watchlist = nil
	}
	tooMany := len(user.Watchlist) > maxWatchlist
	if tooMany {
		user.Watchlist = user.Watchlist[:maxWatchlist]
	}
	c.line.Begin()
	c.place.SignIn(&user, func(first bool, err error) { c.signedIn(userData, tooMany, first, err) })
}

// signedIn answers a sign-in that was allowed, and has who watches the user told.
func (c *client) signedIn(userData string, tooMany, first bool, err error) {
	if err == nil {
		c.conn.Answer(protocol.SignedInFrame(userData))
	} else if !errors.Is(err, app.ErrGone) {
		c.reject(tally.SignInRefused, protocol.CodeUnauthorized, err.Error())
	}
	if !first {
		c.line.End(c) // refused, or signed in again as who it is
		return
	}
	if tooMany {
		c.reject(tally.WatchlistCut, protocol.CodeWatchlist, fmt.Sprintf("the watchlist has more than %d users, the first %d are watched", maxWatchlist, maxWatchlist))
	}
	c.count(tally.SignIn)
	c.place.GoOnline(func() { c.line.End(c) })
}
