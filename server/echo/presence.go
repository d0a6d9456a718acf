package echo

import (
	"bytes"
	"cmp"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"poosh/server/echo/authorize"
	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/presence"
	"poosh/server/socketio"
)

// tooManyMembers is the status of a presence channel that is full.
const tooManyMembers = http.StatusServiceUnavailable

// A member is who a client is in a presence channel. It never changes.
type member struct {
	id    string // user_id as text: who has the same is the same user
	entry []byte // what the others see: {"user_id", "user_info", "socketId"}
	bare  []byte // the same without socketId: what they see when it goes
}

func newMember(m *authorize.Member, socket string) *member {
	id, ok := text(m.UserID)
	if !ok {
		id = string(m.UserID)
	}
	b := append([]byte(`{"user_id":`), m.UserID...)
	if m.Info != nil {
		b = append(append(b, `,"user_info":`...), m.Info...)
	}
	bare := append(slices.Clip(b), '}')
	b = append(b, `,"socketId":`...)
	return &member{id: id, entry: append(socketio.AppendString(b, socket), '}'), bare: bare}
}

// in is the member in the hub: with the time at which it came, since the hub has them in no
// order, in a list of JSON: [milliseconds,entry].
func (m *member) in(now time.Time) hub.Member {
	b := strconv.AppendInt([]byte{'['}, now.UnixMilli(), 10)
	return hub.Member{ID: m.id, Info: append(append(append(b, ','), m.entry...), ']')}
}

// seen is what in made of a member.
func seen(info []byte) (came int64, entry []byte) {
	number, rest, ok := bytes.Cut(info, []byte{','})
	if !ok || len(number) < 2 || len(rest) < 2 {
		return 0, []byte("{}")
	}
	came, _ = strconv.ParseInt(string(number[1:]), 10, 64)
	return came, rest[:len(rest)-1]
}

// bareOf is an entry as it is told of who goes.
func bareOf(entry []byte) []byte { return without(entry, "socketId") }

// entries are the members of a channel as a newcomer is told of them, the newest first; but itself
// comes first, as who, whether it is there yet or not.
func entries(list []hub.Member, who *member) []byte {
	slices.SortFunc(list, newestFirst)
	b := append([]byte{'['}, who.entry...)
	for _, m := range list {
		if m.ID != who.id {
			_, entry := seen(m.Info)
			b = append(append(b, ','), entry...)
		}
	}
	return append(b, ']')
}

func newestFirst(a, b hub.Member) int {
	x, _ := seen(a.Info)
	y, _ := seen(b.Info)
	return cmp.Compare(y, x)
}

// many is from how many members on a newcomer is told of them on a goroutine of its own.
const many = 256

// turn has something done with a channel open, which it closes. It waits for nobody.
func (l *listener) turn(channel string, do func(r *hub.Roster)) {
	guarded := func(r *hub.Roster) { l.session.Guard(func() { do(r) }) }
	r := l.d.hub.TryOpen(App, channel)
	switch {
	case r == nil:
		l.d.hub.Queue(App, channel, guarded)
	case r.Len() > many:
		go guarded(r) // ends with what is done
	default:
		do(r)
	}
}

// shut closes a channel. What is known of its members is forgotten with the last connection of this
// process, however that went: nobody is told here from then on who comes and goes.
func (d *Dialect) shut(r *hub.Roster, channel string) {
	if d.across() && r.Connections() == 0 {
		d.forget(channel)
	}
	r.Close()
}

// come has the client be a member of a channel, in the place of who it was there.
func (l *listener) come(s *subscription, who *member) {
	l.turn(s.channel, func(r *hub.Roster) { l.comeIn(r, s, who) })
}

// comeIn is come with the channel open.
func (l *listener) comeIn(r *hub.Roster, s *subscription, who *member) {
	l.mu.Lock()
	wanted, was := l.is(s), s.member
	if wanted && was != nil && was.id != who.id {
		s.member = nil
		l.leaveAs(r, s, was)
		l.left(s)
	}
	again := wanted && was != nil && was.id == who.id
	if again {
		s.coming = false
	}
	l.mu.Unlock()
	switch {
	case !wanted:
		l.d.shut(r, s.channel)
	case again:
		defer l.d.shut(r, s.channel)
		l.session.Deliver(l.list(r, s, who))
	case l.d.across():
		l.ask(r, s, who)
	default:
		defer l.d.shut(r, s.channel)
		l.seat(r, s, who)
	}
}

// list is what a newcomer is told of a channel.
func (l *listener) list(r *hub.Roster, s *subscription, who *member) []byte {
	list := make([]hub.Member, 0, r.Len())
	for m := range r.Members {
		list = append(list, m)
	}
	return socketio.EventFrame("presence:subscribed", arguments(s.channel, entries(list, who)))
}

// seat makes the client a member of a channel, and tells it and the others so. It reports
// whether it is one now.
func (l *listener) seat(r *hub.Roster, s *subscription, who *member) bool {
	l.mu.Lock()
	if !l.is(s) {
		l.mu.Unlock()
		return false
	}
	s.coming = false
	if !l.d.across() && !r.Has(who.id) && r.Len() >= l.d.bounds.Load().MaxMembers {
		l.full(r, s)
		return false
	}
	first, err := l.join(r, s, who)
	if err != nil { // the client is gone, or about to be: see begin
		l.drop(s)
		l.mu.Unlock()
		return false
	}
	s.member = who
	l.mu.Unlock()
	if first && !l.d.across() {
		l.d.announce(s.channel, "presence:joining", who.entry, l.sub.ID())
	}
	return true
}

// full refuses a client that would be one too many. l.mu is held, and is not any more.
func (l *listener) full(r *hub.Roster, s *subscription) {
	if s.seated { // it has come back to a channel that is full by now
		l.leaveRoom(s)
	}
	l.drop(s)
	l.mu.Unlock()
	l.refuse(s.channel, tooManyMembers)
}

// join takes the seat, behind the list of those who are there. l.mu is held.
func (l *listener) join(r *hub.Roster, s *subscription, who *member) (first bool, err error) {
	list, m := l.list(r, s, who), who.in(time.Now())
	switch {
	case s.seated:
		if first, err = r.Adopt(l.sub, m); err == nil {
			l.session.Deliver(list)
		}
		return first, err
	case l.trail != nil:
		first, _, err = r.JoinKept(l.sub, l.trail, m, &hub.Ask{}, func(hub.Position) [][]byte { return [][]byte{list} })
	default:
		first, err = r.Join(l.sub, m, list)
	}
	if err == nil {
		s.seated = true
		l.d.kinds[s.kind.index()].made.Add(1)
	}
	return first, err
}

// announce tells those in a channel of one who comes or goes.
func (d *Dialect) announce(channel, event string, data []byte, except string) {
	d.hub.Publish(&hub.Publication{App: App, Room: channel, Event: event, Data: data, Except: except, Passing: true})
	d.updates.note(channel)
}

// goOut has the client leave a presence channel.
func (l *listener) goOut(s *subscription) {
	l.turn(s.channel, func(r *hub.Roster) {
		defer l.wentOut()
		defer l.d.shut(r, s.channel)
		l.mu.Lock()
		defer l.mu.Unlock()
		who := s.member
		if s.member = nil; who == nil { // one that has come back, and was not made a member yet
			l.leaveRoom(s)
			return
		}
		l.leaveAs(r, s, who)
		l.left(s)
	})
}

// leaveAs gives up the seat of a member, and tells the others. l.mu is held, and the channel is
// open.
func (l *listener) leaveAs(r *hub.Roster, s *subscription, who *member) {
	was, last := r.Leave(l.sub, who.id)
	switch {
	case !was:
	case l.d.across():
		at := l.at(s, who)
		at.Only = last
		l.d.process.Desk.Leave(at)
	case last:
		l.d.announce(s.channel, "presence:leaving", who.bare, "")
	}
}

// at is a member as the desk is told it. Only is left to be said.
func (l *listener) at(s *subscription, who *member) presence.Entry {
	m := who.in(time.Now())
	return presence.Entry{App: App, Room: s.channel, User: m.ID, Info: m.Info, Socket: l.sub.ID(), Counted: true, MaxMembers: l.d.bounds.Load().MaxMembers, Told: l.d.updates != nil}
}

// ask asks the desk whether the client may be a member. The channel stays open until it has
// answered.
func (l *listener) ask(r *hub.Roster, s *subscription, who *member) {
	at := l.at(s, who)
	at.Only = !r.Here(who.id)
	l.d.process.Desk.Enter(at, func(seated presence.Seated, err error) {
		l.session.Guard(func() { l.told(r, s, who, at, seated, err) })
	})
}

// told goes on with what the desk has answered, in the order of what happens in the channel.
func (l *listener) told(r *hub.Roster, s *subscription, who *member, at presence.Entry, seated presence.Seated, err error) {
	d := l.d
	defer d.shut(r, s.channel)
	switch {
	case errors.Is(err, presence.ErrAway):
		l.tryLater(s, who)
		return
	case err != nil:
		l.mu.Lock()
		if !l.is(s) {
			l.mu.Unlock()
			return
		}
		s.coming = false
		l.full(r, s)
		return
	}
	if d.kept {
		d.hub.Reach(App, seated.At)
	}
	d.remember(s.channel, r)
	if !l.seat(r, s, who) {
		d.process.Desk.Leave(at)
	}
}

// tryLater asks the desk again some time from now: the others could not be reached.
func (l *listener) tryLater(s *subscription, who *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.is(s) {
		return
	}
	s.retry = &loop.Timer{Fire: func() { l.session.Guard(func() { l.come(s, who) }) }}
	l.d.loop.Schedule(s.retry, time.Second/2+rand.N(time.Second))
}

// remember keeps what is to be told of members who go: of them the processes tell each other the
// id alone. It is forgotten with the last connection of this process.
func (d *Dialect) remember(channel string, r *hub.Roster) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.infos[channel] != nil {
		return // and others have told of who came since
	}
	list := make(map[string][]byte)
	for m := range r.Members {
		_, list[m.ID] = seen(m.Info)
	}
	d.infos[channel] = list
}

func (d *Dialect) forget(channel string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.infos, channel)
}

// others hears what happens in channels in all processes.
type others struct{ d *Dialect }

var _ presence.Listener = others{}

// Came implements [presence.Listener].
func (o others) Came(channel string, m hub.Member, socket string) {
	_, entry := seen(m.Info)
	o.d.mu.Lock()
	if list := o.d.infos[channel]; list != nil {
		list[m.ID] = entry
	}
	o.d.mu.Unlock()
	o.here(channel, "presence:joining", entry, socket)
}

// Went implements [presence.Listener].
func (o others) Went(channel, user string) {
	o.d.mu.Lock()
	list := o.d.infos[channel]
	entry := list[user]
	delete(list, user)
	o.d.mu.Unlock()
	if entry == nil {
		entry = append(socketio.AppendString([]byte(`{"user_id":`), user), '}')
	}
	o.here(channel, "presence:leaving", bareOf(entry), "")
}

// here tells those who are in a channel in this process. It is called in the order of its
// events.
func (o others) here(channel, event string, data []byte, except string) {
	o.d.hub.DeliverAt(&hub.Publication{App: App, Room: channel, Event: event, Data: data, Except: except, Passing: true}, hub.Position{})
}

// Occupied implements [presence.Listener].
func (others) Occupied(string) {}

// Vacated implements [presence.Listener].
func (others) Vacated(string) {}

// Counted implements [presence.Listener].
func (others) Counted(string, int) {}

// Due implements [presence.Listener].
func (o others) Due(h presence.Happening, done func()) {
	if h.User != "" {
		o.d.updates.note(h.Room)
	}
	done()
}
