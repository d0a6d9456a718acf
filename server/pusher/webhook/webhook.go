// Package webhook tells an app's addresses what happens in its channels: it decides
// what they are told and when, queues it within bounds for each address and each class
// of channels, signs and sends it, tries again, and counts and logs what is lost
// (Pusher Channels, "Webhooks"). It knows no connection and no hub.
//
// An address has goroutines of its own, which end when nothing waits to be sent, and at
// the latest with [Hooks.Close].
//
// Lock order: Hooks.mu, Hooks.roll, endpoint.mu, losses.mu.
package webhook

import (
	"container/list"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"poosh/server/guard"
)

// maxHeld bounds the departures of one app that wait for a return, by class; more
// are told at once.
var maxHeld = [classes]int{signed: 5000, public: 2500, cached: 2500}

// Hooks decides what an app's webhooks are told. Its methods may be called from any
// goroutine and never block; who calls them for one channel does so in one turn after
// the other, so that its events are in their order. Those of an app
// without webhooks are idle. The network that each is given is whose client caused the
// event; the zero Addr for nobody's.
type Hooks struct {
	hold time.Duration

	roll      sync.RWMutex // guards endpoints; held for reading while one event is handed out
	endpoints []*endpoint

	leaving sync.WaitGroup // endpoints that are told nothing new
	ending  context.Context
	hurry   context.CancelFunc // ends ending, when these have no more time

	log *slog.Logger // set once

	mu    sync.Mutex // guards what follows
	held  map[departure]*list.Element
	count [classes]int // of held
	queue *list.List   // of *heldBack, the earliest in front
	timer *time.Timer
	over  bool
}

// A departure is a user's from a channel, or with no user everybody's.
type departure struct{ channel, userID string }

// heldBack is a departure that is told only if nobody returns until due.
type heldBack struct {
	departure
	from netip.Addr
	due  time.Time
}

// New returns the webhooks of an app, whose configurations are valid.
func New(configs []Config, o Options) *Hooks {
	w := &Hooks{hold: o.Hold, log: o.Log, held: make(map[departure]*list.Element), queue: list.New()}
	w.ending, w.hurry = context.WithCancel(context.Background())
	w.Change(configs, o)
	return w
}

// sendWithin is how long an address that is not to be told any more has for what waits.
const sendWithin = 30 * time.Second

// Change has other configurations count. An address of which nothing but the signature or
// the queue changes goes on with what waits for it; what waits for one that is not there any
// more is sent as with Close.
func (w *Hooks) Change(configs []Config, o Options) {
	w.roll.Lock()
	defer w.roll.Unlock()
	before := w.endpoints
	var now []*endpoint
	for _, conf := range configs {
		i := slices.IndexFunc(before, func(ep *endpoint) bool { return !slices.Contains(now, ep) && reflect.DeepEqual(ep.conf, conf) })
		if i < 0 {
			now = append(now, newEndpoint(conf, o))
			continue
		}
		before[i].change(o)
		now = append(now, before[i])
	}
	w.endpoints = now
	for _, ep := range before {
		if !slices.Contains(now, ep) {
			w.leaving.Go(func() { // ends with ending at the latest
				ctx, cancel := context.WithTimeout(w.ending, sendWithin)
				defer cancel()
				if err := ep.leave(ctx); err != nil {
					ep.log.Warn("not all is delivered to a webhook that is not told any more", "err", err)
				}
			})
		}
	}
}

// Idle reports whether nobody is told.
func (w *Hooks) Idle() bool { return len(w.told()) == 0 }

// told are the endpoints of now.
func (w *Hooks) told() []*endpoint {
	w.roll.RLock()
	defer w.roll.RUnlock()
	return w.endpoints
}

// Waiting returns how many events wait for their addresses or are on their way, and their
// bytes.
func (w *Hooks) Waiting() (events, bytes int) {
	for _, ep := range w.told() {
		ep.mu.Lock()
		events, bytes = events+ep.queue.all.events, bytes+ep.queue.all.bytes
		ep.mu.Unlock()
	}
	return events, bytes
}

// emit hands an event to the endpoints that want it.
func (w *Hooks) emit(e event) {
	w.roll.RLock()
	defer w.roll.RUnlock()
	for _, ep := range w.endpoints {
		if ep.wants(e.name, e.channel) {
			ep.enqueue(e)
		}
	}
}

// Occupied tells that a channel has its first subscriber.
func (w *Hooks) Occupied(channel string, from netip.Addr) {
	w.arrive(departure{channel, ""}, typeOccupied, from)
}

// MemberAdded tells that a user came to a presence channel.
func (w *Hooks) MemberAdded(channel, userID string, from netip.Addr) {
	w.arrive(departure{channel, userID}, typeAdded, from, [2]string{"user_id", userID})
}

// Vacated tells that a channel has no subscriber any more, unless one comes back soon.
func (w *Hooks) Vacated(channel string, from netip.Addr) { w.depart(departure{channel, ""}, from) }

// MemberRemoved tells that a user left a presence channel, unless it comes back soon.
func (w *Hooks) MemberRemoved(channel, userID string, from netip.Addr) {
	w.depart(departure{channel, userID}, from)
}

// ClientEvent tells of an event that a client sent, as a user if userID is not empty. id
// is the send's.
func (w *Hooks) ClientEvent(id, channel, event string, data []byte, socketID, userID string, from netip.Addr) {
	if w.Idle() {
		return
	}
	fields := [][2]string{{"event", event}, {"data", string(data)}, {"socket_id", socketID}}
	if userID != "" {
		fields = append(fields, [2]string{"user_id", userID})
	}
	e := newEvent(typeClientEvent, channel, from, fields...)
	e.send = id
	w.emit(e)
}

// CacheMiss tells that somebody found a cache channel empty.
func (w *Hooks) CacheMiss(channel string, from netip.Addr) {
	if !w.Idle() {
		w.emit(newEvent(typeCacheMiss, channel, from))
	}
}

// Subscriptions tells how many connections are subscribed to a channel.
func (w *Hooks) Subscriptions(channel string, n int, from netip.Addr) {
	if w.Idle() {
		return
	}
	e := newEvent(typeCount, channel, from)
	e.body = append(e.body[:len(e.body)-1], `,"subscription_count":`...)
	e.body = append(strconv.AppendInt(e.body, int64(n), 10), '}')
	w.emit(e)
}

// arrive tells of an arrival, unless it undoes a departure that nobody has been
// told of: then neither happened.
func (w *Hooks) arrive(who departure, name string, from netip.Addr, fields ...[2]string) {
	if w.Idle() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.held[who]; e != nil {
		w.release(e)
		return
	}
	w.emit(newEvent(name, who.channel, from, fields...))
}

// release takes back a departure that is held. w.mu is held.
func (w *Hooks) release(e *list.Element) {
	h := w.queue.Remove(e).(*heldBack)
	delete(w.held, h.departure)
	w.count[classOf(h.channel)]--
}

// depart holds a departure back for a while, as Pusher does.
func (w *Hooks) depart(who departure, from netip.Addr) {
	if w.Idle() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := classOf(who.channel)
	if w.over || w.count[c] >= maxHeld[c] {
		w.tellDeparture(who, from)
		return
	}
	w.held[who] = w.queue.PushBack(&heldBack{who, from, time.Now().Add(w.hold)})
	w.count[c]++
	if w.timer == nil {
		w.timer = time.AfterFunc(w.hold, w.wake)
	}
}

// wake is tellDue for its timer.
func (w *Hooks) wake() { guard.Call(w.log, "telling webhooks of who left", w.tellDue) }

// tellDue tells of the departures whose time has come, in their order.
func (w *Hooks) tellDue() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = nil
	w.tellUntil(time.Now())
	if front := w.queue.Front(); front != nil && !w.over {
		w.timer = time.AfterFunc(time.Until(front.Value.(*heldBack).due), w.wake)
	}
}

// tellUntil tells of the departures that were due by then. w.mu is held.
func (w *Hooks) tellUntil(then time.Time) {
	for front := w.queue.Front(); front != nil; front = w.queue.Front() {
		h := front.Value.(*heldBack)
		if h.due.After(then) {
			return
		}
		w.release(front)
		w.tellDeparture(h.departure, h.from)
	}
}

func (w *Hooks) tellDeparture(who departure, from netip.Addr) {
	if who.userID == "" {
		w.emit(newEvent(typeVacated, who.channel, from))
		return
	}
	w.emit(newEvent(typeRemoved, who.channel, from, [2]string{"user_id", who.userID}))
}

// Close tells of all departures that wait and sends what is queued, until ctx ends;
// the rest is dropped and counted. An address that is dead costs the others nothing.
func (w *Hooks) Close(ctx context.Context) error {
	w.mu.Lock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	w.tellUntil(time.Now().Add(2 * w.hold))
	w.mu.Unlock()
	endpoints := w.told()
	errs := make([]error, len(endpoints))
	var all sync.WaitGroup
	for i, ep := range endpoints {
		all.Go(func() { errs[i] = ep.close(ctx) }) // ends with ctx
	}
	all.Wait()
	stop := context.AfterFunc(ctx, w.hurry)
	w.leaving.Wait()
	stop()
	w.hurry()
	return errors.Join(errs...)
}
