package echo

import (
	"net/netip"
	"sync"
	"time"

	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/rate"
	"poosh/server/socketio"
)

// Events that clients send.
const (
	subscribeEvent   = "subscribe"
	unsubscribeEvent = "unsubscribe"
	clientEvent      = "client event"
)

// channelCost is about what being in a channel takes beside its name, in bytes, as in Poosh.
const channelCost = 300

// A visitor is what is known of a session before its client is in the namespace: the header
// Cookie of its handshake.
type visitor string

// A listener is a client.
type listener struct {
	d       *Dialect // set once, as what follows
	session *socketio.Session
	sub     *hub.Subscriber
	cookie  visitor
	from    netip.Addr // the network that its channels count for
	since   time.Time  // when it connected

	pace  rate.Pace   // of its client events; owned by the session's events
	grace *loop.Timer // set once, by Dialect.linger
	state *state      // what it may come back to; nil for nothing. Set once, before its end

	mu       sync.Mutex // guards what follows, and the subscriptions
	gone     bool       // its connection has ended
	asked    bool       // it has subscribed to something
	underway int        // presence channels that it has yet to leave
	trail    *hub.Trail // what it has had; nil unless it may come back
	channels map[string]*subscription
	taken    int // of Process.Rooms
}

var (
	_ socketio.Returner = (*Dialect)(nil)
	_ hub.Describer     = (*socketio.Session)(nil)
	_ hub.Misser        = (*socketio.Session)(nil)
	_ hub.Replayer      = (*socketio.Session)(nil)
)

// Connected implements [socketio.Handler].
func (d *Dialect) Connected(s *socketio.Session) {
	cookie, _ := s.Data.(visitor)
	l := d.comeBack(s, cookie)
	if l == nil {
		if said := s.Return(); said.PID != "" || said.Wrong {
			d.counted.not.Add(1)
		}
		l = d.begin(s, cookie)
	}
	s.Data = l
	d.enlist(l)
	l.reseat()
}

// newListener returns a client that is nowhere yet.
func (d *Dialect) newListener(s *socketio.Session, cookie visitor) *listener {
	return &listener{d: d, session: s, cookie: cookie, from: s.Network(), since: time.Now(), channels: make(map[string]*subscription)}
}

// begin seats a client that is new. It is in no channel, also not in one of its own id as
// sockets of Socket.IO are: that would be anybody's who names it.
func (d *Dialect) begin(s *socketio.Session, cookie visitor) *listener {
	l := d.newListener(s, cookie)
	most := d.bounds.Load().MaxChannels
	if !s.Return().Wanted {
		l.sub = d.hub.Register(App, s.ID(), most, plain, s)
		return l
	}
	l.trail = new(hub.Trail)
	var start hub.Position
	l.sub, start = d.hub.RegisterKept(App, s.ID(), most, numbered, s, l.trail)
	l.state = d.states.Begin(l, l.sub.ID(), start)
	s.GiveID(l.state.PID)
	return l
}

// Closed implements [socketio.Handler].
func (d *Dialect) Closed(s *socketio.Session, reason string) {
	l, ok := s.Data.(*listener)
	if !ok {
		return
	}
	s.Data = l.cookie // for one that joins the namespace anew
	meant := reason == socketio.LeftByClient || s.Kicked()
	d.states.Left(l, l.state, l.from, !meant)
	d.strike(l)
	l.depart(!meant)
}

// Event implements [socketio.Handler]. No event is answered.
func (d *Dialect) Event(s *socketio.Session, name string, args [][]byte, _ socketio.Ack) {
	l, ok := s.Data.(*listener)
	if !ok {
		return
	}
	why := unknown
	switch most := d.maxName; name {
	case subscribeEvent:
		var w wish
		if w, why = readWish(args, most); why == understood {
			l.subscribe(w)
		}
	case unsubscribeEvent:
		var w wish
		if w, why = readWish(args, most); why == understood || why == badHeaders {
			why = understood
			l.unsubscribe(w.channel)
		}
	case clientEvent:
		var w whisper
		if w, why = readWhisper(args, most); why == understood {
			why = l.whisper(w)
		}
	}
	if why != understood {
		d.ignored.Add(why, 1)
	}
}

// whisper hands a client's event to the others in a channel.
func (l *listener) whisper(w whisper) ignored {
	d := l.d
	most := d.bounds.Load().Whispers
	switch {
	case !l.isIn(w.channel):
		return notInside
	case !l.pace.Allow(most, max(1, most.Limit), time.Duration(d.loop.Now())):
		return tooOften
	case d.process.Gate.Try() != nil:
		return overloaded
	}
	defer d.process.Gate.Leave()
	d.publish(&hub.Publication{App: App, Room: w.channel, Event: w.event, Data: w.data, Except: l.sub.ID(), Passing: true}, "", nil)
	return understood
}

// isIn reports whether the client is in a channel as one that may be.
func (l *listener) isIn(channel string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.channels[channel]
	return s != nil && s.seated
}
