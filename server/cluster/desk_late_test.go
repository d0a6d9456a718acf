//go:build unix

package cluster

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/presence"
)

// Who is answered late, and enters once more before the engine goes on, is there in the end.
func TestDeskLateThenAgain(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	w.cfg.Lease = 30 * time.Second
	a, b := w.build(t, ""), w.build(t, "")
	all, rooms := []*house{a, b}, []string{"r"}
	b.mustSit("r", "other")
	a.mustSit("r", "x")
	settled(t, w, all, rooms)
	redis.Signal(syscall.SIGSTOP)
	if _, err := a.sit("r", "u"); !errors.Is(err, presence.ErrAway) {
		t.Errorf("answered %v by an engine that stands still", err)
	}
	again := make(chan error, 1)
	go func() {
		_, err := a.sit("r", "u")
		again <- err
	}()
	d := a.partition(app, "r", false).desk
	until(t, "the second one waits", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return slices.ContainsFunc(d.queue, func(s *step) bool { return s.kind == stepEnter })
	})
	redis.Signal(syscall.SIGCONT)
	if err := <-again; err != nil {
		t.Errorf("the second one: %v", err)
	}
	settled(t, w, all, rooms)
	if got := b.told("came r u"); len(got) != 1+len(b.told("went r u")) {
		t.Errorf("told %q", b.told(""))
	}
}
