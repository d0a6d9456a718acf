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

// Nor does the account that the HTTP API of Laravel Echo gives, which has no count in a header then.
func TestEchoExplainsInACluster(t *testing.T) {
	redis := redistest.Start(t)
	echo := []string{"ECHO_PORT", "0", "ECHO_REDIS", "redis://" + redis.Addr, "ECHO_KEYS", "id:key"}
	a, b := node(t, redis.Addr, echo...), node(t, redis.Addr, echo...)
	there := b.echoPage(t, "orders")
	subscribed(t, redis, "orders", 1)
	for query, want := range map[string]bool{"&explain=1": true, "": false} {
		res, body := post(t, "http://"+a.Addrs()["ECHO_PORT"].String()+"/apps/id/events?auth_key=key"+query, `{"channel":"orders","name":"e","data":1}`, nil)
		if res.StatusCode != 200 || res.Header.Get(sends.Header) == "" || res.Header[sends.DeliveredHeader] != nil || !want && body != `{"message":"ok"}` {
			t.Errorf("%q: %s %v %s", query, res.Status, res.Header, body)
		}
		b.hear(t, there, `42["e","orders",1]`)
		if !want {
			continue
		}
		var got sends.Account
		if err := json.Unmarshal([]byte(body), &got); err != nil || !got.Uncounted || got.Nodes != 1 || got.Text == "" || len(got.Rooms) != 1 || len(got.Rooms[0].By)+len(got.Rooms[0].LeftOut) != 0 {
			t.Errorf("%s, %v", body, err)
		}
	}
}
