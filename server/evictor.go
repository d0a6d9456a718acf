package server

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"poosh/server/http1"
	"poosh/server/peers"
)

// An evictor finds connections that can be closed for others when a room is full.
type evictor struct {
	ports []candidates // set before the first connection

	mu    sync.Mutex // guards lines; held while connections are locked
	lines [2]line    // by room

	known knownSenders
}

// knownSenders are the networks that senders have come from lately.
type knownSenders struct {
	mu   sync.Mutex // guards what follows; taken with a connection locked
	list *simplelru.LRU[netip.Addr, struct{}]
}

func (k *knownSenders) add(network netip.Addr) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list.Add(network, struct{}{})
}

func (k *knownSenders) has(network netip.Addr) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.list.Contains(network)
}

// A port's server knows which of its connections could make room for others.
type candidates interface {
	Candidates(http1.Room) []http1.Candidate
}

// A line is the order in which the connections of a room are closed. To look at all of
// them for each newcomer would be what a stranger's flood costs most.
type line struct {
	list []http1.Candidate
	made time.Time
	took time.Duration // to make it
	none bool          // there was nobody
}

const (
	// lineAge is how long a line is good for.
	lineAge = 50 * time.Millisecond
	// lineShare is the part of all that a line is made of.
	lineShare = 4
	// lineRest is how many times as long as making it took nothing is looked at again.
	lineRest = 4
	// maxNew is how many connections of one network count as new.
	maxNew = 4
	// maxKnown is how many networks of senders are remembered.
	maxKnown = 4096
)

func (e *evictor) init() {
	e.known.list, _ = simplelru.NewLRU[netip.Addr, struct{}](maxKnown, nil) // fails for no size alone
}

// Proven implements [http1.Bounds]: most senders open a connection for each request, so
// what one of them has shown is remembered for the network that it came from.
func (e *evictor) Proven(peer netip.Addr) { e.known.add(peers.Network(peer)) }

// An eviction is what came of the wish to close a connection.
type eviction int

const (
	nobody  eviction = iota // there is none to close
	busy                    // those there are may have something to say; soon it is known
	evicted                 // one is on its way out
)

// evict closes a connection that counts in a room, whatever port it is on.
func (e *evictor) evict(room http1.Room) eviction {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := &e.lines[room]
	now := time.Now()
	age := now.Sub(l.made)
	switch {
	case age < lineAge && l.next():
		return evicted
	case age < lineRest*l.took && l.none:
		return nobody
	case age < lineRest*l.took:
		return busy
	}
	all := e.order(room)
	// Behind the first of them stand some that those who come meanwhile would go before.
	l.list = slices.Clone(all[:(len(all)+lineShare-1)/lineShare])
	l.made, l.took, l.none = now, time.Since(now), len(all) == 0
	// By then it is good for nothing, and what stands in it may be gone for long.
	time.AfterFunc(lineAge, func() { e.forget(l, now) })
	switch {
	case l.none:
		return nobody
	case l.next():
		return evicted
	}
	return busy
}

// forget drops a line that was made then.
func (e *evictor) forget(l *line, made time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l.made.Equal(made) {
		l.list = nil
	}
}

// next closes the first of a line that can be closed. Who was looked at is off the line.
func (l *line) next() bool {
	for len(l.list) > 0 {
		c := l.list[0]
		l.list[0], l.list = http1.Candidate{}, l.list[1:]
		if c.Evict() {
			return true
		}
	}
	l.list = nil
	return false
}

// order says whom to close first: one of the network that has the most of those that
// could be closed, and of these the one that has waited longest. So a stranger who has
// many loses his own. The youngest ones of a network, of which the first request is on its
// way, come last, and behind them those of networks that senders came from before, unless
// more than a fourth of all is theirs. Clients are closed only where they take the room of senders. e.mu is
// held.
func (e *evictor) order(room http1.Room) []http1.Candidate {
	var list []http1.Candidate
	for _, p := range e.ports {
		for _, c := range p.Candidates(room) {
			if !c.Client || room != roomClients {
				list = append(list, c)
			}
		}
	}
	slices.SortFunc(list, func(a, b http1.Candidate) int { return b.Since.Compare(a.Since) })
	type place struct {
		http1.Candidate
		last  int // who is closed after all of less
		crowd int // how many its network has when its turn comes
	}
	crowds := make(map[netip.Addr]int)
	places := make([]place, len(list))
	for i, c := range list { // the youngest first
		crowds[c.Network]++
		places[i] = place{Candidate: c, crowd: crowds[c.Network]}
	}
	for i := range places {
		switch p := &places[i]; {
		case 4*(crowds[p.Network]-1) < len(list) && e.known.has(p.Network):
			p.last = 2
		case p.New && p.crowd <= maxNew:
			p.last = 1
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(a.last-b.last, b.crowd-a.crowd, a.Since.Compare(b.Since))
	})
	for i, p := range places {
		list[i] = p.Candidate
	}
	return list
}
