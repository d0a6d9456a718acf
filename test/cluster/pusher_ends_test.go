package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

// A node is killed: who was there alone is gone with its lease for pages, questions and webhooks, once,
// and who is on another node too stays. Nobody else's connection ends.
func TestPusherNodeKilled(t *testing.T) {
	s := newSite(t)
	const room = "presence-k"
	alone, both := []string{"x", "y", "z"}, []string{"p", "q"}
	pages := s.onTwo(room, alone, both)
	lost := s.open(s.nodes[2].pusher, "8", "alone in its channel", "l", nil)
	lost.join("presence-lost", "lost")
	s.hooked("lost", `{"name":"channel_occupied","channel":"lost"}`, `{"name":"channel_occupied","channel":"presence-lost"}`,
		`{"name":"member_added","channel":"presence-lost","user_id":"l"}`)
	s.nodes[2].Kill()
	killed := time.Now()
	for _, p := range pages {
		s.wait(p.id, "channel", "pusher:member_removed", room, len(alone))
	}
	if took := time.Since(killed); took > lease+8*time.Second {
		t.Errorf("members were there for %s", took)
	} else {
		t.Logf("members were gone after %s, with a lease of %s", took, lease)
	}
	left := s.nodes[:2]
	s.answers(left, "/channels/"+room+"/users", "", "a b p q")
	s.answers(left, "/channels/"+room, "info=user_count,subscription_count", `{"occupied":true,"user_count":4,"subscription_count":4}`)
	s.answers(left, "/channels", "", `{"channels":{"`+room+`":{}}}`)
	s.answers(left, "/connections", "", `{"connections":4}`)
	s.hooked("lost", `{"name":"channel_occupied","channel":"lost"}`, `{"name":"channel_occupied","channel":"presence-lost"}`,
		`{"name":"member_added","channel":"presence-lost","user_id":"l"}`, `{"name":"member_removed","channel":"presence-lost","user_id":"l"}`,
		`{"name":"channel_vacated","channel":"lost"}`, `{"name":"channel_vacated","channel":"presence-lost"}`)
	hooks := []string{`{"name":"channel_occupied","channel":"` + room + `"}`}
	for _, id := range []string{"a", "b", "p", "q", "x", "y", "z"} {
		hooks = append(hooks, fmt.Sprintf(`{"name":"member_added","channel":"%s","user_id":"%s"}`, room, id))
	}
	for _, id := range alone {
		hooks = append(hooks, fmt.Sprintf(`{"name":"member_removed","channel":"%s","user_id":"%s"}`, room, id))
	}
	s.hooked(room, hooks...)
	// All else goes on, and a node that begins anew is one of them.
	s.nodes[2].Restart()
	p := s.open(s.nodes[2].pusher, "8", "later", "x", nil)
	p.join(room)
	s.wait(p.id, "members", "", room, 1)
	if got := strings.Join(p.members(room), " "); got != "a b p q x" {
		t.Errorf("%s has %s", p.id, got)
	}
	for at := range s.nodes {
		s.trigger(at, "e", fmt.Sprint(at), "", room)
	}
	for _, p := range append(pages, p) {
		if got := p.events(room, "e", 3); strings.Join(got, " ") != "0 1 2" {
			t.Errorf("%s has %s", p.id, got)
		}
	}
	for _, p := range pages {
		got := p.changes(room, "member_removed")
		if slices.Sort(got); !slices.Equal(got, alone) {
			t.Errorf("%s lost %s, want %s", p.id, got, alone)
		}
	}
	unharmed(t, pages)
}

// onTwo has pages of a and b, and of some on two nodes, in a room on the first two nodes, and of some in it on the third.
// It returns those on the first two.
func (s *site) onTwo(room string, alone, both []string) (pages []*page) {
	s.t.Helper()
	for i, user := range append([]string{"a", "b"}, both...) {
		p := s.open(s.nodes[i%2].pusher, []string{"4", "7", "8"}[i%3], user+" stays", user, nil)
		p.join(room)
		pages = append(pages, p)
	}
	for i, user := range slices.Concat(alone, both) {
		s.open(s.nodes[2].pusher, []string{"4", "7", "8"}[i%3], user+" on the third", user, nil).join(room)
	}
	s.answers(s.nodes, "/channels/"+room, "info=user_count,subscription_count",
		fmt.Sprintf(`{"occupied":true,"user_count":%d,"subscription_count":%d}`, 2+len(alone)+len(both), 2+len(alone)+2*len(both)))
	return pages
}

// ready waits until each of some nodes says so.
func (s *site) ready(want int, nodes ...*pusherNode) {
	s.t.Helper()
	for _, n := range nodes {
		redistest.Until(s.t, fmt.Sprint("/ready to say ", want), func() bool {
			got, _ := n.get(s.t, "/ready")
			return got == want
		})
	}
}

// Redis ends and comes back with nothing: nobody is closed, nobody is said to have gone, and who
// subscribed, came or went meanwhile is in its place by itself. So it is after a node was cut off
// and given up, and after FLUSHALL.
func TestPusherRedisAwayAndBack(t *testing.T) {
	s := newSite(t)
	const room = "presence-w"
	pages := s.crowd()
	var all []string
	for _, p := range pages {
		p.join("news", room)
		all = append(all, p.user)
	}
	goes := s.open(s.nodes[1].pusher, "8", "goes", "goes", nil)
	goes.join(room)
	slices.Sort(all)
	late := make([]*page, len(s.nodes))
	for i, n := range s.nodes {
		late[i] = s.open(n.pusher, "8", fmt.Sprint("late ", i), fmt.Sprint("late ", i), nil)
	}
	right := func(what string, members []string) {
		t.Helper()
		s.answers(s.nodes, "/channels/"+room+"/users", "", strings.Join(members, " "))
		s.answers(s.nodes, "/channels/"+room, "info=user_count,subscription_count", fmt.Sprintf(`{"occupied":true,"user_count":%d,"subscription_count":%[1]d}`, len(members)))
		s.answers(s.nodes, "/connections", "", fmt.Sprintf(`{"connections":%d}`, len(pages)+len(late)+1))
		for at := range s.nodes {
			s.trigger(at, what, fmt.Sprint(at), "", "news", room)
		}
		for _, p := range pages {
			for _, channel := range []string{"news", room} {
				if got := p.events(channel, what, 3); strings.Join(got, " ") != "0 1 2" {
					t.Errorf("%s: %s has %s", what, p.id, got)
				}
			}
			s.until(func() string {
				return fmt.Sprintf("%s: %s to have %s; it has %s", what, p.id, members, p.members(room))
			},
				func() bool { return slices.Equal(p.members(room), members) })
		}
	}
	present := slices.Sorted(slices.Values(append(slices.Clone(all), "goes")))
	right("before", present)
	hooks := []string{`{"name":"channel_occupied","channel":"` + room + `"}`}
	hook := func(name, id string) {
		hooks = append(hooks, fmt.Sprintf(`{"name":"%s","channel":"%s","user_id":"%s"}`, name, room, id))
	}
	for _, id := range present {
		hook("member_added", id)
	}
	s.hooked(room, hooks...)

	s.redis.Kill()
	s.ready(http.StatusServiceUnavailable, s.nodes...)
	for i, p := range late { // to a channel that nobody is in, one that all are in, and that of members
		p.op("subscribe", "channel", fmt.Sprint("late-", i))
		p.op("subscribe", "channel", "news")
		p.op("subscribe", "channel", room)
	}
	goes.op("unsubscribe", "channel", room)
	status, text, err := s.nodes[0].ask("POST", "/events", nil, `{"name":"e","channel":"news","data":"lost"}`)
	if err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("sent while nobody can be asked: %d %s %v", status, text, err)
	}
	s.redis.Run()
	s.ready(http.StatusOK, s.nodes...)
	for i, p := range late {
		for _, channel := range []string{fmt.Sprint("late-", i), "news", room} {
			p.wait(p.id, "channel", "pusher:subscription_succeeded", channel, 1)
		}
	}
	present = slices.Sorted(slices.Values(append(slices.Clone(all), "late 0", "late 1", "late 2")))
	right("back", present)
	for _, p := range late {
		hook("member_added", p.user)
	}
	hook("member_removed", goes.user)
	s.hooked(room, hooks...)
	for i, p := range late {
		s.answers(s.nodes, fmt.Sprint("/channels/late-", i), "info=subscription_count", `{"occupied":true,"subscription_count":1}`)
		s.trigger(i+1, "e", `"x"`, "", fmt.Sprint("late-", i))
		p.events(fmt.Sprint("late-", i), "e", 1)
	}

	s.nodes[1].wire.Cut()
	s.ready(http.StatusServiceUnavailable, s.nodes[1])
	redistest.Until(t, "the others to give it up", func() bool { return s.nodes[0].metric(t, "poosh_cluster_nodes") == 2 })
	s.nodes[1].wire.Heal()
	s.ready(http.StatusOK, s.nodes...)
	right("healed", present)

	removed := make(map[*page]int)
	for _, p := range pages {
		removed[p] = len(p.changes(room, "member_removed"))
	}
	s.redis.Do("FLUSHALL")
	redistest.Until(t, "a node in the table", func() bool { return strings.TrimSpace(s.redis.Do("DBSIZE")) != ":0" })
	right("flushed", present)
	for _, p := range pages {
		if got := p.changes(room, "member_removed"); len(got) != removed[p] {
			t.Errorf("%s lost %s with FLUSHALL", p.id, got[removed[p]:])
		}
		if n := removed[p]; s.staysOn(p) && !oneEach(p.changes(room, "member_removed"), "goes") {
			t.Errorf("%s lost %d: %s", p.id, n, p.changes(room, "member_removed"))
		}
	}
	unharmed(t, append(slices.Clone(pages), late...))
}

// staysOn reports whether a page is certainly not on the node that is cut off.
func (s *site) staysOn(p *page) bool {
	return strings.HasSuffix(p.id, "node 1") || strings.HasSuffix(p.id, "node 3")
}

// oneEach reports whether nobody is in a list twice, and one is in it.
func oneEach(list []string, one string) bool {
	sorted := slices.Sorted(slices.Values(list))
	return len(slices.Compact(slices.Clone(sorted))) == len(sorted) && slices.Contains(sorted, one)
}

// arrived is when a node got an event, by its own clock.
var arrived = regexp.MustCompile(`"published_at_ms":\d+,`)

// A page goes on where it was on another node, after SIGKILL of its own too: it is given what it missed.
func TestPusherResumesElsewhere(t *testing.T) {
	s := newSite(t, "PUSHER_HISTORY=5m")
	for _, version := range []string{"4", "7", "8"} {
		t.Run(version, func(t *testing.T) {
			to := process.Balance(t, s.nodes[0].pusher)
			p := s.open(to.Port, version, "page "+version, "1", map[string]any{"resume": true})
			channels := []string{"news-" + version, "private-" + version, "presence-" + version}
			p.join(channels...)
			n := 0
			send := func(at int) {
				t.Helper()
				s.trigger(at, "e", fmt.Sprint(n), "", channels...)
				n++
			}
			has := func(step string) {
				t.Helper()
				for _, channel := range channels {
					got := p.events(channel, "e", n)
					for i, text := range got {
						if len(got) != n || text != fmt.Sprint(i) {
							t.Fatalf("%s, %s: %s", step, channel, got)
						}
					}
				}
			}
			send(0)
			send(1)
			has("at first")
			p.op("disconnect")
			p.wait(p.id, "state", "disconnected", "", 1)
			send(2)
			send(0)
			to.Choose(s.nodes[1].pusher)
			p.op("connect")
			p.wait(p.id, "connected", "", "", 2)
			has("on the second node")
			send(2)
			has("on the second node, later")
			to.Choose(s.nodes[2].pusher)
			if version == "8" {
				s.nodes[1].Kill()
				send(2)
				p.wait(p.id, "connected", "", "", 3)
				send(0)
				has("after the second was killed")
			}
			for _, channel := range channels {
				if failed := p.seen(p.id, "channel", "pusher:resume_failed", channel); len(failed) > 0 {
					t.Errorf("%s: %s", channel, failed[0].Text)
				}
			}
		})
	}
	// What is kept is the same on both, at the same positions.
	var first string
	for i, n := range []*pusherNode{s.nodes[0], s.nodes[2]} {
		status, text, err := n.ask("GET", "/channels/news-8/history", nil, "")
		if err != nil || status != 200 {
			t.Fatalf("%d %s %v", status, text, err)
		}
		var page struct{ Items json.RawMessage }
		if err := json.Unmarshal([]byte(text), &page); err != nil || len(page.Items) < 10 {
			t.Fatalf("%s: %v", text, err)
		}
		text = arrived.ReplaceAllString(string(page.Items), "")
		if i == 0 {
			first = text
		} else if text != first {
			t.Errorf("the nodes keep\n%s\nand\n%s", first, text)
		}
	}
}

// All nodes are killed while pages are away, and they go on at one that starts after that: they are given what they
// missed. A cache channel of such an app has its last event there.
func TestPusherResumesAfterAllWereKilled(t *testing.T) {
	const keep = "PUSHER_HISTORY=5m"
	s := newSite(t, keep)
	to := process.Balance(t, s.nodes[0].pusher)
	var pages []*page
	for _, version := range []string{"4", "7", "8"} {
		p := s.open(to.Port, version, "page "+version, "1", map[string]any{"resume": true})
		p.join("news")
		pages = append(pages, p)
	}
	n := 0
	send := func(at int) {
		t.Helper()
		s.trigger(at, "e", fmt.Sprint(n), "", "news", "cache-last")
		n++
	}
	has := func(step string) {
		t.Helper()
		for _, p := range pages {
			for i, text := range p.events("news", "e", n) {
				if text != fmt.Sprint(i) {
					t.Fatalf("%s, %s: %q is at %d", step, p.id, text, i)
				}
			}
		}
	}
	send(0)
	send(1)
	has("at first")
	for _, p := range pages {
		p.op("disconnect")
		p.wait(p.id, "state", "disconnected", "", 1)
	}
	for range 50 {
		send(2)
	}
	for _, of := range s.nodes {
		of.Kill()
	}
	s.add(keep)
	send(3)
	to.Choose(s.nodes[3].pusher)
	for _, p := range pages {
		p.op("connect")
		p.wait(p.id, "connected", "", "", 2)
	}
	has("on a node that started later")
	send(3)
	has("on it, then")
	for _, p := range pages {
		if failed := s.seen(p.id, "channel", "pusher:resume_failed", "news"); len(failed) > 0 {
			t.Errorf("%s: %s", p.id, failed[0].Text)
		}
	}
	late := s.open(to.Port, "8", "late", "2", nil)
	late.join("cache-last")
	if got := late.events("cache-last", "e", 1); got[0] != fmt.Sprint(n-1) {
		t.Errorf("the last event of a cache channel is %q, want %d", got[0], n-1)
	}
}

// A node that ends in order sends its pages elsewhere: they come back on another one and are in their channels, events that are
// sent meanwhile at the others reach all who stay, and no webhook says that somebody was gone.
func TestPusherNodeEnds(t *testing.T) {
	s := newSite(t)
	const room = "presence-e"
	stays := s.open(s.nodes[0].pusher, "8", "stays", "stays", nil)
	stays.join(room, "news")
	to := process.Balance(t, s.nodes[2].pusher)
	var moved []*page
	members := []string{"stays"}
	for i, version := range []string{"4", "7", "8"} {
		p := s.open(to.Port, version, "moved "+version, fmt.Sprint("m", i), nil)
		p.join(room, "news")
		moved, members = append(moved, p), append(members, p.user)
	}
	slices.Sort(members)
	s.answers(s.nodes, "/channels/"+room+"/users", "", strings.Join(members, " "))
	to.Choose(s.nodes[1].pusher)
	s.trigger(1, "e", "0", "", "news")
	s.nodes[2].Terminate()
	s.trigger(1, "e", "1", "", "news")
	for _, p := range moved {
		p.wait(p.id, "connected", "", "", 2)
		p.wait(p.id, "channel", "pusher:subscription_succeeded", room, 2)
		p.wait(p.id, "channel", "pusher:subscription_succeeded", "news", 2)
	}
	left := s.nodes[:2]
	s.answers(left, "/channels/"+room+"/users", "", strings.Join(members, " "))
	s.answers(left, "/channels/"+room, "info=user_count,subscription_count", `{"occupied":true,"user_count":4,"subscription_count":4}`)
	for _, p := range append(moved, stays) {
		s.until(func() string { return fmt.Sprintf("%s to have %s; it has %s", p.id, members, p.members(room)) },
			func() bool { return slices.Equal(p.members(room), members) })
	}
	s.trigger(0, "e", "2", "", "news")
	for _, p := range moved {
		s.until(func() string { return p.id + " to have the last event" }, func() bool {
			got := p.events("news", "e", 1)
			return got[len(got)-1] == "2"
		})
	}
	if got := stays.events("news", "e", 3); strings.Join(got, " ") != "0 1 2" {
		t.Errorf("who stays has %s", got)
	}
	hooks := []string{`{"name":"channel_occupied","channel":"` + room + `"}`}
	for _, id := range members {
		hooks = append(hooks, fmt.Sprintf(`{"name":"member_added","channel":"%s","user_id":"%s"}`, room, id))
	}
	s.hooked(room, hooks...)
	unharmed(t, []*page{stays})
}
