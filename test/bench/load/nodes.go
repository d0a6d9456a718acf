package load

import "net/netip"

// Clients and events go round the nodes, shifted by one with each round of the rooms, so that
// every room has its clients and gets its events at every node, as many rooms as there are.

// home returns which of so many nodes a client is at.
func (r Rooms) home(client, nodes int) int { return shifted(client, r.count(), nodes) }

// sentTo returns which of so many nodes event n of a publisher is sent to.
func (r Rooms) sentTo(n, nodes int) int { return shifted(n, max(r.Count, 1), nodes) }

func shifted(n, round, nodes int) int { return (n%round + n/round) % nodes }

// node returns the address of a node, of whom the first stands by itself.
func node(first netip.AddrPort, also []netip.AddrPort, number int) netip.AddrPort {
	if number == 0 {
		return first
	}
	return also[number-1]
}

// earlyMost is how many events may be under way to a client from one publisher before one
// that is missing counts as lost.
const earlyMost = 64

// countLoose counts event n by where in next and early it stands, in whatever order events
// come: bit k of early is the k-th event from next on.
func (l *ledger) countLoose(i int, n, step int32) {
	ahead := (n - l.next[i]) / step
	if n < l.next[i] || ahead >= earlyMost || (n-l.next[i])%step != 0 || l.early[i]&(1<<ahead) != 0 {
		l.misordered++
		return
	}
	if ahead > 0 {
		l.Early++
	}
	l.Delivered++
	for l.early[i] |= 1 << ahead; l.early[i]&1 != 0; l.next[i] += step {
		l.early[i] >>= 1
	}
}

// forgetEarly begins anew with as many as next has.
func (l *ledger) forgetEarly() {
	if !l.loose {
		return
	}
	if cap(l.early) < len(l.next) {
		l.early = make([]uint64, len(l.next))
	}
	l.early = l.early[:len(l.next)]
	clear(l.early)
}
