package echo

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	"poosh/server/echo/api"
	"poosh/server/hub"
)

// A door is the dialect as its HTTP API sees it. In a cluster it answers for all processes, but
// for the number of connections, which is that of this one.
type door struct{ *Dialect }

var _ api.Dialect = door{}

// Connections implements [api.Dialect].
func (d door) Connections(context.Context) (int, error) { return d.sockets.Stats().Sessions, nil }

// Channels implements [api.Dialect]. They come in the order of their names.
func (d door) Channels(ctx context.Context, prefix string) iter.Seq2[api.Channel, error] {
	return func(yield func(api.Channel, error) bool) {
		rooms := d.here(ctx, prefix)
		if d.across() {
			rooms = d.everywhere(ctx, prefix)
		}
		for room, err := range rooms {
			if !yield(channelOf(room), err) || err != nil {
				return
			}
		}
	}
}

// here are the channels of this process.
func (d door) here(ctx context.Context, prefix string) iter.Seq2[hub.RoomCount, error] {
	return func(yield func(hub.RoomCount, error) bool) {
		if err := d.list(ctx); err != nil {
			yield(hub.RoomCount{}, err)
			return
		}
		rooms := d.named(prefix)
		d.listed()
		for _, room := range rooms {
			if !yield(room, nil) {
				return
			}
		}
	}
}

func channelOf(r hub.RoomCount) api.Channel {
	return api.Channel{Name: r.Room, Count: r.Connections, Users: r.Users}
}

// Channel implements [api.Dialect].
func (d door) Channel(ctx context.Context, name string) (api.Channel, error) {
	r := hub.RoomCount{Room: name}
	var err error
	switch {
	case !d.across():
		r.Connections, r.Users = d.hub.Count(App, name)
	case kindOf(name).presence:
		r.Connections, r.Users, err = d.process.Census.Count(ctx, App, name)
	default:
		r.Connections, err = d.sum(ctx, name)
	}
	return channelOf(r), err
}

// Members implements [api.Dialect].
func (d door) Members(ctx context.Context, name string) (list []api.Member, err error) {
	members, err := d.members(ctx, name)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(members, newestFirst)
	for _, m := range members {
		_, entry := seen(m.Info)
		var is struct {
			UserID   json.RawMessage `json:"user_id"`
			UserInfo json.RawMessage `json:"user_info"`
		}
		if json.Unmarshal(entry, &is) == nil {
			list = append(list, api.Member{UserID: is.UserID, Info: is.UserInfo})
		}
	}
	return list, nil
}

// members are those of a channel, of all processes, in no order.
func (d *Dialect) members(ctx context.Context, channel string) ([]hub.Member, error) {
	if d.across() {
		return d.process.Census.Members(ctx, App, channel)
	}
	return d.hub.Members(App, channel), nil
}
