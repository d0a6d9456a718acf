package server

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gorilla/websocket"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/poosh"
	"poosh/server/sends"
)

// An account of an event is of all nodes: who took it on each, in whatever dialect, and why others did not.
func TestExplainInACluster(t *testing.T) {
	redis := redistest.Start(t)
	a, b := node(t, redis.Addr, "ADMIN_PORT", "0"), node(t, redis.Addr, "ADMIN_PORT", "0")
	here, there, too := a.listen(t, "r"), b.listen(t, "r"), b.listen(t, "r")
	subscribed(t, redis, "r", 2)
	redistest.Until(t, "all to be seated", func() bool {
		n, _ := b.hub.Count(poosh.App, "r")
		return n == 2
	})
	redistest.Until(t, "both to know of each other", func() bool { return len(a.cluster.Nodes()) == 2 && len(b.cluster.Nodes()) == 2 })
	account := func(room string) (got sends.Account, delivered string) {
		t.Helper()
		res, body := a.pooshSend(t, "?explain=1", room, "e", `"`+room+`"`)
		if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 200 || len(got.Rooms) != 1 || res.Header.Get("X-Poosh-Nodes") == "" {
			t.Fatalf("%s: %s %v, %v", res.Status, body, res.Header, err)
		}
		return got, res.Header.Get("X-Poosh-Delivered")
	}
	for _, room := range []string{"r", "*"} {
		got, delivered := account(room)
		each := make(map[string]int)
		for _, n := range got.Rooms[0].Nodes {
			each[n.Node] = n.Handed
		}
		if got.Uncounted || got.Handed != 3 || got.Matched != 3 || delivered != "3" || len(got.Rooms[0].By) != 1 || got.Rooms[0].By[0].Handed != 3 ||
			each[a.cluster.Name()] != 1 || each[b.cluster.Name()] != 2 || len(each) != 2 {
			t.Errorf("%s: %+v %s", room, got, delivered)
		}
		for _, s := range []struct {
			r *running
			c *websocket.Conn
		}{{a, here}, {b, there}, {b, too}} {
			s.r.hear(t, s.c, `42["e","`+room+`"`)
		}
	}
	// Nobody is in the room; the other node knows who was there.
	if got, delivered := account("none"); delivered != "0" || len(got.Rooms[0].LeftOut) != 1 || got.Rooms[0].LeftOut[0].Cause != hub.NoSuchRoom {
		t.Errorf("%+v", got)
	}
	_ = too.Close()
	_ = there.Close()
	_ = here.Close()
	redistest.Until(t, "the clients to be gone", func() bool {
		n, _ := b.hub.Count(poosh.App, "r")
		m, _ := a.hub.Count(poosh.App, "r")
		return n+m == 0
	})
	got, _ := account("r")
	if len(got.Rooms[0].LeftOut) != 1 || got.Rooms[0].LeftOut[0].Cause != hub.Closed || len(got.Rooms[0].Left) != 3 {
		t.Errorf("%+v", got)
	}
}

// So is the account that the HTTP API of Laravel Echo gives, which has a count in a header then.
func TestEchoExplainsInACluster(t *testing.T) {
	redis := redistest.Start(t)
	echo := []string{"ECHO_PORT", "0", "ECHO_REDIS", "redis://" + redis.Addr, "ECHO_KEYS", "id:key"}
	a, b := node(t, redis.Addr, echo...), node(t, redis.Addr, echo...)
	there := b.echoPage(t, "orders")
	subscribed(t, redis, "orders", 1)
	for query, want := range map[string]bool{"&explain=1": true, "": false} {
		res, body := post(t, "http://"+a.Addrs()["ECHO_PORT"].String()+"/apps/id/events?auth_key=key"+query, `{"channel":"orders","name":"e","data":1}`, nil)
		if res.StatusCode != 200 || res.Header.Get(sends.Header) == "" || (res.Header[sends.DeliveredHeader] != nil) != want || !want && body != `{"message":"ok"}` {
			t.Errorf("%q: %s %v %s", query, res.Status, res.Header, body)
		}
		b.hear(t, there, `42["e","orders",1]`)
		if !want {
			continue
		}
		var got sends.Account
		if err := json.Unmarshal([]byte(body), &got); err != nil || got.Uncounted || got.Handed != 1 || len(got.Rooms) != 1 ||
			fmt.Sprint(got.Rooms[0].Nodes) != fmt.Sprintf("[{%s 1 1}]", b.cluster.Name()) {
			t.Errorf("%s, %v", body, err)
		}
	}
}
