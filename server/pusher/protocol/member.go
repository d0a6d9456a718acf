package protocol

import (
	"encoding/json"
	"errors"

	"poosh/auth"
)

// A Member is who a client says it is in a presence channel, or as a user.
type Member struct {
	ID   string // of 1 to [MaxUserID] characters
	Info []byte // user_info, a JSON value; shared, read only
}

var (
	errBadMember = errors.New("channel_data must be a JSON object with a user_id")
	errBadUser   = errors.New("user_data must be a JSON object with an id, which is a string or a number")
	errUserID    = errors.New("a user id has 1 to 128 characters")
)

var memberNames = []string{"user_id", "user_info"}

// ParseMember reads channel_data. The error is for the client.
func ParseMember(data string) (Member, error) {
	var values [2]auth.Value
	if Pick([]byte(data), memberNames, values[:]) != nil {
		return Member{}, errBadMember
	}
	return newMember(values[0], values[1], errBadMember)
}

// newMember makes a member of its id and what it tells of itself; without an id it
// returns missing.
func newMember(id, info auth.Value, missing error) (Member, error) {
	if k := id.Kind(); k != auth.String && k != auth.Number {
		return Member{}, missing
	}
	m := Member{idOf(id), infoOf(info)}
	if !ValidUserID(m.ID) {
		return Member{}, errUserID
	}
	return m, nil
}

// infoOf is user_info as others are told it.
func infoOf(v auth.Value) []byte {
	if k := v.Kind(); k == auth.Absent || k == auth.Null {
		return EmptyObject
	}
	return v.AppendCompact(nil)
}

// A User is what a client signs in with.
type User struct {
	Member
	Watchlist []string // ids of users, as many as the client sent and not checked
}

var userNames = []string{"id", "user_info", "watchlist"}

// ParseUser reads user_data. The error is for the client.
func ParseUser(data string) (User, error) {
	var values [3]auth.Value
	if Pick([]byte(data), userNames, values[:]) != nil {
		return User{}, errBadUser
	}
	member, err := newMember(values[0], values[1], errBadUser)
	if err != nil {
		return User{}, err
	}
	u := User{Member: member}
	if k := values[2].Kind(); k == auth.Absent || k == auth.Null {
		return u, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(values[2].Bytes(), &list) != nil {
		return User{}, errBadUser
	}
	for _, raw := range list {
		id, err := auth.Parse(raw)
		if k := id.Kind(); err != nil || k != auth.String && k != auth.Number {
			return User{}, errBadUser
		}
		u.Watchlist = append(u.Watchlist, idOf(id))
	}
	return u, nil
}
