package cluster

import (
	"strconv"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/hub/history"
)

// One partition has more apps that are kept than Lua puts on its stack at once. All of them are known to be whole,
// those too that nobody has published to.
func TestKeptOfManyApps(t *testing.T) {
	t.Parallel()
	cfg := config(t, at(redistest.Start(t).Addr))
	finder := New(cfg)
	defer finder.end()
	var apps []string
	for i := 0; len(apps) < 4200; i++ {
		if name := "app-" + strconv.Itoa(i); finder.partition(name, "", true).index == 0 {
			apps = append(apps, name)
		}
	}
	kept := history.New(much, apps...)
	c := join(t, cfg, func(o *Options) {
		o.Apps, o.Together = apps, kept.Keeps
		o.Keeping = func(string) Keeping { return Keeping{Bytes: much.Bytes, Age: much.Age} }
		o.Fill = func(app string, behind hub.Position) Filling { return kept.Fill(app, behind) }
	})
	p := c.parts[0]
	if len(p.kept) != len(apps) {
		t.Fatalf("%d apps are kept in one partition, want %d", len(p.kept), len(apps))
	}
	publish := func(app string) {
		t.Helper()
		answered := make(chan hub.Handed, 1)
		c.Publish(&hub.Publication{App: app, Room: "r", Data: []byte("x")}, func(h hub.Handed) { answered <- h })
		if h := <-answered; h.Err != nil {
			t.Fatal(h.Err)
		}
	}
	answer := func(app string) []string {
		t.Helper()
		list, err := p.current().keptAsk(keptScript, app, p.keptNames())
		if err != nil || len(list) < 5 {
			t.Fatalf("%q, %v", list, err)
		}
		return list[1:4] // where the log is, where the app began, and the last that is kept
	}
	is := func(app, n, from, last string) {
		t.Helper()
		if got := answer(app); got[0] != n || got[1] != from || got[2] != last {
			t.Errorf("%s: at %s, from %s, last %s; want %s, %s, %s", app, got[0], got[1], got[2], n, from, last)
		}
	}
	publish(apps[0])
	publish(apps[4000])
	is(apps[0], "2", "0", "1")
	is(apps[1], "2", "0", "0")
	is(apps[4000], "2", "0", "2")
	source := c.Source("radio")
	defer source.Stop(t.Context())
	source.Reads(true)
	until(t, "it leads", source.Leads)
	source.Read(1<<32, []*hub.Publication{{App: apps[1], Room: "r", Data: []byte("x")}}, nil)
	until(t, "it is published", func() bool { return source.Stats().Taken == 1 })
	is(apps[1], "3", "0", "3")
}
