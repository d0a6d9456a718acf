package sends

import (
	"cmp"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/excerpt"
	"poosh/server/peers"
	"poosh/server/sketch"
)

const (
	// counters is how many rooms, and how many senders, are counted at once.
	counters = 256
	// window is for how long they are: what is told is of the last one or two.
	window = time.Minute
	// looks is how many sends a second are looked at, more or less; of more than that a
	// random part is.
	looks = 1000
	// remembered is how many of those looked at are kept.
	remembered = 1024
	// maxName is how many bytes of a name that somebody sent are kept.
	maxName = 200
)

// A memory is what is known of the last sends: which rooms and senders have the most of
// them, and some of the last. Where there are more than a thousand a second it is of a
// random part of them, so it costs next to nothing.
type memory struct {
	every atomic.Uint32 // one of so many sends is looked at
	look  atomic.Int32  // how many were since the last second
	seen  atomic.Uint64 // about how many sends there were since the last second

	mu     sync.Mutex // guards what follows
	began  time.Time  // of the newer window
	before time.Time  // when the one before it did
	ranks  [2]ranks   // of the newer window, and of the one before it
	recent []Send     // a ring that grows to remembered
	next   int
}

type ranks struct {
	rooms   *sketch.Sketch[room, sums]
	senders *sketch.Sketch[sender, sums]
}

// A room and a sender are keys.
type (
	room struct {
		dialect, app, name string
		everyone, cut      bool
	}
	sender struct{ dialect, app, from string }
)

// sums are what a key has beside how often it came.
type sums struct{ deliveries, bytes uint64 }

// Remember has the feed remember the last sends, within a megabyte or so. Without it they
// cost what they do. It is for once, before the feed is in use; [Feed.Second] is to be
// called once a second then.
func (f *Feed) Remember() {
	now := time.Now()
	m := &memory{began: now, before: now}
	m.every.Store(1)
	for i := range m.ranks {
		m.ranks[i] = ranks{sketch.New[room, sums](counters), sketch.New[sender, sums](counters)}
	}
	f.memory = m
}

// Second has the feed look at fewer sends while there are many. How many there were is
// estimated from those that were looked at: ids do not tell, since a request has one for
// all that it brings.
func (f *Feed) Second() {
	m := f.memory
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(time.Now())
	m.look.Store(0)
	m.every.Store(part(m.seen.Swap(0)))
}

// part is one of how many of so many are looked at: a power of two.
func part(sends uint64) uint32 { return 1 << min(bits.Len64(sends/looks), 20) }

// wants reports whether to look at a send.
func (m *memory) wants() bool {
	every := m.every.Load()
	return every == 1 || rand.Uint32()&(every-1) == 0
}

// add remembers a send, of one of so many. Its texts may be parts of larger ones, so they
// are copied.
func (m *memory) add(s Send) {
	every := m.every.Load()
	if m.look.Add(1) > 4*looks { // a flood that began since the last second
		m.look.Store(0)
		m.every.CompareAndSwap(every, min(2*every, 1<<20))
	}
	weight := uint64(every)
	m.seen.Add(weight)
	name, cut := clip(s.Room)
	app, _ := clip(s.App)
	who := sender{s.Dialect, app, s.sender()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(s.At)
	of := m.ranks[0].rooms.Add(room{s.Dialect, app, name, s.Everyone, cut}, weight, room.own)
	of.deliveries += weight * uint64(s.Handed)
	of.bytes += weight * uint64(s.Size)
	by := m.ranks[0].senders.Add(who, weight, sender.own)
	by.deliveries += weight * uint64(s.Handed)
	by.bytes += weight * uint64(s.Size)
	m.keep(s, name)
}

// keep keeps one of the last sends. m.mu is held.
func (m *memory) keep(s Send, name string) {
	event, _ := clip(s.Event)
	s.Room, s.Event, s.ID = strings.Clone(name), strings.Clone(event), strings.Clone(s.ID)
	s.App, s.From, s.Payload = strings.Clone(s.App), "", nil
	if len(m.recent) < remembered {
		m.recent = append(m.recent, s)
		return
	}
	m.recent[m.next] = s
	m.next = (m.next + 1) % remembered
}

// turn begins a new window when the newer one is over. m.mu is held.
func (m *memory) turn(now time.Time) {
	passed := now.Sub(m.began)
	if passed < window {
		return
	}
	m.ranks[0], m.ranks[1] = m.ranks[1], m.ranks[0]
	m.ranks[0].reset()
	m.before, m.began = m.began, now
	if passed >= 2*window {
		m.ranks[1].reset()
		m.before = now
	}
}

func (r *ranks) reset() {
	r.rooms.Reset()
	r.senders.Reset()
}

func (r room) own() room {
	r.app, r.name = strings.Clone(r.app), strings.Clone(r.name)
	return r
}

func (s sender) own() sender {
	s.app = strings.Clone(s.app)
	return s
}

// clip bounds a name.
func clip(name string) (short string, cut bool) { return excerpt.Beginning(name, maxName) }

// sender is who a send is from: a network, as bounds have it, or a client.
func (s *Send) sender() string {
	if s.From == "" {
		return "client"
	}
	if from := peers.Of(s.From); from.IsValid() {
		return from.String()
	}
	return "unknown"
}

// A Rank is what a room or a sender has of the last sends, estimated.
type Rank struct {
	Dialect, App string
	Name         string // of the room, or the address of the sender, or "client"
	Everyone     bool   // no room, but everybody
	Cut          bool   // Name is the beginning of a longer one

	Sends      uint64 // at most Error too many
	Error      uint64
	Deliveries uint64 // copies
	Bytes      uint64 // of payloads as they were sent
}

// Top returns up to n rooms and n senders with the most sends of the last minute or two,
// and how long that is. Without [Feed.Remember] there are none.
func (f *Feed) Top(n int) (rooms, senders []Rank, since time.Duration) {
	m := f.memory
	if m == nil {
		return nil, nil, 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.turn(now)
	r, s := make(map[room]*Rank), make(map[sender]*Rank)
	for i := range m.ranks {
		for it, with := range m.ranks[i].rooms.All {
			k := it.Key
			add(r, k, Rank{k.dialect, k.app, k.name, k.everyone, k.cut, it.Count, it.Error, with.deliveries, with.bytes})
		}
		for it, with := range m.ranks[i].senders.All {
			k := it.Key
			add(s, k, Rank{k.dialect, k.app, k.from, false, false, it.Count, it.Error, with.deliveries, with.bytes})
		}
	}
	return first(r, n), first(s, n), now.Sub(m.before)
}

// add adds a rank to what there is of a key.
func add[K comparable](to map[K]*Rank, key K, r Rank) {
	if sum := to[key]; sum != nil {
		sum.Sends, sum.Error = sum.Sends+r.Sends, sum.Error+r.Error
		sum.Deliveries, sum.Bytes = sum.Deliveries+r.Deliveries, sum.Bytes+r.Bytes
		return
	}
	to[key] = &r
}

// first returns the n with the most sends, those first.
func first[K comparable](of map[K]*Rank, n int) []Rank {
	list := make([]Rank, 0, len(of))
	for _, r := range of {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Rank) int {
		return cmp.Or(cmp.Compare(b.Sends, a.Sends), strings.Compare(a.Dialect+"\x00"+a.App+"\x00"+a.Name, b.Dialect+"\x00"+b.App+"\x00"+b.Name))
	})
	return list[:min(n, len(list))]
}

// Recent returns up to n of the last sends to a room that are remembered, the last one
// first, without payloads. app is what the send says, which is nothing where the dialect
// has no apps.
func (f *Feed) Recent(dialect, app, name string, n int) (list []Send) {
	m := f.memory
	if m == nil {
		return nil
	}
	name, _ = clip(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.recent {
		s := &m.recent[(m.next+len(m.recent)-1-i)%len(m.recent)]
		if len(list) == n {
			break
		}
		if s.Dialect == dialect && s.App == app && s.Room == name && !s.Everyone {
			list = append(list, *s)
		}
	}
	return list
}
