package cluster

import (
	"crypto/rand"
	"encoding/base64"
	"strconv"
)

// Into how many parts rooms are divided. All nodes must agree on it: it is noted in the engine, and a
// node that counts otherwise does not start.
const (
	// partitions are those of a Redis Cluster, where they are on several servers.
	partitions = 16
	// fewPartitions are those of one server. Each that a turn of the writer is about costs the engine
	// about as much as three publications, so few are cheap; but each has a goroutine that hands out
	// what came. It divides the other one.
	fewPartitions = 2
)

// format is raised with what older nodes cannot read beside newer ones.
const format = 1

// A tag begins the names of all keys and channels of a partition, with the hash tag that
// has a Redis Cluster keep them in one slot: only there is an order.
type tag string

// tags are the names of a cluster. Databases of one engine share its channels, so the number of
// one other than 0 is in the names: a prefix has no slash.
func tags(prefix string, db int) (parts [partitions]tag, nodes tag) {
	if db != 0 {
		prefix += "/" + strconv.Itoa(db)
	}
	for i := range parts {
		parts[i] = tag(prefix + ":{" + prefix + "." + strconv.Itoa(i) + "}")
	}
	return parts, tag(prefix + ":{" + prefix + ".nodes}")
}

func (t tag) state() string             { return string(t) + ":n" }
func (t tag) room(app, r string) string { return string(t) + ":R:" + app + "\x00" + r }
func (t tag) everyone(app string) string {
	return string(t) + ":E:" + app
}

// seats, connections, members and cached are keys of who is in rooms; scripts/roster.lua says
// what is in them, and has the others.
func (t tag) seats() string                    { return string(t) + ":da" }
func (t tag) connections(app, r string) string { return string(t) + ":dr:" + app + "\x00" + r }
func (t tag) members(app, r string) string     { return string(t) + ":dm:" + app + "\x00" + r }
func (t tag) cached(app, r string) string      { return string(t) + ":dc:" + app + "\x00" + r }

// toldAll is of which nodes have told all that they have to the log of an epoch.
func (t tag) toldAll(epoch uint64) string {
	return string(t) + ":dy:" + strconv.FormatUint(epoch, 10)
}

// node is the channel of one node, for answers.
func (t tag) node(name string) string { return string(t) + ":N:" + name }

// all is the channel of all nodes.
func (t tag) all() string { return string(t) + ":A" }

// leases, info and reaping are the keys of the table of nodes.
func (t tag) leases() string  { return string(t) + ":lease" }
func (t tag) info() string    { return string(t) + ":info" }
func (t tag) reaping() string { return string(t) + ":reap" }
func (t tag) meta() string    { return string(t) + ":meta" }

// partitionOf is where a room belongs; room is empty for everyone of an app, and for all rooms
// of an app that are in one partition together. There are so many.
func partitionOf(app, room string, of int) int {
	// FNV-1a: every node must come to the same, in each version.
	h := uint32(2166136261)
	for i := range len(app) {
		h = (h ^ uint32(app[i])) * 16777619
	}
	if room != "" {
		h *= 16777619 // of a byte 0
		for i := range len(room) {
			h = (h ^ uint32(room[i])) * 16777619
		}
	}
	return int(h % uint32(of))
}

// nameSize is the length of a node's name, which begins the ids of sessions.
const nameSize = 6

// newName names a node for the life of its process: 36 random bits.
func newName() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // which never fails
	return base64.RawURLEncoding.EncodeToString(b[:])[:nameSize]
}
