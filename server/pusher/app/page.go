package app

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"poosh/server/hub"
)

// A PageAsk is which of a channel's kept events are wanted.
type PageAsk struct {
	After, UpTo uint64 // those behind one serial, up to and with another one

	// From and Before, where they are not zero, are times: the events of the first and later
	// ones, without those of the second and later ones.
	From, Before time.Time

	OldestFirst bool // of these events the oldest, in their order; else the newest, in the other
	Limit       int  // events, at the most; more than 0
}

// A Page is a part of what is kept of a channel, of one moment.
type Page struct {
	Head hub.Position // of the app's last event
	List []*hub.Kept  // in the order that was asked for; shared, so nothing of it may be changed
	More bool         // there are more of those that are asked for

	// What is kept of the channel in all: how many events, bytes of their data, and the oldest
	// and the newest, which are nil where there is none. Whole says that it had no others ever.
	Events, Bytes  int
	Oldest, Newest *hub.Kept
	Whole          bool
}

// Page returns a part of what is kept of a channel. It is for an app that [App.Keeps] events,
// and takes the same time however much is kept.
func (a *App) Page(channel string, ask PageAsk) (p Page) {
	a.shared.Hub.Hold(a.hubName, func(head hub.Position, read hub.Reader) {
		p.Head = head
		l := looker{channel, read}
		p.Whole = read([]hub.Span{{Room: channel, UpTo: math.MaxUint64, Last: -1}}, func(_ bool, n, bytes int) bool {
			p.Events, p.Bytes = n, bytes
			return false
		}).Whole
		p.Oldest, p.Newest = l.one(hub.Span{First: 1}), l.one(hub.Span{Last: 1})
		p.List, p.More = l.pick(ask)
	})
	p.Whole = p.Whole && a.across == nil // another process may have had more
	if !ask.OldestFirst {
		slices.Reverse(p.List)
	}
	return p
}

// Ahead reports whether one of some positions, which another process may have told, is one that this
// one has yet to come to. One with no epoch is of the log there is: it is given its epoch.
func (a *App) Ahead(at []hub.Position) bool {
	if a.across == nil {
		return false
	}
	for i := range at {
		if at[i].Epoch == 0 {
			at[i].Epoch = a.shared.Hub.Head(a.hubName).Epoch
		}
	}
	return a.shared.Hub.Ahead(a.hubName, at...)
}

// Await has then called once this process has come to positions that are [App.Ahead], or returns false; see
// [hub.Hub.Await]. It is for who has shown the app's secret, and counts for no network.
func (a *App) Await(at []hub.Position, then func()) bool {
	return a.shared.Hub.Await(a.hubName, at, noNetwork, then)
}

// await is both for who comes from a network.
func (a *App) await(at []hub.Position, from netip.Addr, then func()) bool {
	h := a.shared.Hub
	return h.Ahead(a.hubName, at...) && h.Await(a.hubName, at, from, then)
}

// A looker reads a channel while the log is held.
type looker struct {
	channel string
	read    hub.Reader
}

// list reads a span up to its end or, where that is 0, that of the log.
func (l looker) list(s hub.Span) []*hub.Kept {
	s.Room = l.channel
	if s.UpTo == 0 {
		s.UpTo = math.MaxUint64
	}
	return l.read([]hub.Span{s}, func(bool, int, int) bool { return true }).List
}

// one reads a span of one event; nil for none.
func (l looker) one(s hub.Span) *hub.Kept {
	if list := l.list(s); len(list) > 0 {
		return list[0]
	}
	return nil
}

// pick reads the events that are asked for, oldest first, and whether there are more.
func (l looker) pick(ask PageAsk) (list []*hub.Kept, more bool) {
	after, upTo := ask.After, ask.UpTo
	if !ask.From.IsZero() { // times are those of events, which are in their order too
		k := l.one(hub.Span{Since: ask.From, First: 1})
		if k == nil {
			return nil, false
		}
		after = max(after, k.At.Number-1)
	}
	if !ask.Before.IsZero() {
		if k := l.one(hub.Span{Since: ask.Before, First: 1}); k != nil {
			upTo = min(upTo, k.At.Number-1)
		}
	}
	if after >= upTo {
		return nil, false
	}
	if ask.OldestFirst {
		list = l.list(hub.Span{After: after, UpTo: upTo, First: ask.Limit + 1})
		if len(list) > ask.Limit {
			return list[:ask.Limit], true
		}
		return list, false
	}
	list = l.list(hub.Span{UpTo: upTo, Last: ask.Limit + 1})
	list = list[sortedBehind(list, after):]
	if len(list) > ask.Limit {
		return list[1:], true
	}
	return list, false
}

// sortedBehind is where in a list in order the first event behind a serial is.
func sortedBehind(list []*hub.Kept, serial uint64) int {
	i := slices.IndexFunc(list, func(k *hub.Kept) bool { return k.At.Number > serial })
	if i < 0 {
		return len(list)
	}
	return i
}
