package echo

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/hub"
)

// nobody takes what comes.
type nobody struct{}

func (nobody) Deliver([]byte) bool { return true }

// crowded is a dialect with channels that are named by their numbers.
func crowded(t testing.TB, channels int) (*Dialect, *hub.Subscriber) {
	h := hub.New()
	s := h.Register(App, "s", channels+10, nil, nobody{})
	for i := range channels {
		if err := h.Join(s, fmt.Sprintf("a channel of orders %07d", i)); err != nil {
			t.Fatal(err)
		}
	}
	return &Dialect{hub: h, log: slog.New(slog.DiscardHandler)}, s
}

// pages reads a list to its end, and has between done between two pages.
func (d *Dialect) pages(prefix string, between func()) (names []string, pages int) {
	for q := (countQuestion{Prefix: prefix}); ; pages++ {
		a := d.page(q)
		names = append(names, a.Names...)
		if !a.More {
			return names, pages + 1
		}
		q.After = a.Names[len(a.Names)-1]
		between()
	}
}

// TestPagesCostAPage: the channels are found and sorted once for a list, of however many pages; what has
// gone since is not told of. What nobody reads is thrown away, and a list goes on without it.
func TestPagesCostAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const channels = 10_000
		d, s := crowded(t, channels)
		found := 0
		for after, n := "", 0; n < 5; n++ {
			names := d.contents.behind("a", after, func() []string { found++; return namesOf(d.named("a")) })
			after = names[100]
		}
		if found != 1 {
			t.Errorf("the channels are found %d times for one list", found)
		}
		for range maxContents + 3 {
			found++
			d.contents.behind(fmt.Sprint(found), "", func() []string { return nil })
		}
		if n := len(d.contents.all); n != maxContents {
			t.Errorf("the contents of %d lists are kept", n)
		}

		// Beside others, and with one that takes its time.
		for name, between := range map[string]func(){
			"alone": func() {}, "beside others": func() { d.contents.put("a", namesOf(d.named("a"))) }, "slowly": func() { time.Sleep(contentsFor + time.Minute) },
		} {
			names, pages := d.pages("a", between)
			if len(names) != channels || !slices.IsSorted(names) || len(slices.Compact(names)) != channels || pages < 4 {
				t.Errorf("%s: %d channels in %d pages", name, len(names), pages)
			}
		}
		gone := "a channel of orders 0009999"
		names, _ := d.pages("a", func() { d.hub.Leave(s, gone) })
		if len(names) != channels-1 || slices.Contains(names, gone) {
			t.Errorf("%d channels when one is gone", len(names))
		}
		time.Sleep(2*contentsFor + time.Second)
		synctest.Wait()
		if len(d.contents.all) > 0 || d.contents.tidy != nil {
			t.Errorf("%d contents are kept that nobody reads", len(d.contents.all))
		}
	})
}

// BenchmarkListPages reads a list of many channels to its end.
func BenchmarkListPages(b *testing.B) {
	for _, channels := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(channels), func(b *testing.B) {
			d, _ := crowded(b, channels)
			pages := 0
			for b.Loop() {
				_, pages = d.pages("", func() {})
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*pages), "us/page")
		})
	}
}
