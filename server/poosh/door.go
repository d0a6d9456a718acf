package poosh

import (
	"context"
	"log/slog"
	"math"
	"strconv"
	"time"

	"poosh/server/dialect"
	"poosh/server/hub"
	"poosh/server/seldom"
	"poosh/server/socketio"
)

// A Door is where another dialect comes in whose events are for Poosh's clients: it publishes to the
// hub, in [App], by itself, and tells here what came of it. Its methods may be called from any
// goroutine, those that say so once Poosh has started.
type Door struct{ settings *settings }

// DoorOf is that of the dialect that [Declare] made.
func DoorOf(d *dialect.Dialect) *Door { return &Door{d.Options.(*settings)} }

// What of a dialect that runs is behind its door.
type inside struct {
	api    *API
	server *socketio.Server
	events *streams

	unpublished *unpublished
}

// unpublished are events that came by a door and did not get out. As long as a cluster's engine is away
// these are all, and the log has a line of them once a minute.
type unpublished struct{ seldom.Word }

func (u *unpublished) say(log *slog.Logger, p *hub.Publication, err error) {
	if before, say := u.May(time.Minute); say {
		log.Warn("an event was not published, or maybe not everywhere", "event", clip(p.Event), "err", err, "others before", before)
	}
}

// On reports whether the settings ask for Poosh.
func (d *Door) On() bool { return d.settings.on() }

// MaxBody is MAX_BODY_BYTES: no event may be larger.
func (d *Door) MaxBody() int64 { return d.settings.API.MaxBody }

// Published counts an event that was sent, and tells the log and those who watch, once Poosh has
// started. One for several rooms they are told of once for each, as of the events of a list. What did
// not get out is not counted, and the log is told.
func (d *Door) Published(p *hub.Publication, h hub.Handed) {
	a := d.settings.inside.api
	if h.Err != nil {
		d.settings.inside.unpublished.say(a.log, p, h.Err)
		return
	}
	a.traffic.Published(len(p.Data), max(0, h.Took))
	id, debug := a.sends.Next(), a.log.Enabled(context.Background(), slog.LevelDebug)
	to, _ := p.Union()
	if len(to.Rooms) == 0 {
		a.tell(id, p, "", h.Took, debug)
		return
	}
	if !a.sends.Watched() && !debug {
		return
	}
	for i, room := range to.Rooms {
		one := *p
		one.Room, one.Everyone, one.Narrowed, one.Except = room, false, false, ""
		a.tell(id+"."+strconv.Itoa(i+1), &one, "", h.Took, debug)
	}
}

// Disconnect sends away the clients of Socket.IO of this process that are in any of some rooms, or all
// of them for none, but for those in others, and returns how many, once Poosh has started: with a word
// after which they stay away, as Disconnect of a socket does it.
func (d *Door) Disconnect(rooms, except []string) int {
	in := d.settings.inside
	seated := func(rooms []string) map[hub.Receiver]bool {
		there := make(map[hub.Receiver]bool)
		for _, room := range rooms {
			list, _ := in.api.hub.Seated(App, room, math.MaxInt)
			for _, s := range list {
				there[s.Receiver()] = true
			}
		}
		return there
	}
	yes, no := seated(rooms), seated(except)
	meant := func(r hub.Receiver) bool { return (len(rooms) == 0 || yes[r]) && !no[r] }
	return in.server.KickAll(func(s *socketio.Session) bool { return meant(s) }) +
		in.events.KickAll(func(s *stream) bool { return meant(s) })
}
