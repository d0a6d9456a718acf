package app

import (
	"sync/atomic"

	"poosh/server/metric"
	"poosh/server/pusher/protocol"
)

// A kind of channel, as collectors are told it (soketi's and Sockudo's channel_type).
type kind uint8

const (
	public kind = iota
	private
	ofPresence
	encrypted
	cached // and public
	ofUser
	kinds
)

// KindNames are what the kinds of channels are called in [Numbers].
var KindNames = [kinds]string{public: "public", private: "private", ofPresence: "presence", encrypted: "private_encrypted", cached: "cache", ofUser: "user"}

func kindOf(k protocol.Kind) kind {
	switch {
	case k.User:
		return ofUser
	case k.Presence:
		return ofPresence
	case k.Encrypted:
		return encrypted
	case k.Private:
		return private
	case k.Cache:
		return cached
	}
	return public
}

// versions bounds those of the protocol, which are 4 to 7, and 2 (Sockudo's).
const versions = protocol.NewestVersion + 1

// changes counts subscriptions to channels of one kind that were made and that ended.
type changes struct{ made, ended atomic.Uint64 }

// Numbers are those of one app.
type Numbers struct {
	Connections int           // open now
	Versions    [versions]int // of those, by the version of the protocol
	Traffic     metric.Totals
	Subscribed  [kinds]uint64 // subscriptions since the start, by the kind of the channel
	Left        [kinds]uint64 // of those, the ones that have ended
}

// Numbers returns the numbers of this moment.
func (a *App) Numbers() Numbers {
	n := Numbers{Connections: a.Len(), Traffic: a.traffic.Totals()}
	a.mu.Lock()
	n.Versions = a.by
	a.mu.Unlock()
	for k := range kinds {
		n.Left[k] = a.kinds[k].ended.Load() // before those that were made: it is never more
		n.Subscribed[k] = a.kinds[k].made.Load()
	}
	return n
}

// ChannelsByKind returns how many channels of each kind somebody is in, in the order of
// [KindNames]. It goes through all of them, which takes about a tenth of a millisecond for
// a thousand.
func (a *App) ChannelsByKind() (n [kinds]int) {
	for c := range a.Channels() {
		n[kindOf(protocol.KindOf(c.Room))]++
	}
	return n
}

// CountChannels returns how many channels somebody is in. It goes through none of them.
func (a *App) CountChannels() int { return a.shared.Hub.CountRooms(a.hubName) }

// Webhooks returns how many events wait for the app's webhooks, and their bytes.
func (a *App) Webhooks() (events, bytes int) { return a.hooks.Waiting() }

// Received counts a message of a client.
func (a *App) Received(bytes int) { a.traffic.Received(bytes) }

// Requested counts a signed request, by the bytes of its body.
func (a *App) Requested(bytes int) { a.traffic.Requested(bytes) }

// Answered counts what such a request was answered, by the bytes of the body; it implements
// [poosh/server/http1.Account].
func (a *App) Answered(bytes int) { a.traffic.Answered(bytes) }
