package echo

import (
	"math"

	"poosh/server/dialect"
	"poosh/server/hub"
	"poosh/server/metric"
	"poosh/server/socketio"
	"poosh/server/standing"
)

// metrics are the numbers of this moment that this dialect alone has.
func (d *Dialect) metrics() []metric.Reading {
	list := []metric.Reading{
		metric.Gauge("echo_sessions", "echo_sessions", "Sessions of laravel-echo's clients, with those that have ended and whose last words were not fetched yet.", d.sockets.Stats().Sessions),
		metric.Counters("echo_ignored", "echo_ignored_total", "Events of laravel-echo's clients that did nothing, by why.", "reason", d.ignored.Samples(unknown, ignoring-1, "")),
		metric.Counter("echo_refused", "echo_subscriptions_refused_total", "Subscriptions of laravel-echo's clients that were answered subscription_error.", d.refused.Load()),
		metric.Gauge("", "echo_lingering", "Members of presence channels of laravel-echo whose connections are cut, and who are waited for.", d.countLingering()),
		metric.Counter("", "echo_not_lingering_total", "Clients in presence channels of laravel-echo whose connections were cut and who were not waited for, since too many are.", d.hasty.Load()),
	}
	list = append(list, d.api.Readings()...)
	if d.asks != nil {
		list = append(list, d.asks.Readings()...)
	}
	if d.updates != nil {
		list = append(list, metric.Counter("", "echo_updates_dropped_total", "Changes of presence channels that the application was not told of, since too many waited.", d.updates.dropped.Load()))
	}
	if d.kept {
		list = append(list, d.counted.readings()...)
	}
	return list
}

func (d *Dialect) countLingering() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.lingering)
}

// numbers are those that all dialects have.
func (d *Dialect) numbers() []dialect.App {
	app := dialect.App{ID: appID, Hub: App, Single: true, Clients: portSetting, Senders: portSetting,
		Connected: d.sockets.Stats().Sessions, Kinds: d.sockets.Kinds(), Ends: d.closed, Traffic: d.traffic.Totals(),
		Refused: d.sockets.Refused(), Channels: d.channels, Client: d.client}
	for i := range d.kinds {
		left := d.kinds[i].ended.Load() // before what was made: it is never more
		app.Left = append(app.Left, metric.Of(left, kindNames[i]))
		app.Subscribed = append(app.Subscribed, metric.Of(d.kinds[i].made.Load(), kindNames[i]))
	}
	return []dialect.App{app}
}

// channels are those with somebody in them, by kind.
func (d *Dialect) channels() (list []metric.Sample) {
	var by [kindCount]int
	for room := range d.hub.Rooms(App) {
		by[kindOf(room.Room).index()]++
	}
	for i, n := range by {
		list = append(list, metric.Of(n, kindNames[i]))
	}
	return list
}

// client finds a client by the id of its socket, or by that of its session, which the log names.
func (d *Dialect) client(id string) (standing.Stander, *hub.Subscriber) {
	if l := d.find(id); l != nil {
		return l.session, l.sub
	}
	s := d.sockets.Find(id)
	if s == nil {
		return nil, nil
	}
	if l := d.find(s.ID()); l != nil {
		return s, l.sub
	}
	return s, nil
}

// kick closes clients for an operator; see [dialect.Running].
func (d *Dialect) kick(whom dialect.Whom) int {
	if !whom.Has(appID) {
		return 0
	}
	there := make(map[hub.Receiver]bool)
	if whom.Room != nil {
		seated, _ := d.hub.Seated(App, *whom.Room, math.MaxInt)
		for _, s := range seated {
			there[s.Receiver()] = true
		}
	}
	return d.sockets.KickAll(func(s *socketio.Session) bool {
		return whom.Is(s.ID(), s.RemoteAddr(), func(string) bool { return there[s] })
	})
}
