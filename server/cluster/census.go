package cluster

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"poosh/server/cluster/resp"

	"poosh/server/hub"
	"poosh/server/presence"
)

var _ presence.Census = (*Cluster)(nil)

// roomsPage is how many rooms one answer of the engine has.
const roomsPage = 256

// ask asks the engine about a partition.
func (p *partition) ask(ctx context.Context, f func(context.Context, *link) error) error {
	l := p.current()
	if l == nil {
		return presence.ErrAway
	}
	bounded, cancel := context.WithTimeout(ctx, p.c.cfg.Timeout)
	defer cancel()
	err := f(bounded, l)
	if err == nil || errors.Is(err, resp.ErrNull) {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %v", presence.ErrAway, err)
}

// Count is for dialects, see [presence.Census].
func (c *Cluster) Count(ctx context.Context, app, room string) (connections, users int, err error) {
	p := c.partition(app, room, false)
	err = p.ask(ctx, func(ctx context.Context, l *link) error {
		list, err := countScript.on(ctx, l.line.wire, []string{p.tag.connections(app, room), p.tag.members(app, room)}, nil).AsIntSlice()
		if err == nil && len(list) == 2 {
			connections, users = int(list[0]), int(list[1])
		}
		return err
	})
	return connections, users, err
}

// Members is for dialects too.
func (c *Cluster) Members(ctx context.Context, app, room string) (all []hub.Member, err error) {
	p := c.partition(app, room, false)
	err = p.ask(ctx, func(ctx context.Context, l *link) error {
		list, err := l.line.do(ctx, "HGETALL", p.tag.members(app, room)).AsStrMap()
		all = make([]hub.Member, 0, len(list))
		for user, is := range list {
			_, info, _ := strings.Cut(is, "\x00")
			all = append(all, hub.Member{ID: user, Info: []byte(info)})
		}
		return err
	})
	return all, err
}

// Cached is for dialects too.
func (c *Cluster) Cached(ctx context.Context, app, room string) (data []byte, left time.Duration, ok bool, err error) {
	p := c.partition(app, room, false)
	err = p.ask(ctx, func(ctx context.Context, l *link) error {
		key := p.tag.cached(app, room)
		ms, err := l.line.do(ctx, "PTTL", key).AsInt64()
		if err != nil || ms <= 0 {
			return err
		}
		text, err := l.line.do(ctx, "GET", key).ToString()
		if pub := cachedOf(text); err == nil && pub != nil {
			data, left, ok = pub.Data, time.Duration(ms)*time.Millisecond, true
		}
		return err
	})
	return data, left, ok, err
}

// Rooms is for dialects too. It asks for a page of each partition at a time.
func (c *Cluster) Rooms(ctx context.Context, app, prefix string) iter.Seq2[hub.RoomCount, error] {
	return func(yield func(hub.RoomCount, error) bool) {
		parts := c.rooms()
		if c.opt.Together != nil && c.opt.Together(app) {
			parts = []*partition{c.partition(app, "", true)}
		}
		pages := make([]roomPages, len(parts))
		for i, p := range parts {
			pages[i] = roomPages{p: p, app: app, prefix: prefix, from: "[" + prefix}
		}
		for {
			var least *roomPages
			for i := range pages {
				g := &pages[i]
				if err := g.fill(ctx); err != nil {
					yield(hub.RoomCount{}, err)
					return
				}
				if len(g.list) > 0 && (least == nil || g.list[0].Room < least.list[0].Room) {
					least = g
				}
			}
			if least == nil {
				return
			}
			next := least.list[0]
			least.list = least.list[1:]
			if next.Connections > 0 && !yield(next, nil) {
				return
			}
		}
	}
}

// roomPages are the rooms of one partition, a page at a time.
type roomPages struct {
	p           *partition
	app, prefix string
	from        string // where the next page begins
	over        bool
	list        []hub.RoomCount
}

// fill sees to it that there is a room, if there is one.
func (g *roomPages) fill(ctx context.Context) error {
	if len(g.list) > 0 || g.over {
		return nil
	}
	return g.p.ask(ctx, func(ctx context.Context, l *link) error {
		args := []string{string(g.p.tag), g.app, g.from, g.prefix, strconv.Itoa(roomsPage)}
		list, err := roomsScript.on(ctx, l.line.wire, []string{g.p.tag.state()}, args).AsStrSlice()
		if err != nil {
			return err
		}
		for i := 0; i+2 < len(list); i += 3 {
			r := hub.RoomCount{Room: list[i]}
			r.Connections, _ = strconv.Atoi(list[i+1])
			r.Users, _ = strconv.Atoi(list[i+2])
			g.list = append(g.list, r)
			g.from = "(" + r.Room
		}
		g.over = len(list) < 3*roomsPage
		return nil
	})
}
