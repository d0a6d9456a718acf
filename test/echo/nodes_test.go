package echo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

// nodes starts three in a cluster, whose Redis Laravel publishes in too.
func nodes(t *testing.T, more ...string) []*server {
	t.Helper()
	redis, app := redistest.Start(t), newApplication(t)
	list := make([]*server, 3)
	for i := range list {
		admin := strconv.Itoa(process.FreePort(t))
		env := settings(redis, app.url, append([]string{"CLUSTER_REDIS=redis://" + redis.Addr, "CLUSTER_LEASE=4s", "CLUSTER_TIMEOUT=1s", "ADMIN_PORT=" + admin}, more...)...)
		list[i] = &server{redis: redis, app: app, admin: "http://127.0.0.1:" + admin, Process: process.Start(t, program, "ECHO_PORT", env...)}
		showLog(t, list[i].Process)
	}
	return list
}

// get is the body of an answer 200.
func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: process.Patience}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", url, res.Status, body, err)
	}
	return string(body)
}

// metric is a number of the node; -1 where there is none.
func (s *server) metric(t *testing.T, name string) int {
	t.Helper()
	return process.Metric(t, get(t, s.admin+"/metrics"), name)
}

// publisher is the index of the node that publishes what Redis brings.
func publisher(t *testing.T, list []*server) (leads int) {
	t.Helper()
	redistest.Until(t, "a node says that it publishes", func() bool {
		leads = slices.IndexFunc(list, func(s *server) bool { return s.metric(t, "poosh_echo_redis_leads") == 1 })
		return leads >= 0
	})
	return leads
}

// number is that of an event {"n":..} of a channel; not ok for another line.
func number(line, name string) (n int, ok bool) {
	var said struct{ N int }
	text, ok := strings.CutPrefix(line, fmt.Sprintf(`["event",%q,".said",`, name))
	if !ok || json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &said) != nil {
		return 0, false
	}
	return said.N, true
}

// On three nodes each event arrives once and in order, who is left out is left out wherever it
// is, whispers reach the others, and everybody knows the same members; also when the one that publishes is killed.
func TestNodes(t *testing.T) {
	for name, more := range map[string][]string{"without history": nil, "with history": {"HISTORY=5m"}} {
		t.Run(name, func(t *testing.T) { threeNodes(t, more...) })
	}
}

func threeNodes(t *testing.T, more ...string) {
	list := nodes(t, more...)
	b := newBroadcaster(t, list[0].redis, prefix)
	var pages []*page
	for i, of := range []struct{ echo, client string }{{"echo-1", "sio-2.5.0"}, {"echo-2", "sio-4.8.1"}, {"echo-2", "sio-2.5.0"}} {
		p := open(t, list[i].URL(), of.echo, of.client, i+1)
		p.join("private", "news", ".said")
		p.hears(b, "news", "private-news")
		pages = append(pages, p)
	}
	here := func(users ...int) string {
		var list []string
		for _, u := range users {
			list = append(list, ann(u))
		}
		return fmt.Sprintf(`["here","room",[%s]]`, strings.Join(list, ","))
	}
	for i, p := range pages {
		p.join("presence", "room", ".said")
		p.wants(here([]int{3, 2, 1}[2-i:]...))
		for _, other := range pages[:i] {
			other.wants(fmt.Sprintf(`["joining","room",%s]`, ann(i+1)))
		}
	}
	for i, p := range pages { // each is left out on its own node, by whichever takes the message
		b.send(broadcast{Channels: []string{"private-news"}, Event: "said", Data: map[string]any{"n": i}, Socket: &p.id})
	}
	for i, p := range pages {
		for n := range pages {
			if n != i {
				p.wants(fmt.Sprintf(`["event","news",".said",{"n":%d}]`, n))
			}
		}
	}
	pages[0].tell([]any{"whisper", "presence", "room", 5})
	for _, p := range pages[1:] {
		p.wants(`["whisper","room",5]`)
	}
	for path, want := range map[string]string{
		"/presence-room": `{"subscription_count":3,"occupied":true,"user_count":3}`,
		"/private-news":  `{"subscription_count":3,"occupied":true}`,
		"":               `{"channels":{"presence-room":{"subscription_count":3,"occupied":true},"private-news":{"subscription_count":3,"occupied":true}}}`,
	} {
		if got := get(t, list[1].URL()+"/apps/app/channels"+path+"?auth_key="+appKey); got != want {
			t.Errorf("the second node knows %s of channels%s", got, path)
		}
	}
	for _, s := range list { // each counts what its own page was handed
		redistest.Until(t, "the node counts what it hands out", func() bool {
			return s.metric(t, `poosh_delivered_total{dialect="echo"}`) > 0
		})
	}

	// A stream of events, in which the node that publishes them is killed: nobody waits for those that are
	// under way then.
	const many, at, underway = 3000, 1000, 200
	killed, took := 0, 0
	taken := func() (n int) {
		for i, s := range list {
			if i != killed {
				n += s.metric(t, "poosh_echo_redis_taken_total")
			}
		}
		return n
	}
	for n := range many {
		switch n {
		case at:
			killed = publisher(t, list)
			took = taken()
		case at + underway:
			list[killed].Kill()
		}
		b.tell(broadcast{Channels: []string{"private-news"}, Event: "said", Data: map[string]any{"n": n}})
	}
	for range many {
		b.sent()
	}
	left, stay, users := fmt.Sprintf(`["leaving","room",%s]`, ann(killed+1)), []*page(nil), []int{killed + 1}
	for i := len(pages) - 1; i >= 0; i-- { // the newest first, as members are
		if i != killed {
			stay, users = append(stay, pages[i]), append(users, i+1)
		}
	}
	for _, p := range stay {
		gone := 0
		for n := 0; n < many; {
			line := p.next()
			if line == left {
				gone++
				continue
			}
			if got, ok := number(line, "news"); !ok || got != n {
				t.Fatalf("%s: %.200s, want the event %d", p.name, line, n)
			}
			n++
		}
		if gone == 0 {
			p.wants(left)
		}
		p.tell([]any{"ping"})
		p.wants(`["pong"]`)
	}
	if n := taken() - took; n < many-at-underway {
		t.Errorf("the others took %d, and %d came after the one that published was killed", n, many-at-underway)
	}
	// Who was on it finds its place on another node.
	back := open(t, list[(killed+1)%len(list)].URL(), "echo-2", "sio-4.8.1", killed+1)
	back.join("presence", "room")
	back.wants(here(users...))
	for _, p := range stay {
		p.wants(fmt.Sprintf(`["joining","room",%s]`, ann(killed+1)))
	}
	list[killed].Restart()
	four := open(t, list[killed].URL(), "echo-1", "sio-2.5.0", 4)
	four.join("private", "news", ".said")
	four.hears(b, "news", "private-news")
	b.send(broadcast{Channels: []string{"private-news"}, Event: "said", Data: map[string]any{"n": -1}})
	for _, p := range append(stay, four) {
		p.wants(`["event","news",".said",{"n":-1}]`)
	}
}
