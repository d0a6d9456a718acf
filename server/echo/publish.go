package echo

import (
	"context"
	"log/slog"
	"time"

	"poosh/server/excerpt"
	"poosh/server/hub"
	"poosh/server/intake"
	"poosh/server/sends"
)

// read begins to read what Laravel publishes. Whoever calls it stops the reader, before Shutdown.
func (d *Dialect) read(at intake.Address, maxMessage int) (*intake.Reader, error) {
	by := &d.process
	return intake.Start(intake.Config{
		Name: dialectName, Redis: at, Patterns: d.reader.patterns(intake.EscapePattern), MaxMessage: maxMessage,
		Read:    d.reader.publications,
		Reasons: dropNames[notJSON:],
		Hub:     d.hub, Gate: by.Gate, Begin: by.Begun, Once: by.Once,
		Handed: func(p *hub.Publication, h hub.Handed) { d.handed(by.Sends.Next(), p, "redis", h) },
		Log:    d.log,
	})
}

// publications is read as the intake asks for it.
func (r *reader) publications(m intake.Message) ([]*hub.Publication, string) {
	p, why := r.read(m.Channel, m.Payload)
	if why != taken {
		return nil, dropNames[why]
	}
	return []*hub.Publication{p}, ""
}

// publish publishes an event to its channel. The gate has let it in. from is who sent it, as
// operators are told: empty for a client. done, unless nil, is told what became of it, from any
// goroutine; it must not block. It returns the id of the send.
func (d *Dialect) publish(p *hub.Publication, from string, done func(hub.Handed)) (id string) {
	id = d.process.Sends.Next()
	d.hub.Send(p, func(h hub.Handed) {
		d.handed(id, p, from, h)
		if done != nil {
			done(h)
		}
	})
	return id
}

// handed counts a publication of which it is known what became of it. In a cluster nobody knows here
// who took it: each process counts what it hands to clients of its own, see [dialect.Host].Delivered.
func (d *Dialect) handed(id string, p *hub.Publication, from string, h hub.Handed) {
	d.traffic.Published(len(p.Data), max(0, h.Took))
	d.tell(id, p, from, h)
}

// tell tells the log, if it wants to know, and those who watch of an event that was published.
func (d *Dialect) tell(id string, p *hub.Publication, from string, h hub.Handed) {
	if h.Err != nil {
		if unsaid, say := d.unpublished.May(time.Minute); say { // with the engine away it is all, clients' too
			d.log.Warn("echo: not published to all nodes", "id", id, "channel", clip(p.Room), "err", h.Err, "others before", unsaid)
		}
		return
	}
	if feed := d.process.Sends; feed.Watched() {
		feed.Report(sends.Send{ID: id, Dialect: dialectName, Room: p.Room, Event: p.Event, Size: len(p.Data),
			Handed: max(0, h.Took), Uncounted: h.Took < 0, From: from, Payload: p.Data})
	}
	if !d.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{slog.String("id", id), slog.String("event", clip(p.Event)), slog.String("channel", clip(p.Room)), slog.Int("bytes", len(p.Data))}
	if h.Took >= 0 {
		attrs = append(attrs, slog.Int("delivered", h.Took))
	}
	d.log.LogAttrs(context.Background(), slog.LevelDebug, "echo: sent", attrs...)
}

// clip bounds what stands in the log of a name.
func clip(name string) string { return excerpt.Of(name, 100) }
