package app

import (
	"context"
	"iter"
	"strings"
	"time"

	"poosh/server/hub"
)

// What follows asks about all processes. In a cluster it waits for them, until ctx ends, and its
// errors are those of [presence.Census]; in one process alone it knows, and has none.

// CountAll returns how many connections and users are in a channel.
func (a *App) CountAll(ctx context.Context, channel string) (connections, users int, err error) {
	if a.across != nil {
		return a.across.Census.Count(ctx, a.hubName, channel)
	}
	connections, users = a.Count(channel)
	return connections, users, nil
}

// AllChannels yields every channel that somebody is in and whose name begins with a prefix, each
// once. An error is the last that is yielded.
func (a *App) AllChannels(ctx context.Context, prefix string) iter.Seq2[hub.RoomCount, error] {
	if a.across != nil {
		return a.across.Census.Rooms(ctx, a.hubName, prefix)
	}
	return func(yield func(hub.RoomCount, error) bool) {
		for c := range a.Channels() {
			if strings.HasPrefix(c.Room, prefix) && !yield(c, nil) {
				return
			}
		}
	}
}

// AllMembers returns who is in a presence channel.
func (a *App) AllMembers(ctx context.Context, channel string) ([]hub.Member, error) {
	if a.across != nil {
		return a.across.Census.Members(ctx, a.hubName, channel)
	}
	return a.Members(channel), nil
}

// CachedAll is [App.Cached] of all processes.
func (a *App) CachedAll(ctx context.Context, channel string) (data []byte, left time.Duration, ok bool, err error) {
	if a.across != nil {
		return a.across.Census.Cached(ctx, a.hubName, channel)
	}
	data, left, ok = a.Cached(channel)
	return data, left, ok, nil
}

// LenAll returns how many connections the app has.
func (a *App) LenAll(ctx context.Context) (int, error) {
	if a.across != nil {
		n, _, err := a.across.Census.Count(ctx, a.across.own, countRoom)
		return n, err
	}
	return a.Len(), nil
}
