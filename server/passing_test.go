package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"poosh/server/cluster/redistest"
)

// A client whose requests come to any node is a client of one: it polls, moves to a WebSocket, and
// finds its session again when the node that passed its poll on ends.
func TestNodesPassRequestsOn(t *testing.T) {
	redis := redistest.Start(t)
	a, b, c := node(t, redis.Addr), node(t, redis.Addr), node(t, redis.Addr)
	for _, r := range []*running{a, b, c} {
		redistest.Until(t, "all nodes", func() bool {
			for _, n := range r.cluster.Nodes() {
				if n.Addr == "" {
					return false
				}
			}
			return len(r.cluster.Nodes()) == 3
		})
	}
	url := b.poller(t, "r")
	subscribed(t, redis, "r", 1)
	at := func(r *running) string { return strings.Replace(url, b.client, r.client, 1) }
	poll := func(r *running) <-chan string {
		answers := make(chan string, 1)
		go func() { // ends with the answer
			res, err := http.Get(at(r))
			if err != nil {
				answers <- err.Error()
				return
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body)
			answers <- res.Status + " " + string(text)
		}()
		redistest.Until(t, "the GET to wait", func() bool {
			for _, reading := range r.passing.Readings() {
				if reading.Name == "cluster_passed_waiting" {
					return reading.Samples[0].Value > 0
				}
			}
			return false
		})
		return answers
	}
	for _, r := range []*running{a, c} {
		waits := poll(r)
		if res := a.send(t, "r", "e", `"by way of another"`); res.StatusCode != 200 {
			t.Fatal(res.Status)
		}
		if got := <-waits; !strings.HasPrefix(got, "200 OK") || !strings.Contains(got, "by way of another") {
			t.Errorf("got %q", got)
		}
	}
	waits := poll(c)
	c.stop()
	if got := <-waits; got != "200 OK 1:6" {
		t.Errorf("from a node that ends: %q", got)
	}
	if err := c.wait(t); err != nil {
		t.Fatal(err)
	}
	ws, res, err := websocket.DefaultDialer.Dial(strings.Replace(strings.Replace(at(a), "http://", "ws://", 1), "transport=polling", "transport=websocket", 1), nil)
	if err != nil {
		t.Fatal(err, res)
	}
	defer ws.Close()
	say := func(text string) {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	say("2probe")
	a.hear(t, ws, "3probe")
	say("5")
	b.send(t, "r", "e", `"on the WebSocket"`)
	a.hear(t, ws, `42["e","on the WebSocket"`)
	a.stop() // cuts it off
	if _, _, err := ws.ReadMessage(); err == nil {
		t.Error("it goes on behind the end of a node")
	}
	if err := a.wait(t); err != nil {
		t.Fatal(err)
	}
}
