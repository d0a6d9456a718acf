package api

import (
	"context"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/server/hub"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/protocol"
)

// channels lists the channels that somebody is in.
func (c *call) channels() (reply, error) {
	prefix, _ := c.query.Get("filter_by_prefix")
	text, _ := c.query.Get("info")
	info, err := parseInfo(text, infoUsers, infoConnections)
	if err != nil {
		return nil, err
	}
	if slices.Contains(info, infoUsers) && !strings.HasPrefix(prefix, "presence-") {
		return nil, answer.Invalid("user_count is for presence channels only: want a filter_by_prefix that begins with presence-")
	}
	all, err := c.allChannels(prefix)
	if err != nil {
		return nil, asked(err)
	}
	return func(yield func([]byte) bool) {
		b := []byte(`{"channels":{`)
		for at, err := range all {
			if err != nil {
				panic(http.ErrAbortHandler) // a list that ends is one that was told whole
			}
			if protocol.KindOf(at.Room).User {
				continue
			}
			b = append(protocol.AppendString(b, at.Room), ':')
			b = appendObject(b, info, at.Connections, at.Users)
			if !yield(b) {
				return
			}
			b = append(b[:0], ',')
		}
		yield(ended(b, "}}"))
	}, nil
}

// allChannels yields the channels whose names begin with a prefix, once. An error that is known
// before the first of them is returned.
func (c *call) allChannels(prefix string) (iter.Seq2[hub.RoomCount, error], error) {
	all := c.app.AllChannels(c.ctx, prefix)
	if !c.app.Joined() {
		return all, nil
	}
	next, stop := iter.Pull2(all)
	at, err, more := next()
	if err != nil {
		stop()
		return nil, err
	}
	return func(yield func(hub.RoomCount, error) bool) {
		defer stop()
		for ; more; at, err, more = next() {
			if !yield(at, err) {
				return
			}
		}
	}, nil
}

// ended is the last piece of a list: b is what it begins with, if there was nothing
// in it, or the comma before the next element, which there is none of.
func ended(b []byte, end string) []byte {
	if len(b) == 1 {
		b = b[:0]
	}
	return append(b, end...)
}

// channel describes one channel, whether anybody is in it or not.
func (c *call) channel() (reply, error) {
	name := c.of
	if !protocol.ValidChannel(name) {
		return nil, badChannel(name)
	}
	text, _ := c.query.Get("info")
	info, err := parseInfo(text, infoUsers, infoConnections, infoCache)
	if err != nil {
		return nil, err
	}
	k := protocol.KindOf(name)
	switch {
	case slices.Contains(info, infoUsers) && !k.Presence:
		return nil, answer.Invalid("user_count is for presence channels only")
	case slices.Contains(info, infoCache) && !k.Cache:
		return nil, answer.Invalid("cache is for cache channels only")
	}
	ctx, cancel := c.within()
	defer cancel()
	connections, users, err := c.app.CountAll(ctx, name)
	if err != nil {
		return nil, asked(err)
	}
	b := append([]byte(`{"occupied":`), strconv.FormatBool(connections > 0)...)
	for _, attribute := range info {
		b = append(b, `,"`+attribute+`":`...)
		switch attribute {
		case infoUsers:
			b = appendInt(b, users)
		case infoConnections:
			b = appendInt(b, connections)
		case infoCache:
			if b, err = c.appendCache(ctx, b, name); err != nil {
				return nil, asked(err)
			}
		}
	}
	return whole(append(b, '}')), nil
}

// appendCache appends a channel's last event and the seconds that it is kept yet.
func (c *call) appendCache(ctx context.Context, b []byte, channel string) ([]byte, error) {
	data, left, ok, err := c.app.CachedAll(ctx, channel)
	if err != nil {
		return nil, err
	}
	if !ok {
		return append(b, "null"...), nil
	}
	b = append(append(b, `{"data":`...), data...)
	b = append(b, `,"ttl":`...)
	return append(appendInt(b, int(left/time.Second)), '}'), nil
}

// channelUsers lists the users in a presence channel.
func (c *call) channelUsers() (reply, error) {
	name := c.of
	if !protocol.ValidChannel(name) {
		return nil, badChannel(name)
	}
	if !protocol.KindOf(name).Presence {
		return nil, answer.Invalid("users are known of presence channels only")
	}
	withInfo := false
	for _, param := range c.query.Names() {
		switch {
		case param == "with_user_info":
			v, _ := c.query.Get(param)
			withInfo = v == "1" || v == "true"
		case strings.HasPrefix(param, "auth_"), param == "body_md5":
		default:
			return nil, answer.Invalid("extraneous parameter %s: the list of users takes none but with_user_info", protocol.Shown(param))
		}
	}
	ctx, cancel := c.within()
	defer cancel()
	members, err := c.app.AllMembers(ctx, name)
	if err != nil {
		return nil, asked(err)
	}
	return func(yield func([]byte) bool) {
		b := []byte(`{"users":[`)
		for _, m := range members {
			b = protocol.AppendString(append(b, `{"id":`...), m.ID)
			if withInfo {
				b = append(append(b, `,"user_info":`...), m.Info...)
			}
			if !yield(append(b, '}')) {
				return
			}
			b = append(b[:0], ',')
		}
		yield(ended(b, "]}"))
	}, nil
}

// connections counts the app's connections, as Reverb does.
func (c *call) connections() (reply, error) {
	ctx, cancel := c.within()
	defer cancel()
	n, err := c.app.LenAll(ctx)
	if err != nil {
		return nil, asked(err)
	}
	return whole(append(appendInt([]byte(`{"connections":`), n), '}')), nil
}
