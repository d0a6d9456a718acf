package pusher

import (
	"container/list"
	"context"
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Types of webhook events (Pusher Channels, "Webhooks").
const (
	hookOccupied    = "channel_occupied"
	hookVacated     = "channel_vacated"
	hookAdded       = "member_added"
	hookRemoved     = "member_removed"
	hookClientEvent = "client_event"
	hookCacheMiss   = "cache_miss"
	hookCount       = "subscription_count"
)

// maxHeld bounds the departures of one app that wait for a return, by class; more
// are told at once.
var maxHeld = [classes]int{signed: 5000, public: 2500, cached: 2500}

// webhooks decides what an app's webhooks are told. Its methods are called with
// the channel's roster open, so the events of a channel are in their order; they
// never block. An app without webhooks has a nil *webhooks, which tells nobody.
type webhooks struct {
	endpoints []*endpoint
	hold      time.Duration

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

func newWebhooks(a *app) *webhooks {
	if len(a.conf.Webhooks) == 0 {
		return nil
	}
	w := &webhooks{hold: a.d.cfg.WebhookHold, held: make(map[departure]*list.Element), queue: list.New()}
	for _, conf := range a.conf.Webhooks {
		w.endpoints = append(w.endpoints, newEndpoint(a, conf))
	}
	return w
}

// A hookEvent is an event on its way to webhooks, as the JSON that they are sent.
type hookEvent struct {
	name, channel string
	from          netip.Addr // the network of the client that caused it; the zero Addr for none
	body          []byte
}

// newHookEvent encodes an event. Each has its channel: the PHP library reads that
// without looking whether it is there.
func newHookEvent(name, channel string, from netip.Addr, fields ...[2]string) hookEvent {
	b := append([]byte(`{"name":"`), name...)
	b = appendString(append(b, `","channel":`...), channel)
	for _, f := range fields {
		b = append(append(append(b, `,"`...), f[0]...), `":`...)
		b = appendString(b, f[1])
	}
	return hookEvent{name, channel, from, append(b, '}')}
}

// emit hands an event to the endpoints that want it.
func (w *webhooks) emit(e hookEvent) {
	for _, ep := range w.endpoints {
		if ep.wants(e.name, e.channel) {
			ep.enqueue(e)
		}
	}
}

func (w *webhooks) occupied(channel string, from netip.Addr) {
	w.arrive(departure{channel, ""}, hookOccupied, from)
}

func (w *webhooks) memberAdded(channel, userID string, from netip.Addr) {
	w.arrive(departure{channel, userID}, hookAdded, from, [2]string{"user_id", userID})
}

func (w *webhooks) vacated(channel string, from netip.Addr) { w.depart(departure{channel, ""}, from) }

func (w *webhooks) memberRemoved(channel, userID string, from netip.Addr) {
	w.depart(departure{channel, userID}, from)
}

func (w *webhooks) clientEvent(channel, event string, data []byte, socketID, userID string, from netip.Addr) {
	if w == nil {
		return
	}
	fields := [][2]string{{"event", event}, {"data", string(data)}, {"socket_id", socketID}}
	if userID != "" {
		fields = append(fields, [2]string{"user_id", userID})
	}
	w.emit(newHookEvent(hookClientEvent, channel, from, fields...))
}

func (w *webhooks) cacheMiss(channel string, from netip.Addr) {
	if w != nil {
		w.emit(newHookEvent(hookCacheMiss, channel, from))
	}
}

func (w *webhooks) subscriptions(channel string, n int, from netip.Addr) {
	if w == nil {
		return
	}
	e := newHookEvent(hookCount, channel, from)
	e.body = append(e.body[:len(e.body)-1], `,"subscription_count":`...)
	e.body = append(strconv.AppendInt(e.body, int64(n), 10), '}')
	w.emit(e)
}

// arrive tells of an arrival, unless it undoes a departure that nobody has been
// told of: then neither happened.
func (w *webhooks) arrive(who departure, name string, from netip.Addr, fields ...[2]string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.held[who]; e != nil {
		w.release(e)
		return
	}
	w.emit(newHookEvent(name, who.channel, from, fields...))
}

// release takes back a departure that is held. w.mu is held.
func (w *webhooks) release(e *list.Element) {
	h := w.queue.Remove(e).(*heldBack)
	delete(w.held, h.departure)
	w.count[classOf(h.channel)]--
}

// depart holds a departure back for a while, as Pusher does.
func (w *webhooks) depart(who departure, from netip.Addr) {
	if w == nil {
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
		w.timer = time.AfterFunc(w.hold, w.tellDue)
	}
}

// tellDue tells of the departures whose time has come, in their order.
func (w *webhooks) tellDue() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = nil
	w.tellUntil(time.Now())
	if front := w.queue.Front(); front != nil && !w.over {
		w.timer = time.AfterFunc(time.Until(front.Value.(*heldBack).due), w.tellDue)
	}
}

// tellUntil tells of the departures that were due by then. w.mu is held.
func (w *webhooks) tellUntil(then time.Time) {
	for front := w.queue.Front(); front != nil; front = w.queue.Front() {
		h := front.Value.(*heldBack)
		if h.due.After(then) {
			return
		}
		w.release(front)
		w.tellDeparture(h.departure, h.from)
	}
}

func (w *webhooks) tellDeparture(who departure, from netip.Addr) {
	if who.userID == "" {
		w.emit(newHookEvent(hookVacated, who.channel, from))
		return
	}
	w.emit(newHookEvent(hookRemoved, who.channel, from, [2]string{"user_id", who.userID}))
}

// close tells of all departures that wait and sends what is queued, until ctx ends;
// the rest is dropped and counted. An address that is dead costs the others nothing.
func (w *webhooks) close(ctx context.Context) error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	w.tellUntil(time.Now().Add(2 * w.hold))
	w.mu.Unlock()
	errs := make([]error, len(w.endpoints))
	var all sync.WaitGroup
	for i, ep := range w.endpoints {
		all.Go(func() { errs[i] = ep.close(ctx) }) // ends with ctx
	}
	all.Wait()
	return errors.Join(errs...)
}

// filter says which events an endpoint is told of.
type filter struct {
	types          []string
	prefix, suffix string
	pattern        *regexp.Regexp
}

func newFilter(conf Webhook) filter {
	f := filter{types: conf.EventTypes, prefix: conf.ChannelPrefix, suffix: conf.ChannelSuffix}
	if conf.ChannelRegexp != "" {
		f.pattern = regexp.MustCompile(conf.ChannelRegexp) // checked by Webhook.validate
	}
	return f
}

func (f filter) wants(name, channel string) bool {
	return (len(f.types) == 0 || slices.Contains(f.types, name)) &&
		strings.HasPrefix(channel, f.prefix) && strings.HasSuffix(channel, f.suffix) &&
		(f.pattern == nil || f.pattern.MatchString(channel))
}

// hookBody is one request's body. It is made when it is first sent and not again:
// the signature is of its bytes, and the Python library refuses one whose time is
// more than five minutes off.
func hookBody(at time.Time, events []hookEvent) []byte {
	b := append([]byte(`{"time_ms":`), strconv.FormatInt(at.UnixMilli(), 10)...)
	b = append(b, `,"events":[`...)
	for i, e := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e.body...)
	}
	return append(b, "]}"...)
}
