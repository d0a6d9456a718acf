package server

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

// A wanderer is a page of Laravel Echo whose every request comes to the next node, as a balancer without stickiness has it.
type wanderer struct {
	t     *testing.T
	bases []string
	turn  int
	sid   string
	heard string // so far, of all polls
}

func (w *wanderer) ask(method, body string) string {
	w.t.Helper()
	base := w.bases[w.turn%len(w.bases)]
	w.turn++
	req, err := http.NewRequest(method, base+"/socket.io/?EIO=4&transport=polling"+w.sid, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	client := http.Client{Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s by node %d: %s %s %v", method, w.turn, res.Status, text, err)
	}
	return string(text)
}

// until polls until something has come.
func (w *wanderer) until(text string) {
	w.t.Helper()
	for !strings.Contains(w.heard, text) {
		got := w.ask(http.MethodGet, "")
		if got == "2" { // a ping
			w.ask(http.MethodPost, "3")
		}
		w.heard += got + "\n"
	}
}

// Clients of Laravel Echo on three nodes: one that polls by the next node each time, and two with WebSockets stay while Redis is
// away and has forgotten everything, and each gets each event once and in order; a node that ends takes nobody else along.
func TestEchoOnNodes(t *testing.T) {
	redis := redistest.Start(t)
	echo := []string{"ECHO_PORT", "0", "ECHO_REDIS", "redis://" + redis.Addr, "ECHO_KEYS", "id:key", "CLUSTER_TIMEOUT", "3s", "PING_INTERVAL", "60s"}
	var nodes []*running
	w := &wanderer{t: t}
	for range 3 {
		r := node(t, redis.Addr, echo...)
		nodes, w.bases = append(nodes, r), append(w.bases, "http://"+r.Addrs()["ECHO_PORT"].String())
	}
	for _, r := range nodes {
		redistest.Until(t, "all nodes to know where the others are", func() bool {
			for _, n := range r.cluster.Nodes() {
				if n.Addr == "" {
					return false
				}
			}
			return len(r.cluster.Nodes()) == 3
		})
	}
	_, sid, found := strings.Cut(w.ask(http.MethodGet, ""), `"sid":"`)
	if sid, _, _ = strings.Cut(sid, `"`); !found || sid == "" {
		t.Fatal("no session")
	}
	w.sid = "&sid=" + sid
	w.ask(http.MethodPost, "40")
	w.until("40{")
	w.ask(http.MethodPost, `42["subscribe",{"channel":"orders","auth":{"headers":{}}}]`)
	redistest.Until(t, "it is in the channel", func() bool { n, _ := nodes[0].hub.Count("echo", "orders"); return n == 1 })
	a, b := nodes[0].echoPage(t, "orders"), nodes[1].echoPage(t, "orders")
	sent := 0
	send := func(by ...*running) {
		t.Helper()
		for _, r := range by {
			sent++
			res, body := post(t, "http://"+r.Addrs()["ECHO_PORT"].String()+"/apps/id/events?auth_key=key", fmt.Sprintf(`{"channel":"orders","name":"e","data":%d}`, sent), nil)
			if res.StatusCode != 200 {
				t.Fatalf("%s %s", res.Status, body)
			}
			_, _ = a.SetReadDeadline(time.Now().Add(patience)), b.SetReadDeadline(time.Now().Add(patience))
			nodes[0].hear(t, a, fmt.Sprintf(`42["e","orders",%d]`, sent))
			nodes[1].hear(t, b, fmt.Sprintf(`42["e","orders",%d]`, sent))
		}
		w.until(fmt.Sprintf(`42["e","orders",%d]`, sent))
	}
	counted := func(r *running, want int) {
		t.Helper()
		text := fmt.Sprintf(`{"subscription_count":%d,"occupied":true}`, want)
		redistest.Until(t, "a node to count "+text, func() bool {
			_, got := get(t, r.Addrs()["ECHO_PORT"].String(), "/apps/id/channels/orders?auth_key=key")
			return got == text
		})
	}
	back := func() {
		t.Helper()
		for _, r := range nodes {
			redistest.Until(t, "Redis to be back", r.cluster.Up)
			counted(r, 3)
		}
		for _, r := range nodes { // once it takes what is sent again
			redistest.Until(t, "a send by each node", func() bool {
				res, _ := post(t, "http://"+r.Addrs()["ECHO_PORT"].String()+"/apps/id/events?auth_key=key", `{"channel":"nobody","name":"e","data":1}`, nil)
				return res.StatusCode == 200
			})
		}
	}
	send(nodes...)
	for _, r := range nodes {
		counted(r, 3)
	}
	redis.Kill()
	for _, r := range nodes {
		redistest.Until(t, "senders to be told", func() bool {
			res, body := post(t, "http://"+r.Addrs()["ECHO_PORT"].String()+"/apps/id/events?auth_key=key", `{"channel":"nobody","name":"e","data":1}`, nil)
			return res.StatusCode == 503 && res.Header.Get("Retry-After") != "" && strings.HasPrefix(body, `{"error":`)
		})
	}
	redis.Run()
	back()
	send(nodes...)
	redis.Do("FLUSHALL")
	back()
	send(nodes...)
	nodes[2].stop()
	if err := nodes[2].wait(t); err != nil {
		t.Fatal(err)
	}
	w.bases = w.bases[:2]
	send(nodes[:2]...)
	counted(nodes[1], 3)
	if n := strings.Count(w.heard, `42["e"`); n != sent {
		t.Errorf("it heard %d of %d: %s", n, sent, w.heard)
	}
}
