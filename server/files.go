package server

import (
	"fmt"

	"poosh/server/network"
)

const (
	// reservedFiles are the descriptors that are nobody's connection: ports, pollers, the
	// log, a database, connections to webhooks.
	reservedFiles = 64
	// leastConnections is what each of clients and senders has however few files the
	// process may open.
	leastConnections = 8
)

// A lowered bound is one that is less than a setting says.
type lowered struct {
	setting  string
	from, to int
}

func (l lowered) String() string {
	return fmt.Sprintf("%s is %d, and lowered to %d: the limit of open files allows no more; raise it (ulimit -n, LimitNOFILE, --ulimit nofile), or set this to less", l.setting, l.from, l.to)
}

// fitFiles lowers the bounds on connections to what the process may open, and returns
// which: accept would fail for all of them alike otherwise. Senders have a fourth, and what
// clients may not have anyway. Where a bound is lowered, one address may have half of it.
//
// reserve is what is needed beside reservedFiles.
func fitFiles(n *network.Config, limit uint64, reserve int) (less []lowered) {
	if limit > 1<<40 {
		return nil
	}
	left := max(int(limit)-reservedFiles-reserve, 2*leastConnections)
	lower := func(setting string, value *int, to int) bool {
		if *value > to {
			less = append(less, lowered{setting, *value, to})
			*value = to
			return true
		}
		return false
	}
	if lower("MAX_SENDER_CONNECTIONS", &n.MaxSenderConnections, max(left/4, left-n.MaxConnections, leastConnections)) {
		lower("MAX_SENDER_CONNECTIONS_PER_ADDRESS", &n.MaxSenderConnectionsPerAddress, n.MaxSenderConnections/2)
	}
	if lower("MAX_CONNECTIONS", &n.MaxConnections, left-n.MaxSenderConnections) {
		lower("MAX_CONNECTIONS_PER_ADDRESS", &n.MaxConnectionsPerAddress, n.MaxConnections/2)
	}
	return less
}
