package cluster

import (
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// The link ends while a node reads what it missed, and all that it has read is too old when the engine is there again: what
// Redis keeps by then has the names of what it kept before, and nothing of it is left out.
func TestNodeCutOffUntilAllIsTooOld(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Backlog = shortBacklog
	far, wire := wired(t, cfg, redis.Addr)
	// Redis drops it early; the nodes keep it.
	brief := func(o *Options) { o.Keeping = func(string) Keeping { return Keeping{64 << 20, 4 * time.Second} } }
	a := openLibrary(t, cfg, much, brief)
	s := stopping{reached: make(chan struct{}), goOn: make(chan struct{})}
	b := openLibrary(t, far, much, brief, func(o *Options) {
		fill := o.Fill
		o.Fill = func(app string, behind hub.Position) Filling { return stoppingFill{fill(app, behind), &s} }
	})
	p := b.partition(app, "", true)
	b.cutOff(wire.Cut)
	a.mustSend("r", numbered(1, 100)...)
	wire.Heal()
	select {
	case <-s.reached:
	case <-time.After(30 * time.Second):
		t.Fatal("it reads nothing")
	}
	wire.Cut()
	close(s.goOn)
	until(t, "all is too old", func() bool { return redis.Do("EXISTS", string(p.tag)+":h:"+app) == ":0" })
	place := a.head()
	a.mustSend("r", numbered(101, 400)...)
	wire.Heal()
	b.again(1)
	b.has("r", place, numbered(101, 400))
}

// A node starts without what it cannot read of what is kept, and says so.
func TestNodeStartsWithoutWhatIsBroken(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	a := openLibrary(t, cfg, much)
	begin := a.head()
	a.mustSend("r", "1")
	redis.Do("LSET", string(a.partition(app, "", true).tag)+":hc:1:"+app, "0", "nonsense")
	b := openLibrary(t, cfg, much)
	if texts, _, whole := b.behind("r", begin); whole || len(texts) > 0 {
		t.Errorf("it has %d, whole %v", len(texts), whole)
	}
	if log := b.log.String(); !strings.Contains(log, errNoEvent.Error()) {
		t.Errorf("its log says\n%s", log)
	}
	place := a.head()
	a.mustSend("r", "2")
	b.has("r", place, []string{"2"})
}
