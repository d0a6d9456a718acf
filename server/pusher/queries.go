package pusher

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

func appendInt(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }

// appendCounts appends an object with the counts that were asked for and that the
// channel has: only presence channels count users.
func (c *call) appendCounts(b []byte, channel string, info []string) []byte {
	connections, users := c.d.hub.Count(c.app.hubName, channel)
	if !kindOf(channel).presence {
		info = slices.DeleteFunc(slices.Clone(info), func(name string) bool { return name == infoUsers })
	}
	return appendObject(b, info, connections, users)
}

func appendObject(b []byte, info []string, connections, users int) []byte {
	b = append(b, '{')
	for i, name := range info {
		if slices.Contains(info[:i], name) {
			continue
		}
		n := connections
		if name == infoUsers {
			n = users
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(b, `"`+name+`":`...)
		b = appendInt(b, n)
	}
	return append(b, '}')
}

// channels lists the channels that somebody is in.
func (c *call) channels() (reply, error) {
	prefix, _ := c.query.Get("filter_by_prefix")
	text, _ := c.query.Get("info")
	info, err := parseInfo(text, infoUsers, infoConnections)
	if err != nil {
		return nil, err
	}
	if slices.Contains(info, infoUsers) && !strings.HasPrefix(prefix, "presence-") {
		return nil, invalid("user_count is for presence channels only: want a filter_by_prefix that begins with presence-")
	}
	return func(yield func([]byte) bool) {
		b := []byte(`{"channels":{`)
		for at := range c.d.hub.Rooms(c.app.hubName) {
			if !strings.HasPrefix(at.Room, prefix) || kindOf(at.Room).user {
				continue
			}
			b = append(appendString(b, at.Room), ':')
			b = appendObject(b, info, at.Connections, at.Users)
			if !yield(b) {
				return
			}
			b = append(b[:0], ',')
		}
		yield(ended(b, "}}"))
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
	name := c.args[0]
	if !validChannel(name) {
		return nil, badChannel(name)
	}
	text, _ := c.query.Get("info")
	info, err := parseInfo(text, infoUsers, infoConnections, infoCache)
	if err != nil {
		return nil, err
	}
	k := kindOf(name)
	switch {
	case slices.Contains(info, infoUsers) && !k.presence:
		return nil, invalid("user_count is for presence channels only")
	case slices.Contains(info, infoCache) && !k.cache:
		return nil, invalid("cache is for cache channels only")
	}
	connections, users := c.d.hub.Count(c.app.hubName, name)
	b := append([]byte(`{"occupied":`), strconv.FormatBool(connections > 0)...)
	for i, attribute := range info {
		if slices.Contains(info[:i], attribute) {
			continue
		}
		b = append(b, `,"`+attribute+`":`...)
		switch attribute {
		case infoUsers:
			b = appendInt(b, users)
		case infoConnections:
			b = appendInt(b, connections)
		case infoCache:
			b = c.appendCache(b, name)
		}
	}
	return whole(append(b, '}')), nil
}

// appendCache appends a channel's last event and the seconds that it is kept yet.
func (c *call) appendCache(b []byte, channel string) []byte {
	event, left := c.app.cache.get(channel)
	if event == nil {
		return append(b, "null"...)
	}
	b = append(append(b, `{"data":`...), event.Data...)
	b = append(b, `,"ttl":`...)
	return append(appendInt(b, int(left/time.Second)), '}')
}

// channelUsers lists the users in a presence channel.
func (c *call) channelUsers() (reply, error) {
	name := c.args[0]
	if !validChannel(name) {
		return nil, badChannel(name)
	}
	if !kindOf(name).presence {
		return nil, invalid("users are known of presence channels only")
	}
	withInfo := false
	for _, param := range c.query.Names() {
		switch {
		case param == "with_user_info":
			v, _ := c.query.Get(param)
			withInfo = v == "1" || v == "true"
		case strings.HasPrefix(param, "auth_"), param == "body_md5":
		default:
			return nil, invalid("extraneous parameter %s: the list of users takes none but with_user_info", shown(param))
		}
	}
	// A copy, so that nobody who comes or goes waits for who reads the answer.
	r := c.d.hub.Open(c.app.hubName, name)
	members := slices.Collect(r.Members)
	r.Close()
	return func(yield func([]byte) bool) {
		b := []byte(`{"users":[`)
		for _, m := range members {
			b = appendString(append(b, `{"id":`...), m.ID)
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
	return whole(append(appendInt([]byte(`{"connections":`), c.d.hub.Len(c.app.hubName)), '}')), nil
}

// terminate closes the connections of a user for good.
func (c *call) terminate() (reply, error) {
	return c.closeUser(func(conn *client) {
		conn.expel(codeUnauthorized, "the app has ended this user's connections")
	})
}

// forceReconnect closes the connections of a user, who is to come back, as Sockudo
// does.
func (c *call) forceReconnect() (reply, error) {
	return c.closeUser(func(conn *client) { conn.expel(codeReconnect, "the app asks to reconnect") })
}

func (c *call) closeUser(end func(*client)) (reply, error) {
	id := c.args[0]
	if !validUserID(id) {
		return nil, invalid("a user id has 1 to %d characters", maxUserID)
	}
	list := c.app.users.of(id)
	if c.app.conf.TerminateMembers {
		for _, conn := range c.app.all() {
			if !conn.isUser(id) && conn.isMember(id) {
				list = append(list, conn)
			}
		}
	}
	for _, conn := range list {
		end(conn)
	}
	c.d.log.Debug("connections closed", "app", c.app.conf.ID, "connections", len(list))
	return empty, nil
}
