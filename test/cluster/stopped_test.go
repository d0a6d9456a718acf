//go:build unix

package cluster

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"poosh/server/stalltest"
)

// A node stands still for longer than its lease, with its connections open: its Socktopus ids are free
// within the lease and two seconds, and who joins elsewhere has one sooner. When it goes on it has those
// again that nobody has, and their clients are there yet.
func TestSocktopusNodeStandsStill(t *testing.T) {
	stalled := stalltest.Watch(t)
	_, nodes, d := socktopus(t)
	d.joins("taken", nodes[1], socktopusToken("taken"))
	d.joins("left", nodes[1], socktopusToken("left"))
	d.joins("other", nodes[2], socktopusToken("other"))
	d.synced("taken", "left", "other")
	nodes[1].Signal(syscall.SIGSTOP)
	defer nodes[1].Signal(syscall.SIGCONT)
	stopped, before := time.Now(), stalled()
	d.joins("newer", nodes[0], socktopusToken("taken"))
	d.synced("newer")
	d.reaches(nodes[2], "to the newer", "taken")
	d.until("ids to be free", func() bool {
		got, err := nodes[2].sendTo("x", "left")
		return err == nil && len(got) == 0
	})
	took := time.Since(stopped)
	t.Logf("free after %v", took)
	if limit := lease + 2*time.Second + stalled() - before; took > limit {
		t.Errorf("ids of a node that stands still were free after %v, want %v", took, limit)
	}
	nodes[1].Signal(syscall.SIGCONT)
	d.ended("taken")
	d.until("the other id to be there again", func() bool {
		got, err := nodes[2].sendTo("back", "left")
		return err == nil && slices.Equal(got, []string{"left"})
	})
	d.until("a message", func() bool { return d.has("left", "frame", "DATA:back") })
	d.reaches(nodes[1], "to the newer", "taken", "other")
	d.unless("closed", "left", "other", "newer")
}
