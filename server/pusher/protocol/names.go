// Package protocol is the wire format of Pusher Channels: what names may be, the codes
// of errors, how JSON values are read, and the frames that clients are sent. It knows
// no app and no connection; its functions may be called from any goroutine.
package protocol

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// What names may be, in characters (Pusher Channels, "Channel naming conventions"
// and "HTTP API reference"; user ids as in Sockudo).
const (
	MaxChannelName = 200
	MaxEventName   = 200
	MaxUserID      = 128
)

// UserChannel begins the name of a signed-in user's own channel.
const UserChannel = "#server-to-user-"

// A Kind is what the beginning of a channel's name says about it.
type Kind struct {
	Private   bool // needs a signature; so do presence and encrypted ones
	Presence  bool
	Encrypted bool
	Cache     bool // a newcomer is given the last event
	User      bool // belongs to a signed-in user
}

// KindOf reads the kind of a valid name. Prefixes count at the start alone.
func KindOf(channel string) Kind {
	var k Kind
	switch {
	case strings.HasPrefix(channel, UserChannel):
		k.User = true
	case strings.HasPrefix(channel, "private-"):
		k.Private = true
		rest := channel[len("private-"):]
		if after, ok := strings.CutPrefix(rest, "encrypted-"); ok {
			k.Encrypted, rest = true, after
		}
		k.Cache = strings.HasPrefix(rest, "cache-")
	case strings.HasPrefix(channel, "presence-"):
		k.Private, k.Presence = true, true
		k.Cache = strings.HasPrefix(channel, "presence-cache-")
	default:
		k.Cache = strings.HasPrefix(channel, "cache-")
	}
	return k
}

// ChannelRule says what a channel's name may be.
const ChannelRule = "want 1 to 200 letters, digits and -_=@,.;"

// ErrBadChannel is said of a name that no channel can have.
var ErrBadChannel = errors.New("invalid channel name: " + ChannelRule)

// channelChars are the characters of a channel's name beside letters and digits.
const channelChars = "-_=@,.;"

// ValidChannel reports whether a name is one that a channel can have. A user's own
// channel is as free in its characters as the user's id.
func ValidChannel(name string) bool {
	if id, ok := strings.CutPrefix(name, UserChannel); ok {
		return ValidUserID(id)
	}
	if name == "" || len(name) > MaxChannelName {
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

// ValidUserID reports whether a user can have an id.
func ValidUserID(id string) bool {
	return id != "" && len(id) <= 4*MaxUserID && utf8.RuneCountInString(id) <= MaxUserID
}

// ValidEvent reports whether a publisher may use a name: not one of the
// protocol's own, which a client would take for the server's word.
func ValidEvent(name string) bool {
	return name != "" && utf8.RuneCountInString(name) <= MaxEventName && !Reserved(name)
}

// Reserved reports whether an event's name is one of the protocol's own.
func Reserved(event string) bool {
	return strings.HasPrefix(event, "pusher:") || strings.HasPrefix(event, "pusher_internal:")
}

// ValidSocketID reports whether a text has the form of a socket id.
func ValidSocketID(id string) bool {
	a, b, ok := strings.Cut(id, ".")
	return ok && a != "" && b != "" && len(id) <= 64 && strings.Trim(a+b, "0123456789") == ""
}
