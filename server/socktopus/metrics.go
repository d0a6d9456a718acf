package socktopus

import (
	"poosh/server/dialect"
	"poosh/server/metric"
)

// portSetting names the one port.
const portSetting = "SOCKTOPUS_PORT"

// metrics are the numbers of this moment that this dialect alone has.
func (d *Dialect) metrics() []metric.Reading {
	return []metric.Reading{
		metric.Gauge("socktopus_clients", "socktopus_clients", "Clients of Socktopus that can be sent to.", d.connected()),
		metric.Counters("socktopus", "socktopus_messages_total", "Messages of /send, by whether they were handed to their recipient; kept are those that waited for it, and missed those of them that nobody came for, or that went with a /kick or their application.", "outcome",
			[]metric.Sample{metric.Of(d.sent.Load(), "sent"), metric.Of(d.failed.Load(), "failed"), metric.Of(d.kept.Load(), "kept"), metric.Of(d.missed.Load(), "missed")}),
		metric.Gauge("", "socktopus_kept_bytes", "Bytes that SOCKTOPUS_KEEP has of messages for clients that are between two connections.", d.waiting()),
		metric.Counters("socktopus_refused", "socktopus_refused_total", "Requests to Socktopus that were not done, by reason.", "reason",
			d.refused.Samples(notRefused+1, numRefusals-1, "")),
	}
}

// numbers are those that all dialects have, for each application. Who was turned away
// belongs to none, as far as is known.
func (d *Dialect) numbers() []dialect.App {
	refused := append(d.refused.Samples(badOrigin, shuttingDown, ""), metric.Of(d.lost.Load(), "handshake failed"))
	list := []dialect.App{{Clients: portSetting, Senders: portSetting, Refused: refused}}
	by := d.rules.Load()
	for _, name := range by.names {
		a := by.apps[name]
		connected := d.hub.Len(a.room)
		list = append(list, dialect.App{ID: name, Hub: a.room, Clients: portSetting, Senders: portSetting,
			Connected: connected, Kinds: []metric.Sample{metric.Of(connected, "websocket", "")}, Ends: a.ends, Traffic: a.traffic.Totals(), Previous: a.old.Samples()})
	}
	return list
}
