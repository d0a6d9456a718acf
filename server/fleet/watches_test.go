package fleet

import (
	"context"
	"errors"
	"testing"

	"poosh/server/sends"
)

// newWatches are none yet, with what begins one.
func newWatches(t *testing.T) (ws *watches, feed *sends.Feed, begin func() (*sends.Watcher, error)) {
	ws, feed = &watches{}, sends.New()
	ws.init()
	t.Cleanup(feed.Close)
	return ws, feed, func() (*sends.Watcher, error) { return feed.Watch(sends.Filter{}) }
}

// A watch ends with the link over which it was asked for last, whether somebody waits for it or not, and
// not with one before.
func TestWatchEndsWithItsLink(t *testing.T) {
	ws, feed, begin := newWatches(t)
	first, cutFirst := context.WithCancel(context.Background())
	second, cutSecond := context.WithCancel(context.Background())
	w, err := ws.take("nodeBB/1", first, begin)
	if err != nil {
		t.Fatal(err)
	}
	ws.put(w, false)
	if again, err := ws.take("nodeBB/1", second, begin); err != nil || again != w {
		t.Fatalf("who begins again has not what was there: %v", err)
	}
	cutFirst()
	ws.put(w, false)
	if again, err := ws.take("nodeBB/1", second, nil); err != nil || again != w {
		t.Fatalf("it has ended with a link before: %v", err)
	}
	ws.put(w, false)
	cutSecond()
	until(t, "the end of what nobody asks for", func() bool { return !feed.Watched() })

	third, cutThird := context.WithCancel(context.Background())
	if w, err = ws.take("nodeBB/1", third, begin); err != nil {
		t.Fatal(err)
	}
	cutThird()
	<-w.Over()
	ws.put(w, false)
	if feed.Watched() || len(ws.of) > 0 {
		t.Error("what was cut is kept")
	}
}

// Whoever says that nobody watches is heard also while a question is still being answered, and whoever
// begins takes the place of a question whose answer was lost.
func TestWatchEndsWhileAskedFor(t *testing.T) {
	ws, feed, begin := newWatches(t)
	w, err := ws.take("nodeBB/1", t.Context(), begin)
	if err != nil {
		t.Fatal(err)
	}
	ws.end("nodeBB/1")
	ws.put(w, false)
	if feed.Watched() {
		t.Error("what has ended is kept")
	}
	before, err := ws.take("nodeBB/1", t.Context(), begin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ws.take("nodeBB/1", t.Context(), nil); !errors.Is(err, errTwice) {
		t.Errorf("two ask at once: %v", err)
	}
	now, err := ws.take("nodeBB/1", t.Context(), begin)
	if err != nil || now == before {
		t.Fatalf("it has what somebody else waits for: %v", err)
	}
	<-before.Over()
	ws.put(before, false)
	if len(ws.of) != 1 {
		t.Errorf("%d are kept, want the one", len(ws.of))
	}
	ws.put(now, true)
	if feed.Watched() {
		t.Error("it is kept when it is over")
	}
}

// A link that fails again and again takes one place for each tail.
func TestWatchKeepsItsPlace(t *testing.T) {
	ws, _, begin := newWatches(t)
	for range 2 * sends.MaxWatchers {
		if _, err := ws.take("nodeBB/1", t.Context(), begin); err != nil {
			t.Fatal(err)
		}
	}
}
