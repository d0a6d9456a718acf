package pusher

import (
	"poosh/server/dialect"
	"poosh/server/hub"
	"poosh/server/metric"
	"poosh/server/pusher/app"
	"poosh/server/pusher/client"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
	"poosh/server/standing"
)

// metrics are the numbers of this moment that this dialect alone has.
func (d *Dialect) metrics() []metric.Reading {
	of := d.counts.Samples
	var waiting metric.Backlog
	channels := 0
	for a := range d.apps.All() {
		events, bytes := a.Webhooks()
		waiting.Count, waiting.Bytes = waiting.Count+events, waiting.Bytes+bytes
		channels += a.CountChannels()
	}
	return []metric.Reading{
		metric.Gauge("pusher_connections", "pusher_connections", "Connections of Pusher clients, with those in their handshake.", d.clients.Len()),
		metric.Gauge("pusher_channels", "pusher_channels", "Pusher channels with somebody in them.", channels),
		metric.Counters("pusher", "pusher_events_total", "What Pusher clients did.", "event", of(tally.FirstOfClients, tally.LastOfClients, "")),
		metric.Counters("pusher_recoveries", "pusher_recoveries_total", "Times that a client of Pusher's apps asked for what it missed of a channel, or for what was before, by whether it was given all of it.", "outcome",
			of(tally.Recovered, tally.NotRecovered, "recovery ")),
		metric.Counter("", "pusher_replayed_total", "Events that these clients were given then.", d.counts.Get(tally.Replayed)),
		metric.Counters("pusher_answers", "pusher_answers_total", "Answers of the Pusher API, by status.", "status", of(tally.FirstAnswer, tally.LastAnswer, "api ")),
		metric.Counters("pusher_refused", "pusher_connections_refused_total", "Pusher connects that were turned away, by the status, or the code of the close, that they were told.", "code", of(tally.FirstRefused, tally.LastRefused, "connect refused ")),
		metric.Counters("pusher_webhooks", "webhook_events_total", "Events for webhooks, by what became of them; of those that were retried, tries.", "outcome", of(tally.FirstOfWebhooks, tally.LastOfWebhooks, "webhook ")),
		metric.Gauge("", "webhook_queue_events", "Events that wait for a webhook, or are on their way to it.", waiting.Count),
		metric.Gauge("", "webhook_queue_bytes", "Bytes of the events that wait for a webhook, or are on their way to it.", waiting.Bytes),
	}
}

// numbers are those that all dialects have, for each app. Who was turned away at the door
// belongs to no app.
func (d *Dialect) numbers() []dialect.App {
	list := []dialect.App{{Clients: portSetting, Senders: portSetting,
		Refused: d.counts.Samples(tally.FirstRefused, tally.LastRefused, "connect refused "),
		Limits:  d.ofAddresses(),
	}}
	for a := range d.apps.All() {
		n := a.Numbers()
		of := dialect.App{ID: a.ID(), Hub: app.HubName(a.ID()), Clients: portSetting, Senders: portSetting, Connected: n.Connections, Ends: a.Clients, Traffic: n.Traffic,
			Limits: limitsOf(a), Previous: a.Previous.Samples()}
		of.Channels = func() (list []metric.Sample) {
			for k, n := range a.ChannelsByKind() {
				list = append(list, metric.Of(n, app.KindNames[k]))
			}
			return list
		}
		for version, count := range n.Versions {
			if version >= protocol.OldestVersion || version == protocol.SockudoVersion {
				of.Kinds = append(of.Kinds, metric.Of(count, "websocket", client.Version(version)))
			}
		}
		of.Client = func(id string) (standing.Stander, *hub.Subscriber) {
			c := a.Find(id)
			if c == nil {
				return nil, nil
			}
			who, _ := c.Seat().Receiver().(standing.Stander)
			return who, c.Seat()
		}
		for k, name := range app.KindNames {
			of.Subscribed = append(of.Subscribed, metric.Of(n.Subscribed[k], name))
			of.Left = append(of.Left, metric.Of(n.Left[k], name))
		}
		list = append(list, of)
	}
	return list
}

// fill makes the request that a server of an app with a secret sends.
func (d *Dialect) fill(f dialect.Form) (*dialect.Request, error) {
	r, err := d.api.Fill(f)
	if err == nil {
		r.Port = portSetting
	}
	return r, err
}

// ofAddresses are the limits on what one address may ask for.
func (d *Dialect) ofAddresses() []dialect.Limit {
	return []dialect.Limit{dialect.LimitOf("api", "address", d.api.Limit()), dialect.LimitOf("connect", "address", d.clients.Limit())}
}

// limitsOf are the limits on what may be asked for of an app.
func limitsOf(a *app.App) []dialect.Limit {
	return []dialect.Limit{dialect.LimitOf("api", "app", a.APILimit()), dialect.LimitOf("connect", "app", a.ConnectLimit())}
}

// Limits are what the limits on rates did, those of addresses first and then those of each
// app.
func (d *Dialect) Limits() []dialect.Limit {
	list := d.ofAddresses()
	for a := range d.apps.All() {
		list = append(list, limitsOf(a)...)
	}
	return list
}
