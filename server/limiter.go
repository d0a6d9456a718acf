package server

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"poosh/server/dialect"
	"poosh/server/http1"
	"poosh/server/network"
	"poosh/server/peers"
)

// A limiter bounds the sockets that are open, in all and for each network. What clients have and what senders have is counted apart,
// so that neither uses up the other's descriptors.
type limiter struct {
	proxies peers.Proxies // set once
	log     *slog.Logger  // set once
	clients pool
	senders pool
	evictor
}

func newLimiter(cfg network.Config, log *slog.Logger) *limiter {
	l := &limiter{proxies: cfg.TrustedProxies, log: log}
	l.evictor.init()
	l.clients.init("MAX_CONNECTIONS", cfg.MaxConnections, cfg.MaxConnectionsPerAddress)
	l.senders.init("MAX_SENDER_CONNECTIONS", cfg.MaxSenderConnections, cfg.MaxSenderConnectionsPerAddress)
	return l
}

// Where a connection counts.
const (
	roomClients http1.Room = iota
	roomSenders
)

// A portBounds says how many connections a port may have. It implements
// [http1.Bounds].
type portBounds struct {
	*limiter
	rooms []http1.Room // where its connections count: the first that has room
}

// bounds are those of a port with such visitors. Where both come, senders have a
// reserve that clients do not take.
func (l *limiter) bounds(v dialect.Visitors) http1.Bounds {
	switch v {
	case dialect.Clients:
		return portBounds{l, []http1.Room{roomClients}}
	case dialect.Senders:
		return portBounds{l, []http1.Room{roomSenders}}
	}
	return portBounds{l, []http1.Room{roomClients, roomSenders}}
}

func (l *limiter) pool(room http1.Room) *pool {
	if room == roomSenders {
		return &l.senders
	}
	return &l.clients
}

// Open implements [http1.Bounds].
func (b portBounds) Open(peer netip.Addr) (http1.Room, bool) {
	from, isProxy := peers.Network(peer), b.proxies.Has(peer)
	var bound string
	for _, room := range b.rooms {
		if bound = b.pool(room).take(from, isProxy, nil); bound == "" {
			return room, true
		}
	}
	for _, room := range slices.Backward(b.rooms) {
		if b.make(room, from, isProxy) == "" {
			return room, true
		}
	}
	b.pool(b.rooms[0]).refuse()
	b.log.Warn("connection refused", "remote", peer, "bound", bound)
	return 0, false
}

// Passed implements [http1.Bounds].
func (b portBounds) Passed(peer netip.Addr) (http1.Room, bool) {
	from, isProxy := peers.Network(peer), b.proxies.Has(peer)
	var bound string
	for _, room := range b.rooms {
		if bound = b.pool(room).take(from, isProxy, nil); bound == "" {
			return room, true
		}
	}
	for _, room := range slices.Backward(b.rooms) {
		if b.try(room, from, isProxy) == "" { // and not make: who reads for many connections asks
			return room, true
		}
	}
	b.pool(b.rooms[0]).refuse()
	b.log.Warn("connection refused", "remote", peer, "bound", bound)
	return 0, false
}

// makingRoom bounds how long a newcomer waits for those who are on their way out, and for
// those whose turn to say something it is.
const makingRoom = 20 * time.Millisecond

// make counts a new socket in a room, if need be in place of another one.
func (l *limiter) make(room http1.Room, from netip.Addr, isProxy bool) (bound string) {
	for end := time.Now().Add(makingRoom); ; time.Sleep(time.Millisecond / 2) {
		if bound = l.try(room, from, isProxy); bound != evicting {
			return bound
		}
		if time.Now().After(end) {
			return l.pool(room).setting
		}
	}
}

// try is make for who must not wait: it may answer [evicting].
func (l *limiter) try(room http1.Room, from netip.Addr, isProxy bool) (bound string) {
	return l.pool(room).take(from, isProxy, func() eviction { return l.evict(room) })
}

// Upgrade implements [http1.Bounds].
func (b portBounds) Upgrade(peer netip.Addr, room http1.Room, from netip.Addr) bool {
	network := peers.Network(peer)
	var bound string
	if room == roomClients {
		bound = b.clients.move(network, from, b.proxies.Has(from))
	} else if bound = b.try(roomClients, from, b.proxies.Has(from)); bound == "" {
		b.pool(room).release(network)
	} else if bound == evicting {
		bound = b.clients.setting // who reads for many connections asks, and must not wait
	}
	if bound != "" {
		b.clients.refuse()
		b.log.Warn("connection refused", "remote", from, "bound", bound)
	}
	return bound == ""
}

// Close implements [http1.Bounds].
func (b portBounds) Close(peer netip.Addr, room http1.Room) {
	b.pool(room).release(peers.Network(peer))
}

// released is told of the end of a WebSocket that counts for a network.
func (l *limiter) released(from netip.Addr) { l.clients.release(from) }

// A pool is a number of sockets.
type pool struct {
	setting string // set once; that bounds it

	mu         sync.Mutex // guards what follows
	max        int
	surplus    int // what was open above max when that was lowered, and still is
	perAddress int
	open       int
	counts     map[netip.Addr]int
	refused    uint64
	evicted    uint64
}

func (p *pool) init(setting string, most, perAddress int) {
	p.setting, p.max, p.perAddress, p.counts = setting, most, perAddress, make(map[netip.Addr]int)
}

// rebound has other bounds count, for who comes from now on: nobody is closed for them.
func (l *limiter) rebound(n network.Config) {
	l.clients.rebound(n.MaxConnections, n.MaxConnectionsPerAddress)
	l.senders.rebound(n.MaxSenderConnections, n.MaxSenderConnectionsPerAddress)
}

func (p *pool) rebound(most, perAddress int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.max, p.perAddress = most, perAddress
	p.surplus = max(0, p.open-most)
}

// evicting is what take names when it is worth to try again: so many are on their way
// out already, or have something to say that will be looked at in a moment.
const evicting = "evicting"

// take counts a new socket, or names the setting that bounds it. Many come through a
// proxy, so it has no bound of its own. With evict set it may be one too many, if
// another one ends for it.
func (p *pool) take(from netip.Addr, isProxy bool, evict func() eviction) (bound string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.counts[from] >= p.perAddress && !isProxy:
		return p.setting + "_PER_ADDRESS"
	case p.open < p.max:
	case evict == nil:
		return p.setting
	case p.open >= p.max+p.surplus+maxEvicting:
		return evicting
	default:
		switch evict() {
		case nobody:
			return p.setting
		case busy:
			return evicting
		}
		p.evicted++
	}
	p.open++
	p.counts[from]++
	return ""
}

// move counts a socket for another network than before.
func (p *pool) move(before, from netip.Addr, isProxy bool) (bound string) {
	if before == from {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts[from] >= p.perAddress && !isProxy {
		return p.setting + "_PER_ADDRESS"
	}
	p.counts[from]++
	p.forget(before)
	return ""
}

// forget takes one off a network's count. p.mu is held.
func (p *pool) forget(from netip.Addr) {
	if p.counts[from]--; p.counts[from] <= 0 {
		delete(p.counts, from)
	}
}

// maxEvicting is how many sockets may be on their way out for others that have come.
const maxEvicting = 16

// release forgets a socket.
func (p *pool) release(from netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	p.surplus = min(p.surplus, max(0, p.open-p.max))
	p.forget(from)
}

func (p *pool) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused++
}

// A poolStats is what a pool says of itself.
type poolStats struct {
	open, max        int
	refused, evicted uint64
}

func (p *pool) stats() poolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return poolStats{p.open, p.max, p.refused, p.evicted}
}
