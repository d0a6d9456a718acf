// Package hub knows rooms, subscribers, publications and who is present, and no
// protocol: it never reads a payload or opens a socket, and the goroutines that it
// starts are that of a room's turn which others wait for, see [Hub.Queue], and one for who has
// waited for other processes, see [Hub.Await]. Everything in
// it may be called from any goroutine, and nothing but [Hub.Open] waits.
//
// # Why
//
// A publication is encoded once for each kind of subscriber and never once for
// each subscriber: the seats of a room stand grouped by [Encoder], and every
// seat of a group is handed the same bytes.
//
// A room has two locks. The short one is held for as long as a seat is taken or
// emptied or a publication is handed out. The other is the room's turn, had by
// who decides several things in one step (see [Roster]): who does not get it leaves
// behind what is to be done. Publications never wait for it, and a room that nobody
// opened has none.
//
// Rooms are found through shards: no lock is that of the whole hub, so
// publications to different rooms do not meet.
//
// # Where nodes would meet
//
// [Broker] is the seam for publications that cross nodes, [Log] the one for those
// that are kept, see [Hub.Recover]. One process alone has neither and pays for neither. That a user's
// connection is the first or last of this process, a [Roster] says: in a cluster
// only then the others have to be asked. Who the members are in all processes a room
// mirrors, see [Hub.MembersAre].
//
// Lock order, outermost first: a room's turn, what a [Log] holds while it delivers,
// Subscriber.mu, then shard.mu or
// room.mu but never both (a long publication must not hold up other rooms), and
// below them whatever a [Receiver] locks inside Deliver (a connection's outbox), or
// a [Broker] inside Occupied and Vacated. These are the only foreign calls made
// with a lock held; they must neither block nor call back into the hub.
package hub

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"poosh/server/latency"
)

// A Hub joins publishers to subscribers. Make one with [New].
type Hub struct {
	shards [shardCount]shard
	seed   maphash.Seed // set once
	broker Broker       // set once; nil in one process alone
	log    Log          // set once; nil when nothing is kept

	bridging sync.Mutex               // held to replace bridges
	bridges  atomic.Pointer[[]bridge] // nil without one

	awaiting awaiting                   // who comes from other processes, see Await
	departed atomic.Pointer[departures] // nil unless it is to remember them
	meter    *latency.Meter             // set once; nil unless publications are measured
}

// New returns an empty hub of one process that keeps nothing.
func New() *Hub { return NewWith(nil, nil) }

// NewWith returns an empty hub with something behind its seams; nil for nothing.
func NewWith(b Broker, l Log) *Hub {
	h := &Hub{seed: maphash.MakeSeed(), broker: b, log: l}
	for i := range h.shards {
		h.shards[i].rooms = make(map[string]map[string]*room)
		h.shards[i].everyone = make(map[string]*room)
	}
	return h
}

// Measure has the hub measure how long publications take until they are written; see
// [Marker]. Call it once, before the hub is in use.
func (h *Hub) Measure(m *latency.Meter) { h.meter = m }

// Across reports whether the hub is one of several that a [Broker] joins. It never changes.
func (h *Hub) Across() bool { return h.broker != nil }

// Publish hands a publication to every subscriber of its room and reports how
// many took it. It never waits for a socket: a subscriber that cannot take the
// frame is not counted, and its connection closes itself. Of two publications
// for a room, one published after the other returned, every subscriber gets
// them in that order.
//
// In a hub that is [Hub.Across] it is [Hub.Send] for who does not want to know, and reports 0.
func (h *Hub) Publish(p *Publication) int {
	if h.broker != nil {
		h.Send(p, nil)
		return 0
	}
	s := h.shardFor(p)
	n := s.published.Add(1)
	if h.meter != nil && h.meter.Picks(n) {
		return h.measure(s, p)
	}
	return h.publish(s, p, nil)
}

// measure is publish with a mark, if there is one.
func (h *Hub) measure(s *shard, p *Publication) int {
	mark := h.meter.Begin()
	if mark != nil {
		defer mark.End()
	}
	return h.publish(s, p, mark)
}

// publish hands p out, with a mark unless that is nil. s is the shard of p's room.
func (h *Hub) publish(s *shard, p *Publication, mark *latency.Mark) int {
	took := h.deliver(s, p, mark)
	if bridges := h.bridges.Load(); bridges != nil && !p.Everyone {
		took += h.cross(*bridges, p, mark)
	}
	return took
}

// Probe hands a publication to the subscribers of this process, for who looks whether the hub
// works: nothing is counted or kept, and no other process is bothered.
func (h *Hub) Probe(p *Publication) (took int) {
	r := h.shardFor(p).find(p.App, p.Room, p.Everyone)
	if r == nil {
		return 0
	}
	var f frames
	f.encode(r, p)
	took, _ = r.push(&f, p)
	return took
}

// deliver hands p to the subscribers of this process, and has it kept if it is to be.
func (h *Hub) deliver(s *shard, p *Publication, mark *latency.Mark) int {
	if !p.Passing && h.Keeps(p.App) {
		return h.keep(s, p, Position{}, mark)
	}
	return h.handOut(s, p, mark)
}

// handOut hands p to the subscribers of this process.
func (h *Hub) handOut(s *shard, p *Publication, mark *latency.Mark) int {
	if p.Narrowed {
		return h.handUnion(s, p, mark)
	}
	r := s.find(p.App, p.Room, p.Everyone)
	if r == nil {
		return 0
	}
	var f frames
	f.encode(r, p)
	took, refused := r.hand(&f, p, mark)
	s.count(took, refused)
	return took
}

// Stats are counts since the hub was made. Published counts calls to
// [Hub.Publish] and [Hub.Send]; Delivered and Refused count frames taken and not taken by
// receivers.
type Stats struct {
	Published, Delivered, Refused uint64
}

// Stats returns the counts so far.
func (h *Hub) Stats() Stats {
	var st Stats
	for i := range h.shards {
		s := &h.shards[i]
		st.Published += s.published.Load()
		st.Delivered += s.delivered.Load()
		st.Refused += s.refused.Load()
	}
	return st
}
