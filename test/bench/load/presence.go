package load

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
)

// presenceOf is the channel of members that know of each other in place of a room.
func presenceOf(room string) string { return "presence-" + room }

func (cfg *Config) checkPresence() error {
	if cfg.Presence && (cfg.Rooms.Each > 1 || cfg.Rooms.Shared > 0) {
		return errors.New("a member is in one presence channel alone")
	}
	return nil
}

// A roster is who a member of a presence channel believes to be there: how many, and
// the sum of their ids, which are numbers from 1 on. It is enough to notice a member
// that is missing or there twice.
type roster struct {
	count int32
	sum   int64
	told  int64 // messages that changed it
}

// idOf is the user id of a client.
func idOf(client int) int { return client + 1 }

// presenceJoin makes the message that a client joins a presence channel with,
// signed as the site's server would.
func presenceJoin(socketID, secret, channel string, client int) string {
	data := `{"user_id":"` + strconv.Itoa(idOf(client)) + `"}`
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(socketID + ":" + channel + ":" + data))
	return `{"event":"pusher:subscribe","data":{"channel":"` + channel + `","auth":"` + PusherKey + ":" +
		hex.EncodeToString(mac.Sum(nil)) + `","channel_data":` + strconv.Quote(data) + `}}`
}

// presencePart is what a message of a presence channel begins with, or a server's
// longest way to say so.
const presencePart = 120

// take changes the roster by a message whose strings are unescaped. known is false
// if it is about something else.
func (r *roster) take(data []byte) (known bool, err error) {
	head := data[:min(len(data), presencePart)]
	var id int
	switch {
	case bytes.Contains(head, []byte("pusher_internal:member_added")):
		id, err = userID(data)
		r.count++
		r.sum += int64(id)
	case bytes.Contains(head, []byte("pusher_internal:member_removed")):
		id, err = userID(data)
		r.count--
		r.sum -= int64(id)
	case bytes.Contains(head, []byte("pusher_internal:subscription_succeeded")):
		*r, err = readRoster(data)
	default:
		return false, nil
	}
	r.told++
	return true, err
}

var errNoMember = errors.New("a message about a member that names none")

// userID reads the number in "user_id":"17".
func userID(data []byte) (int, error) {
	_, rest, found := bytes.Cut(data, []byte(`"user_id":"`))
	digits, _, ended := bytes.Cut(rest, []byte(`"`))
	id, err := strconv.Atoi(string(digits))
	if !found || !ended || err != nil {
		return 0, fmt.Errorf("%w: %q", errNoMember, data[:min(len(data), 200)])
	}
	return id, nil
}

// readRoster reads "ids":["1","2"] of a list of all members.
func readRoster(data []byte) (r roster, err error) {
	_, rest, found := bytes.Cut(data, []byte(`"ids":[`))
	ids, _, ended := bytes.Cut(rest, []byte(`]`))
	if !found || !ended {
		return r, fmt.Errorf("a list of members without ids: %q", data[:min(len(data), 200)])
	}
	for id := range bytes.SplitSeq(ids, []byte(",")) {
		n, err := strconv.Atoi(string(bytes.Trim(id, ` "`)))
		if err != nil {
			return r, fmt.Errorf("an id that is no number: %q", id)
		}
		r.count++
		r.sum += int64(n)
	}
	return r, nil
}
