package cluster

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/presence/presencetest"
)

// A house is a node with its hub.
type house struct {
	*Cluster
	hub *hub.Hub
	log *logged
}

func newHouse(t testing.TB, cfg Config) *house {
	t.Helper()
	h := &house{Cluster: New(cfg), log: &logged{}}
	h.hub = hub.NewWith(h.Cluster, nil)
	opt := Options{Log: slog.New(slog.NewTextHandler(h.log, nil)), Version: "test", Deliver: h.hub.DeliverAt, Mirror: h.hub,
		Missed: func(string, string, bool) {}}
	if err := h.Join(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = h.Close(ctx)
		if t.Failed() {
			t.Logf("%s says\n%s", h.Name(), h.log)
		}
	})
	return h
}

func (h *house) process() presencetest.Process {
	return presencetest.Process{Hub: h.hub, Desk: h, Census: h}
}

// The engine's desk does what any has to.
func TestDesk(t *testing.T) {
	redis := redistest.Start(t)
	presencetest.RunDesk(t, func(t *testing.T) (a, b presencetest.Process) {
		cfg := config(t, at(redis.Addr))
		return newHouse(t, cfg).process(), newHouse(t, cfg).process()
	})
}
