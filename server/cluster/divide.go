package cluster

import (
	"slices"
	"strconv"
)

// rooms are the partitions that rooms are divided into.
func (c *Cluster) rooms() []*partition { return c.parts[:len(c.parts)-1] }

// backlog is how many bytes of its log a partition keeps, for scripts: the more the fewer partitions there are.
func (c *Cluster) backlog() string {
	return strconv.FormatInt(int64(max(c.cfg.Backlog, 0))*partitions/int64(len(c.rooms())), 10)
}

// share is how many a partition may have of what a sixteenth of the rooms may have so many of.
func (c *Cluster) share(n int) int { return n * partitions / len(c.rooms()) }

// narrow has no more partitions than one server is to have. What was wanted or published before is put where it belongs
// from now on.
func (c *Cluster) narrow() {
	rest := c.parts[fewPartitions:partitions]
	c.parts = append(slices.Clone(c.parts[:fewPartitions]), c.own)
	for _, p := range rest {
		for _, s := range p.subs.of {
			to := c.partition(s.app, s.room, s.everyone)
			for range s.refs {
				to.want(to.channel(s.app, s.room, s.everyone))
			}
		}
		for _, i := range p.takeQueue() {
			if e, err := openEnvelope(i.envelope); err == nil {
				to := c.partition(e.App, e.Room, e.Everyone)
				again := to.item(&e.Publication)
				again.done, again.since = i.done, i.since
				c.waiting.Add(again.size() - i.size())
				to.queue = append(to.queue, again)
			}
		}
	}
}

// partition is where a room is, or everyone of an app.
func (c *Cluster) partition(app, room string, everyone bool) *partition {
	if everyone || c.together(app) {
		room = ""
	}
	return c.parts[partitionOf(app, room, len(c.parts)-1)]
}

func (c *Cluster) together(app string) bool { return c.opt.Together != nil && c.opt.Together(app) }
