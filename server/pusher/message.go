package pusher

import (
	"bytes"
	"encoding/json"
	"errors"

	"poosh/auth"
)

// A message is one frame of a client. It refers to the frame, and is good as long
// as that is.
type message struct {
	Event   string
	Channel string
	Data    auth.Value // absent when there is none
}

var (
	errNotJSON = errors.New("a message must be a JSON object")
	errNoEvent = errors.New("a message must have an event, which is a string")
	errNoData  = errors.New("data must be an object")
)

var messageNames = []string{"event", "channel", "data"}

// parseMessage reads a client's frame. Fields that nobody knows are ignored; names
// match to the letter, here as everywhere, or the server would see another message
// than the page that made it.
func parseMessage(data []byte) (message, error) {
	var values [3]auth.Value
	if err := pick(data, messageNames, values[:]); err != nil {
		return message{}, errNotJSON
	}
	event, ok := textOf(values[0])
	if !ok || event == "" {
		return message{}, errNoEvent
	}
	channel, ok := textOf(values[1])
	if !ok {
		return message{}, errBadChannel
	}
	return message{event, channel, values[2]}, nil
}

// pick is [auth.Pick] for an object alone.
func pick(data []byte, names []string, values []auth.Value) error {
	if data = bytes.TrimLeft(data, " \t\r\n"); len(data) == 0 || data[0] != '{' {
		return auth.ErrNotObject
	}
	return auth.Pick(data, names, values)
}

// textOf is the text that a value is, which is empty for null and for what is not
// there. It reports false for another kind of value.
func textOf(v auth.Value) (string, bool) {
	switch v.Kind() {
	case auth.Absent, auth.Null:
		return "", true
	case auth.String:
		var text string
		err := json.Unmarshal(v.Bytes(), &text)
		return text, err == nil
	}
	return "", false
}

// idOf is a user's id: a text, or a number as PHP and Pusher's own documentation
// have it, which stands for its digits as they were sent. It is empty for anything
// else.
func idOf(v auth.Value) string {
	if v.Kind() == auth.Number {
		return string(v.Bytes())
	}
	text, _ := textOf(v)
	return text
}

// pick reads the data of a protocol event: an object, or a string that holds one,
// as some libraries send it.
func (m message) pick(names []string, values []auth.Value) error {
	raw := m.Data.Bytes()
	if m.Data.Kind() == auth.String {
		text, _ := textOf(m.Data)
		raw = []byte(text)
	}
	if pick(raw, names, values) != nil {
		return errNoData
	}
	return nil
}

// text is the data of a client event as the string that receivers are sent: a
// string as it is, anything else as its compact JSON text, nothing as an empty
// object.
func (m message) text() []byte {
	if m.Data.Kind() == auth.Absent {
		return emptyObject
	}
	return dataText(m.Data)
}

// dataText turns a JSON value into the text that it travels as, which is no part of
// what the value was read from.
func dataText(v auth.Value) []byte {
	if v.Kind() == auth.String {
		text, _ := textOf(v)
		return []byte(text)
	}
	return v.AppendCompact(nil)
}

// A memberInfo is who a client says it is in a presence channel, or as a user.
type memberInfo struct {
	id   string
	info []byte // a JSON value
}

var (
	errBadMember = errors.New("channel_data must be a JSON object with a user_id")
	errBadUser   = errors.New("user_data must be a JSON object with an id, which is a string or a number")
	errUserID    = errors.New("a user id has 1 to 128 characters")
)

var memberNames = []string{"user_id", "user_info"}

// parseMember reads channel_data.
func parseMember(data string) (memberInfo, error) {
	var values [2]auth.Value
	if pick([]byte(data), memberNames, values[:]) != nil {
		return memberInfo{}, errBadMember
	}
	return newMember(values[0], values[1], errBadMember)
}

// newMember makes a member of its id and what it tells of itself; without an id it
// returns missing.
func newMember(id, info auth.Value, missing error) (memberInfo, error) {
	if k := id.Kind(); k != auth.String && k != auth.Number {
		return memberInfo{}, missing
	}
	m := memberInfo{idOf(id), infoOf(info)}
	if !validUserID(m.id) {
		return memberInfo{}, errUserID
	}
	return m, nil
}

// infoOf is user_info as others are told it.
func infoOf(v auth.Value) []byte {
	if k := v.Kind(); k == auth.Absent || k == auth.Null {
		return emptyObject
	}
	return v.AppendCompact(nil)
}

// A userInfo is what a client signs in with.
type userInfo struct {
	memberInfo
	watchlist []string
}

var userNames = []string{"id", "user_info", "watchlist"}

// parseUser reads user_data.
func parseUser(data string) (userInfo, error) {
	var values [3]auth.Value
	if pick([]byte(data), userNames, values[:]) != nil {
		return userInfo{}, errBadUser
	}
	member, err := newMember(values[0], values[1], errBadUser)
	if err != nil {
		return userInfo{}, err
	}
	u := userInfo{memberInfo: member}
	if k := values[2].Kind(); k == auth.Absent || k == auth.Null {
		return u, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(values[2].Bytes(), &list) != nil {
		return userInfo{}, errBadUser
	}
	for _, raw := range list {
		id, err := auth.Parse(raw)
		if k := id.Kind(); err != nil || k != auth.String && k != auth.Number {
			return userInfo{}, errBadUser
		}
		u.watchlist = append(u.watchlist, idOf(id))
	}
	return u, nil
}
