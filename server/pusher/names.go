package pusher

import (
	"strings"
	"unicode/utf8"
)

// What names may be, in characters (Pusher Channels, "Channel naming conventions"
// and "HTTP API reference"; user ids as in Sockudo).
const (
	maxChannelName = 200
	maxEventName   = 200
	maxUserID      = 128
)

// userChannel begins the name of a signed-in user's own channel.
const userChannel = "#server-to-user-"

// A kind is what the beginning of a channel's name says about it.
type kind struct {
	private   bool // needs a signature; so do presence and encrypted ones
	presence  bool
	encrypted bool
	cache     bool // a newcomer is given the last event
	user      bool // belongs to a signed-in user
}

// kindOf reads the kind of a valid name. Prefixes count at the start alone.
func kindOf(channel string) kind {
	var k kind
	switch {
	case strings.HasPrefix(channel, userChannel):
		k.user = true
	case strings.HasPrefix(channel, "private-"):
		k.private = true
		rest := channel[len("private-"):]
		if after, ok := strings.CutPrefix(rest, "encrypted-"); ok {
			k.encrypted, rest = true, after
		}
		k.cache = strings.HasPrefix(rest, "cache-")
	case strings.HasPrefix(channel, "presence-"):
		k.private, k.presence = true, true
		k.cache = strings.HasPrefix(channel, "presence-cache-")
	default:
		k.cache = strings.HasPrefix(channel, "cache-")
	}
	return k
}

// channelChars are the characters of a channel's name beside letters and digits.
const channelChars = "-_=@,.;"

// validChannel reports whether a name is one that a channel can have. A user's own
// channel is as free in its characters as the user's id.
func validChannel(name string) bool {
	if id, ok := strings.CutPrefix(name, userChannel); ok {
		return validUserID(id)
	}
	if name == "" || len(name) > maxChannelName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte(channelChars, c) >= 0:
		default:
			return false
		}
	}
	return true
}

func validUserID(id string) bool {
	return id != "" && len(id) <= 4*maxUserID && utf8.RuneCountInString(id) <= maxUserID
}

// validEvent reports whether a publisher may use a name: not one of the
// protocol's own, which a client would take for the server's word.
func validEvent(name string) bool {
	return name != "" && utf8.RuneCountInString(name) <= maxEventName && !reserved(name)
}

func reserved(event string) bool {
	return strings.HasPrefix(event, "pusher:") || strings.HasPrefix(event, "pusher_internal:")
}

// validSocketID reports whether a text has the form of a socket id.
func validSocketID(id string) bool {
	a, b, ok := strings.Cut(id, ".")
	return ok && a != "" && b != "" && len(id) <= 64 && strings.Trim(a+b, "0123456789") == ""
}
