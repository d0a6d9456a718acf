package client

import (
	"errors"
	"fmt"

	"poosh/auth"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
	"poosh/server/rotation"
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
	conf := c.app().Conf()
	if err := c.signed(conf, func(secret string) error { return auth.PusherUser(conf.Key, secret, c.place.ID(), userData, token) }); err != nil {
		c.reject(tally.SignInRefused, protocol.CodeUnauthorized, err.Error())
		return
	}
	user, err := protocol.ParseUser(userData)
	if err == nil && len(user.Info) > conf.MaxUserInfoBytes {
		err = fmt.Errorf("user_info of %d bytes exceeds the allowed maximum (%d bytes)", len(user.Info), conf.MaxUserInfoBytes)
	}
	if err != nil {
		c.reject(tally.SignInRefused, protocol.CodeUnauthorized, err.Error())
		return
	}
	if !conf.Watchlist {
		user.Watchlist = nil
	}
	tooMany := len(user.Watchlist) > maxWatchlist
	if tooMany {
		user.Watchlist = user.Watchlist[:maxWatchlist]
	}
	c.line.Begin()
	c.place.SignIn(&user, func(first bool, err error) { c.signedIn(userData, tooMany, first, err) })
}

// signed says whether something of an app is signed with its secret, or with the previous
// one, by what checks that.
func (c *client) signed(conf *app.Config, check func(secret string) error) error {
	err := check(conf.Secret)
	if err == nil || conf.PreviousSecret == "" || check(conf.PreviousSecret) != nil {
		return err
	}
	c.app().Previous.Used(rotation.Client, c.RemoteAddr())
	return nil
}

// signedIn answers a sign-in that was allowed, and has who watches the user told.
func (c *client) signedIn(userData string, tooMany, first bool, err error) {
	if err == nil {
		c.answer(protocol.SignedInFrame(userData))
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
