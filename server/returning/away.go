package returning

import (
	"net/netip"
	"time"
)

// keep has a client be away until some time. mu is held.
func (a *States[C, M]) keep(st *State[C, M], from netip.Addr, until time.Time) {
	st.until, st.cost = until, stateCost
	for _, room := range st.Rooms {
		st.cost += int64(len(room)) + a.cfg.RoomCost
	}
	for _, m := range st.Members {
		st.cost += a.cfg.Member.Cost(m)
	}
	a.byName[st.PID[:pidName]] = st
	a.list(st, from)
}

// expire forgets who has been away for too long, or is too much. mu is held.
func (a *States[C, M]) expire(now time.Time) {
	for e := a.away.Front(); e != nil; e = a.away.Front() {
		st := e.Value.(*State[C, M])
		if now.Before(st.until) {
			if a.size <= a.cfg.Bytes {
				return
			}
			var oldest *State[C, M] // of the large ones, of which there are three at the most
			for c := range a.large {
				if s := c.away.Front().Value.(*State[C, M]); oldest == nil || s.until.Before(oldest.until) {
					oldest = s
				}
			}
			if oldest != nil {
				st = oldest
			}
		}
		a.forget(st)
	}
}

// forget forgets a client that is away. mu is held.
func (a *States[C, M]) forget(st *State[C, M]) {
	a.unlist(st)
	delete(a.byName, st.PID[:pidName])
}

// list has a state be one of those that are away. mu is held.
func (a *States[C, M]) list(st *State[C, M], from netip.Addr) {
	st.at = a.away.PushBack(st)
	a.size += st.cost
	if !from.IsValid() {
		return
	}
	c := a.crowds[from]
	if c == nil {
		c = &crowd{network: from}
		a.crowds[from] = c
	}
	st.crowd, st.beside = c, c.away.PushBack(st)
	a.grow(c, st.cost)
}

// unlist has a state be none of those. mu is held.
func (a *States[C, M]) unlist(st *State[C, M]) {
	a.away.Remove(st.at)
	a.size -= st.cost
	if c := st.crowd; c != nil {
		c.away.Remove(st.beside)
		a.grow(c, -st.cost)
	}
	st.at, st.crowd, st.beside = nil, nil, nil
}

// grow notes that a crowd takes so much more. mu is held.
func (a *States[C, M]) grow(c *crowd, cost int64) {
	c.size += cost
	if c.size > a.cfg.Bytes/4 {
		a.large[c] = true
	} else {
		delete(a.large, c)
	}
	if c.size == 0 {
		delete(a.crowds, c.network)
	}
}
