package server

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/health"
	"poosh/server/overview"
)

// Each node tells operators of all nodes, and what they have to do.
func TestOverviewOfNodes(t *testing.T) {
	redis := redistest.Start(t)
	a := node(t, redis.Addr, "CLUSTER_LEASE", "10s", "ADMIN_PORT", "0")
	b := node(t, redis.Addr, "CLUSTER_LEASE", "10s", "ADMIN_PORT", "0")
	b.listen(t, "r")
	var got overview.Overview
	redistest.Until(t, "a node to tell of the client of another one", func() bool {
		w := httptest.NewRecorder()
		a.live.ServeOverview(w, httptest.NewRequest("GET", "/api/overview", nil))
		if w.Code != 200 {
			return false
		}
		got = overview.Overview{}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Cluster == nil {
			t.Fatal(err, w.Body)
		}
		for _, n := range got.Cluster.Nodes {
			if n.Name == b.cluster.Name() && n.Load != nil && n.Load.Connections == 1 {
				return true
			}
		}
		return false
	})
	if c := got.Cluster; len(c.Nodes) != 2 || c.Node != a.cluster.Name() || !c.Engine {
		t.Errorf("%+v", c)
	}
	status, text := get(t, a.Addrs()["ADMIN_PORT"].String(), "/ready")
	var ready struct {
		Status string
		Nodes  []readyNode
	}
	if err := json.Unmarshal([]byte(text), &ready); err != nil || status != 200 || ready.Status != health.OK || len(ready.Nodes) != 2 || strings.Contains(text, "addr") {
		t.Errorf("/ready: %d %s", status, text)
	}
	for _, n := range ready.Nodes {
		if n.Version == "" || n.Uptime <= 0 || n.Uptime > 3600 || n.Draining || n.Load == nil {
			t.Errorf("/ready: %s", text)
		}
	}
	if _, text := get(t, a.client, "/ready"); text != `{"status":"ok"}` {
		t.Errorf("strangers are told %s", text)
	}
	for _, n := range got.Cluster.Nodes {
		if n.Version == "" || n.Started.IsZero() || n.Draining || n.Load == nil || n.Load.CPU < 0 || n.Name == a.cluster.Name() && n.Load.Connections != 0 {
			t.Errorf("%+v, %+v", n, n.Load)
		}
	}
}
