package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"poosh/server/hub"
)

// TestPages reads a room from its first event to its last, page by page, while others are
// published: each is there once, in order, and the last page says where to go on.
func TestPages(t *testing.T) {
	h, _ := site(t, Config{})
	const all = 300
	publish := func(n int) {
		room := []string{"news", "other"}[rand.IntN(2)]
		h.Publish(&hub.Publication{Room: room, Event: fmt.Sprint("before ", n)})
		h.Publish(&hub.Publication{Room: "news", Everyone: n%3 == 0, Event: fmt.Sprint(n)})
	}
	ended := make(chan struct{})
	go func() { // ends with its events
		defer close(ended)
		for n := range all {
			publish(n)
		}
	}()
	var seen []*hub.Kept
	ask := hub.PageAsk{Room: "news", Limit: 7, Since: true}
	for over := false; ; {
		select {
		case <-ended:
			over = true
		default:
		}
		p := h.Page("", ask)
		if !p.Whole || len(p.List) > ask.Limit || p.More && len(p.List) != ask.Limit {
			t.Fatalf("a page of %d, whole %v, more %v", len(p.List), p.Whole, p.More)
		}
		seen = append(seen, p.List...)
		ask.After = p.Head
		if p.More {
			ask.After = p.List[len(p.List)-1].At
		} else if over {
			break
		}
	}
	whole := h.Page("", hub.PageAsk{Room: "news", Since: true, Limit: math.MaxInt32})
	if len(seen) != len(whole.List) || len(seen) < all/2 {
		t.Fatalf("%d events in pages, %d in all", len(seen), len(whole.List))
	}
	for i, k := range whole.List {
		if seen[i] != k || k.Room != "news" || k.Everyone || time.Since(k.Entered) > time.Minute {
			t.Fatalf("%d: %+v in a page, %+v in all", i, seen[i], k)
		}
	}
	if p := h.Page("", hub.PageAsk{Everyone: true, Since: true, Limit: all}); len(p.List) != all/3 || p.List[1].Event != "3" {
		t.Errorf("%d events to everyone", len(p.List))
	}
}

// TestPagesOfWhatIsGone: who asks for more than is kept is told, and given what there is.
func TestPagesOfWhatIsGone(t *testing.T) {
	h, l := site(t, Config{Events: 10})
	var at []hub.Position
	for n := range 25 {
		h.Publish(&hub.Publication{Room: "news", Event: fmt.Sprint(n)})
		at = append(at, h.Page("", hub.PageAsk{Room: "news", Limit: 1}).Head)
	}
	last := at[len(at)-1]
	for name, tt := range map[string]struct {
		ask         hub.PageAsk
		first       string
		n           int
		whole, more bool
	}{
		"all":                {hub.PageAsk{Since: true, Limit: 100}, "15", 10, false, false},
		"behind what is cut": {hub.PageAsk{Since: true, After: at[3], Limit: 100}, "15", 10, false, false},
		"a page of that":     {hub.PageAsk{Since: true, After: at[3], Limit: 4}, "15", 4, false, true},
		"the last one gone":  {hub.PageAsk{Since: true, After: at[14], Limit: 100}, "15", 10, true, false},
		"later":              {hub.PageAsk{Since: true, After: at[20], Limit: 100}, "21", 4, true, false},
		"exactly a page":     {hub.PageAsk{Since: true, After: at[20], Limit: 4}, "21", 4, true, false},
		"now":                {hub.PageAsk{Since: true, After: last, Limit: 100}, "", 0, true, false},
		"another log":        {hub.PageAsk{Since: true, After: hub.Position{Epoch: last.Epoch ^ 1, Number: 20}, Limit: 100}, "15", 10, false, false},
		"the future":         {hub.PageAsk{Since: true, After: hub.Position{Epoch: last.Epoch, Number: last.Number + 1}, Limit: 3}, "15", 3, false, true},
		"the newest":         {hub.PageAsk{Limit: 4}, "21", 4, true, false},
		"more of the newest": {hub.PageAsk{Limit: 11}, "15", 10, false, false},
	} {
		tt.ask.Room = "news"
		p := h.Page("", tt.ask)
		first := ""
		if len(p.List) > 0 {
			first = p.List[0].Event
		}
		if first != tt.first || len(p.List) != tt.n || p.Whole != tt.whole || p.More != tt.more || p.Head != last {
			t.Errorf("%s: %d from %q, whole %v, more %v, head %v", name, len(p.List), first, p.Whole, p.More, p.Head)
		}
	}
	// Publications wait meanwhile: no more is looked through than a page has.
	x := l.Read("", []hub.Span{{Room: "news", UpTo: last.Number, First: 3}}, func(_ bool, n, _ int) bool { return n == 3 })
	if x.Unwanted || len(x.List) != 3 || x.List[0].Event != "15" {
		t.Errorf("the first three are %+v", x)
	}
	if p := h.Page("", hub.PageAsk{Room: "nobody's", Since: true, Limit: 1}); len(p.List) != 0 || !p.Whole || p.More {
		t.Errorf("of a room that had nothing: %+v", p)
	}
}
