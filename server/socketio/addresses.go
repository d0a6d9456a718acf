package socketio

import (
	"net/netip"
	"sync"
)

// address is where a session counts, as [poosh/server/peers.Of] tells it of the
// address that a trusted proxy forwards.
type address = netip.Addr

// addresses counts sessions by address. An address without any is forgotten.
type addresses struct {
	mu                    sync.Mutex // guards what follows
	maxAll, maxUnfinished int
	counts                map[address]tally
}

type tally struct{ all, unfinished int }

// bound has bounds count for who comes from now on.
func (a *addresses) bound(cfg Config) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.maxAll, a.maxUnfinished = cfg.MaxSessionsPerAddress, cfg.MaxUnfinishedPerAddress
}

// enter counts a session, or names the bound that is met.
func (a *addresses) enter(from address, unfinished bool) (bound turnedAway, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.counts[from]
	switch {
	case t.all >= a.maxAll:
		return refusedAddress, false
	case unfinished && t.unfinished >= a.maxUnfinished:
		return refusedUnfinished, false
	}
	t.all++
	if unfinished {
		t.unfinished++
	}
	a.counts[from] = t
	return 0, true
}

// finished says that a polling session came back after its handshake.
func (a *addresses) finished(from address) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.counts[from]
	t.unfinished--
	a.counts[from] = t
}

func (a *addresses) leave(from address, unfinished bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.counts[from]
	t.all--
	if unfinished {
		t.unfinished--
	}
	if t.all == 0 {
		delete(a.counts, from)
		return
	}
	a.counts[from] = t
}
