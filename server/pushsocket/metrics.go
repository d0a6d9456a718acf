package pushsocket

import (
	"poosh/server/closed"
	"poosh/server/dialect"
	"poosh/server/hub"
	"poosh/server/metric"
	"poosh/server/standing"
)

// portSetting names the one port.
const portSetting = "PUSH_SOCKET_PORT"

// metrics are the numbers of this moment that this dialect alone has. None of them asks
// the database, which others wait for.
func (d *Dialect) metrics() []metric.Reading {
	d.mu.Lock()
	authorized := len(d.mailboxes)
	d.mu.Unlock()
	return []metric.Reading{
		metric.Gauge("push_socket_sessions", "push_socket_sessions", "Sessions of the Push Socket Protocol.", d.sockets.Stats().Sessions),
		metric.Gauge("push_socket_devices", "push_socket_devices", "Devices that have authorized on a connection that is open.", authorized),
		metric.Counters("push_socket", "push_socket_events_total", "What happened to keys and messages of the Push Socket Protocol.", "event",
			d.counts.Samples(0, refusedCredentials-1, "")),
		metric.Counters("push_socket_refused", "push_socket_refused_total", "Requests and authentications of the Push Socket Protocol that were not done, by reason.", "reason",
			d.counts.Samples(refusedCredentials, happenings-1, refusedMark)),
		metric.Gauge("", "push_socket_held_bytes", "Bytes of what clients of the Push Socket Protocol said that waits for a worker.", d.held.Load()),
	}
}

// numbers are those that all dialects have.
func (d *Dialect) numbers() []dialect.App {
	return []dialect.App{{ID: hubApp, Hub: hubApp, Single: true, Clients: portSetting, Senders: portSetting,
		Connected: d.sockets.Stats().Sessions, Kinds: d.sockets.Kinds(), Client: d.find, Standing: d.sockets.Standing, Ends: d.cfg.SocketIO.Closed, Traffic: d.cfg.SocketIO.Traffic.Totals(), Refused: d.sockets.Refused(),
		Limits: []dialect.Limit{dialect.LimitOf("requests", "address", d.requests), dialect.LimitOf("registrations", "address", d.registrations), dialect.LimitOf("keys", "address", d.fetches)}}}
}

// find finds a session by the id that its requests have.
func (d *Dialect) find(id string) (standing.Stander, *hub.Subscriber) {
	if s := d.sockets.Find(id); s != nil {
		return s, nil
	}
	return nil, nil
}

// ownReasons are why the dialect itself closes sessions.
var ownReasons = []closed.Reason{closedTries, closedWaiting, closedEvents, closedRate, closedStore}

// allCounts are the counts by name, as operators have them from the API.
func (d *Dialect) allCounts() map[string]uint64 {
	counts := d.counts.All()
	for _, why := range ownReasons {
		if n := d.cfg.SocketIO.Closed.ClosedCount(why); n > 0 {
			counts["closed: "+why.String()] = n
		}
	}
	return counts
}
