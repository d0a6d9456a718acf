package socktopus

import (
	"runtime"
	"strings"
	"testing"

	"poosh/server/sends"
)

// What is in a message is written down for who watches, and for nobody else.
func TestContentIsWrittenDownForWatchersAlone(t *testing.T) {
	feed := sends.New()
	feed.Remember()
	d := newSite(t, Config{Sends: feed}).dialect
	m := message{Recipient: "1", Content: strings.Repeat("x", 8<<20)}
	report := func() (bytes uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d.report(d.rules.Load().apps["myapp"], "id", m, 1, "192.0.2.1:1")
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if n := report(); n > 1<<20 {
		t.Errorf("it takes %d bytes while nobody watches", n)
	}
	w, err := feed.Watch(sends.Filter{Payload: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	m.Content = `"`
	report()
	if list, _ := w.Take(); len(list) != 1 || string(list[0].Payload) != `"\""` {
		t.Errorf("who watches is told %+v", list)
	}
}
