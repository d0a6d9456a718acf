package pusher

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// A message is one frame of a client.
type message struct {
	Event   string
	Channel string
	Data    json.RawMessage // nil when there is none
}

var (
	errNotJSON = errors.New("a message must be a JSON object")
	errNoEvent = errors.New("a message must have an event, which is a string")
	errNoData  = errors.New("data must be an object")
)

// parseMessage reads a client's frame. Fields that nobody knows are ignored.
// What it returns holds no reference to data.
func parseMessage(data []byte) (message, error) {
	var fields struct {
		Event, Channel *json.RawMessage
		Data           json.RawMessage
	}
	if json.Unmarshal(data, &fields) != nil {
		return message{}, errNotJSON
	}
	m := message{Data: fields.Data}
	if fields.Event == nil || json.Unmarshal(*fields.Event, &m.Event) != nil || m.Event == "" {
		return message{}, errNoEvent
	}
	if fields.Channel != nil && json.Unmarshal(*fields.Channel, &m.Channel) != nil {
		return message{}, errBadChannel
	}
	return m, nil
}

// fields decodes the data of a protocol event into v: an object, or a string that
// holds one, as some libraries send it.
func (m message) fields(v any) error {
	raw := bytes.TrimSpace(m.Data)
	if len(raw) > 0 && raw[0] == '"' {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return errNoData
		}
		raw = bytes.TrimSpace([]byte(text))
	}
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, v) != nil {
		return errNoData
	}
	return nil
}

// text is the data of a client event as the string that receivers are sent: a
// string as it is, anything else as its compact JSON text, nothing as an empty
// object.
func (m message) text() []byte {
	raw := bytes.TrimSpace(m.Data)
	if len(raw) == 0 {
		return emptyObject
	}
	return dataText(raw)
}

// dataText turns a valid JSON value into the text that it travels as.
func dataText(raw []byte) []byte {
	if raw[0] == '"' {
		var text string
		if json.Unmarshal(raw, &text) == nil {
			return []byte(text)
		}
	}
	text := compact(raw)
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\ufffd"))
	}
	return text
}

// A memberInfo is who a client says it is in a presence channel, or as a user.
type memberInfo struct {
	id   string
	info []byte // a JSON value
}

var (
	errBadMember = errors.New("channel_data must be a JSON object with a user_id")
	errBadUser   = errors.New("user_data must be a JSON object with an id, which is a string")
	errUserID    = errors.New("a user id has 1 to 128 characters")
)

// parseMember reads channel_data. An id may be a number, as PHP and Pusher's own
// documentation have it, and is then the digits as they were sent.
func parseMember(data string) (memberInfo, error) {
	var fields struct {
		UserID   json.RawMessage `json:"user_id"`
		UserInfo json.RawMessage `json:"user_info"`
	}
	if json.Unmarshal([]byte(data), &fields) != nil || len(fields.UserID) == 0 {
		return memberInfo{}, errBadMember
	}
	var m memberInfo
	switch c := fields.UserID[0]; {
	case c == '"':
		if json.Unmarshal(fields.UserID, &m.id) != nil {
			return memberInfo{}, errBadMember
		}
	case c == '-' || c >= '0' && c <= '9':
		m.id = string(fields.UserID)
	default:
		return memberInfo{}, errBadMember
	}
	if !validUserID(m.id) {
		return memberInfo{}, errUserID
	}
	m.info = infoOf(fields.UserInfo)
	return m, nil
}

// infoOf is user_info as others are told it.
func infoOf(raw json.RawMessage) []byte {
	if len(raw) == 0 || string(raw) == "null" {
		return emptyObject
	}
	info := compact(raw)
	if !utf8.Valid(info) {
		info = bytes.ToValidUTF8(info, []byte("\ufffd"))
	}
	return info
}

// A userInfo is what a client signs in with.
type userInfo struct {
	memberInfo
	watchlist []string
}

// parseUser reads user_data.
func parseUser(data string) (userInfo, error) {
	var fields struct {
		ID        *string         `json:"id"`
		UserInfo  json.RawMessage `json:"user_info"`
		Watchlist []string        `json:"watchlist"`
	}
	if json.Unmarshal([]byte(data), &fields) != nil || fields.ID == nil {
		return userInfo{}, errBadUser
	}
	if !validUserID(*fields.ID) {
		return userInfo{}, errUserID
	}
	return userInfo{memberInfo{*fields.ID, infoOf(fields.UserInfo)}, fields.Watchlist}, nil
}
