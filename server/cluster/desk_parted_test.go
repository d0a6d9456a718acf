package cluster

import (
	"slices"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

// Who left shortly before the engine forgot everything, so that the applications were not told yet, is told
// of all the same, and a room that was vacated too. Who is back by then is not.
func TestDeskLeftBeforeEngineForgot(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(shortLease(t, redis))
	w.hold = 8 * time.Second // far longer than what comes before the engine forgets
	a, b := w.build(t, ""), w.build(t, "")
	all, rooms := []*house{a, b}, []string{"q", "r"}
	a.mustSit("r", "a")
	goes, back, alone := b.mustSit("r", "b"), b.mustSit("r", "c"), b.mustSit("q", "b")
	settled(t, w, all, rooms)
	for _, id := range []string{goes, back, alone} {
		b.rise(id)
	}
	until(t, "all have left", func() bool {
		count, _, err := a.Count(t.Context(), app, "q")
		return len(a.told("went r b")) == 1 && len(a.told("went r c")) == 1 && err == nil && count == 0
	})
	redis.Do("FLUSHALL")
	b.mustSit("r", "c")
	settled(t, w, all, rooms)
	want := []string{"q  [true false]", "q b [true false]", "r  [true]", "r a [true]", "r b [true false]", "r c [true]"}
	if got := w.due(); !slices.Equal(got, want) {
		t.Errorf("the applications were told %q, want %q", got, want)
	}
}
