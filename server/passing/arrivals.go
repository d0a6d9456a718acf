package passing

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"poosh/server/peers"
)

// maxHellos bounds the connections that have come and not shown yet that they are a node's.
const maxHellos = 1024

// An arrival is one of them.
type arrival struct {
	net.Conn
	from netip.Addr
}

// arrivals are all of them. Where there are too many, the oldest of the address that has the most makes
// room: a node says its hello at once, so who says nothing keeps out no node.
type arrivals struct {
	mu   sync.Mutex // guards what follows
	list []*arrival // oldest first
	of   map[netip.Addr]int
}

// enter notes one that has come.
func (s *arrivals) enter(nc net.Conn) *arrival {
	a := &arrival{nc, peers.Of(nc.RemoteAddr().String())}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) >= maxHellos {
		old := s.list[s.oldest()]
		s.remove(old)
		_ = old.Close() // whoever reads there finds out
	}
	if s.of == nil {
		s.of = make(map[netip.Addr]int)
	}
	s.list = append(s.list, a)
	s.of[a.from]++
	return a
}

// oldest is the place of the oldest arrival of the address that has the most. mu is held.
func (s *arrivals) oldest() int {
	most := 0
	for _, n := range s.of {
		most = max(most, n)
	}
	return slices.IndexFunc(s.list, func(a *arrival) bool { return s.of[a.from] == most })
}

// leave ends an arrival, and reports false for one that has made room for another.
func (s *arrivals) leave(a *arrival) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(a)
}

func (s *arrivals) remove(a *arrival) bool {
	i := slices.Index(s.list, a)
	if i < 0 {
		return false
	}
	s.list = slices.Delete(s.list, i, i+1)
	if s.of[a.from]--; s.of[a.from] == 0 {
		delete(s.of, a.from)
	}
	return true
}
