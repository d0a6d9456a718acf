package server

import (
	"encoding/json"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/sends"
)

// An account of an event that several nodes were handed says so, and not that nobody got it.
func TestExplainInACluster(t *testing.T) {
	redis := redistest.Start(t)
	a, b := node(t, redis.Addr), node(t, redis.Addr)
	there := b.listen(t, "r")
	subscribed(t, redis, "r", 1)
	redistest.Until(t, "both to know of each other", func() bool { return len(a.cluster.Nodes()) == 2 && len(b.cluster.Nodes()) == 2 })
	for room, want := range map[string]struct {
		nodes int
		text  string
	}{
		"r": {1, "went to the engine of the cluster, and from there to 1 node; who took it, on all of them, nobody counts"},
		"*": {2, "went to the engine of the cluster, and from there to 2 nodes; who took it, on all of them, nobody counts"},
	} {
		res, body := a.pooshSend(t, "?explain=1", room, "e", `"`+room+`"`)
		var got sends.Account
		if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: %s, %v", res.Status, body, err)
		}
		if !got.Uncounted || got.Nodes != want.nodes || got.Text != want.text || len(got.Rooms) != 1 || len(got.Rooms[0].By)+len(got.Rooms[0].LeftOut) != 0 {
			t.Errorf("%s: %s; want %v", room, body, want)
		}
		b.hear(t, there, `42["e","`+room+`"`)
	}
}
