package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// What several send at several nodes reaches each page on each node once, in one order in each channel.
func TestPusherOneOrder(t *testing.T) {
	s := newSite(t)
	pages := s.crowd()
	channels := []string{"news", "private-p", "presence-q"}
	for _, p := range pages {
		p.join(channels...)
	}
	const senders, each = 3, 40
	var sending sync.WaitGroup
	for from := range senders {
		sending.Go(func() {
			for i := range each {
				body := fmt.Sprintf(`{"name":"e","channels":["news","private-p","presence-q"],"data":"\"%d-%03d\""}`, from, i)
				// Each sender goes round the nodes: an event is behind the one before, which another took.
				if status, text, err := s.nodes[(from+i)%3].ask("POST", "/events", nil, body); err != nil || status != 200 {
					t.Errorf("%d %s %v", status, text, err)
				}
			}
		})
	}
	sending.Wait()
	for _, channel := range channels {
		first := pages[0].events(channel, "e", senders*each)
		for _, p := range pages {
			got := p.events(channel, "e", senders*each)
			if len(got) != senders*each || !slices.Equal(got, first) {
				t.Errorf("%s: %s and %s have other orders: %s", channel, pages[0].id, p.id, difference(first, got))
			}
			for from := range senders {
				own := slices.DeleteFunc(slices.Clone(got), func(text string) bool { return !strings.HasPrefix(text, fmt.Sprintf(`"%d-`, from)) })
				if !slices.IsSorted(own) || len(own) != each {
					t.Errorf("%s: %s has %d of sender %d: %s", channel, p.id, len(own), from, own)
				}
			}
		}
	}
	t.Run("socket_id", func(t *testing.T) { s.leftOut(pages) })
	t.Run("whispers", func(t *testing.T) { s.whispers(pages) })
	t.Run("cache", func(t *testing.T) { s.caches(pages) })
	unharmed(t, pages)
}

// leftOut has a connection left out wherever it is, and wherever the event is sent.
func (s *site) leftOut(pages []*page) {
	for i, p := range pages[:6] {
		for at := range s.nodes {
			s.trigger(at, fmt.Sprint("but ", p.id), `"x"`, p.socket(), "news", "presence-q")
		}
		s.trigger(i, fmt.Sprint("all ", p.id), `"x"`, "", "news", "presence-q")
	}
	for _, p := range pages[:6] {
		for _, to := range pages {
			for _, channel := range []string{"news", "presence-q"} {
				to.events(channel, "all "+p.id, 1)
				want := len(s.nodes)
				if to == p {
					want = 0
				}
				if n := len(s.seen(to.id, "channel", "but "+p.id, channel)); n != want {
					s.t.Errorf("%s has %d of the events without %s in %s, want %d", to.id, n, p.id, channel, want)
				}
			}
		}
	}
}

// whispers has pages send to the others themselves.
func (s *site) whispers(pages []*page) {
	for i, p := range pages {
		p.op("trigger", "channel", "presence-q", "event", "client-y", "data", map[string]any{"from": i})
	}
	for i, p := range pages {
		got := p.events("presence-q", "client-y", len(pages)-1)
		slices.Sort(got)
		var want []string
		for other := range pages {
			if other != i {
				want = append(want, fmt.Sprintf(`{"from":%d}`, other))
			}
		}
		if slices.Sort(want); !slices.Equal(got, want) {
			s.t.Errorf("%s has the whispers %s", p.id, got)
		}
		for _, r := range s.seen(p.id, "from", "client-y", "presence-q") {
			if p.version != "4" && !strings.HasPrefix(r.Text, `"u-`) {
				s.t.Errorf("%s has a whisper of %s", p.id, r.Text)
			}
		}
	}
}

// caches has pages that come later to any node be told the last event, whatever node took it.
func (s *site) caches(pages []*page) {
	p := pages[0]
	p.op("subscribe", "channel", "cache-c")
	s.wait(p.id, "channel", "pusher:cache_miss", "cache-c", 1)
	s.trigger(1, "last", `{"n":1}`, "", "cache-c")
	s.trigger(2, "last", `{"n":2}`, "", "cache-c")
	p.events("cache-c", "last", 2)
	for _, late := range pages[1:] {
		late.op("subscribe", "channel", "cache-c")
	}
	for _, late := range pages[1:] {
		if got := late.events("cache-c", "last", 1); len(got) != 1 || got[0] != `{"n":2}` {
			s.t.Errorf("%s was told %s", late.id, got)
		}
		if n := len(s.seen(late.id, "channel", "pusher:cache_miss", "cache-c")); n > 0 {
			s.t.Errorf("%s has a miss", late.id)
		}
	}
	s.hooked("cache-c", `{"name":"channel_occupied","channel":"cache-c"}`, `{"name":"cache_miss","channel":"cache-c"}`)
}

// Members are those of all nodes and come and go once, for pages, questions and webhooks.
func TestPusherPresence(t *testing.T) {
	s := newSite(t)
	pages := s.crowd()
	const room = "presence-r"
	var all []string
	for _, p := range pages {
		p.op("subscribe", "channel", room)
		all = append(all, p.user)
	}
	slices.Sort(all)
	for _, p := range pages {
		p.wait(p.id, "channel", "pusher:subscription_succeeded", room, 1)
		s.until(func() string { return fmt.Sprintf("%s to have %s; it has %s", p.id, all, p.members(room)) },
			func() bool { return slices.Equal(p.members(room), all) })
	}
	s.answers(s.nodes, "/channels/"+room+"/users", "", strings.Join(all, " "))
	s.answers(s.nodes, "/channels/"+room, "info=user_count,subscription_count", fmt.Sprintf(`{"occupied":true,"user_count":%d,"subscription_count":%[1]d}`, len(pages)))

	// Each user comes once more, on another node, and nobody but it notices.
	var more []*page
	for i, p := range pages {
		again := s.open(s.nodes[(i/3+1)%3].pusher, p.version, p.id+", and again", p.user, nil)
		again.join(room)
		s.wait(again.id, "members", "", room, 1)
		if got := again.members(room); !slices.Equal(got, all) {
			t.Errorf("%s has %s", again.id, got)
		}
		more = append(more, again)
	}
	s.answers(s.nodes, "/channels", "filter_by_prefix=presence-&info=user_count", fmt.Sprintf(`{"channels":{"%s":{"user_count":%d}}}`, room, len(pages)))
	s.answers(s.nodes, "/channels/"+room, "info=user_count,subscription_count", fmt.Sprintf(`{"occupied":true,"user_count":%d,"subscription_count":%d}`, len(pages), 2*len(pages)))
	echo := s.echoHere(room, len(pages))

	// The first half goes from one node, and then from the other: they are gone with the second.
	going, stay := 6, pages[6:]
	for _, p := range pages[:going] {
		p.op("disconnect")
	}
	s.answers(s.nodes, "/channels/"+room, "info=user_count,subscription_count", fmt.Sprintf(`{"occupied":true,"user_count":%d,"subscription_count":%d}`, len(pages)+3, 2*len(pages)-going+3))
	for _, p := range append(slices.Clone(stay), more...) {
		if got := p.changes(room, "member_removed"); len(got) > 0 {
			t.Errorf("%s lost %s, who are there", p.id, got)
		}
	}
	for _, p := range more[:going] {
		p.op("unsubscribe", "channel", room)
	}
	gone := all[:0:0]
	for _, p := range pages[:going] {
		gone = append(gone, p.user)
	}
	slices.Sort(gone)
	for _, p := range append(slices.Clone(stay), more[going:]...) {
		s.wait(p.id, "channel", "pusher:member_removed", room, going)
		got := p.changes(room, "member_removed")
		if slices.Sort(got); !slices.Equal(got, gone) {
			t.Errorf("%s lost %s, want %s", p.id, got, gone)
		}
		came := p.changes(room, "member_added")
		if slices.Sort(came); len(slices.Compact(slices.Clone(came))) != len(came) {
			t.Errorf("%s has somebody come twice: %s", p.id, came)
		}
	}
	for _, id := range echo {
		if n := len(s.wait(id, "echo", "leaving", "r", going)); n != going {
			t.Errorf("%s has %d leave", id, n)
		}
	}
	unharmed(t, stay)
	unharmed(t, more)
	s.presenceHooks(room, all, gone)
}

// presenceHooks looks at what the application was told of those who came and went.
func (s *site) presenceHooks(room string, all, gone []string) {
	s.t.Helper()
	want := []string{`{"name":"channel_occupied","channel":"` + room + `"}`}
	member := func(name, id string) {
		want = append(want, fmt.Sprintf(`{"name":"%s","channel":"%s","user_id":"%s"}`, name, room, id))
	}
	for _, id := range append([]string{"echo 0", "echo 1", "echo 2"}, all...) {
		member("member_added", id)
	}
	for _, id := range gone {
		member("member_removed", id)
	}
	s.hooked(room, want...)
}

// echoHere has Laravel Echo on each node be told of all who are there. It returns the pages' ids.
func (s *site) echoHere(room string, before int) (ids []string) {
	s.t.Helper()
	name := strings.TrimPrefix(room, "presence-")
	for i, n := range s.nodes {
		p := s.open(n.pusher, []string{"4", "7", "8"}[i], fmt.Sprint("echo ", i), fmt.Sprint("echo ", i), map[string]any{"echo": []string{"pusher", "reverb", "pusher"}[i]})
		p.op("listen", "kind", "join", "channel", name, "event", "E")
		here := s.wait(p.id, "echo", "here", name, 1)[0].Text
		var users []any
		if err := json.Unmarshal([]byte(here), &users); err != nil || len(users) != before+i+1 {
			s.t.Errorf("%s: here %s", p.id, here)
		}
		ids = append(ids, p.id)
	}
	s.wait(ids[0], "echo", "joining", name, 2)
	return ids
}

// Who is signed in is that in the cluster: for events to a user, for who watches it, and for the end of all
// of its connections.
func TestPusherUsers(t *testing.T) {
	s := newSite(t)
	one := s.open(s.nodes[0].pusher, "8", "one", "u-0", nil)
	watcher := s.open(s.nodes[1].pusher, "8", "watcher", "w", nil)
	seven := s.open(s.nodes[2].pusher, "7", "seven", "u-0", nil)
	watcher.op("signin")
	if r := s.wait(watcher.id, "watchlist", "offline", "", 1)[0]; !strings.Contains(r.Text, "u-0") || !strings.Contains(r.Text, "nobody") {
		t.Errorf("offline: %s", r.Text)
	}
	for _, p := range []*page{one, seven} {
		p.op("signin")
		s.wait(p.id, "event", "pusher:signin_success", "", 1)
	}
	if r := s.wait(watcher.id, "watchlist", "online", "", 1)[0]; !strings.Contains(r.Text, `["u-0"]`) {
		t.Errorf("online: %s", r.Text)
	}
	// A page is in its user's channel by itself, when it is.
	s.answers(s.nodes, "/channels/%23server-to-user-u-0", "info=subscription_count", `{"occupied":true,"subscription_count":2}`)
	for i, n := range s.nodes {
		status, text, err := n.ask("POST", "/events", nil, fmt.Sprintf(`{"name":"hello","channel":"#server-to-user-u-0","data":"\"%d\""}`, i))
		if err != nil || status != 200 {
			t.Errorf("%d %s %v", status, text, err)
		}
	}
	if r := s.call("sendToUser", "u-0", "hello", "3"); r.Name != "200" {
		t.Errorf("%+v", r)
	}
	for _, p := range []*page{one, seven} {
		var got []string
		for _, r := range s.wait(p.id, "user", "hello", "", 4) {
			got = append(got, r.Text)
		}
		if strings.Join(got, " ") != `"0" "1" "2" 3` {
			t.Errorf("%s has %s", p.id, got)
		}
	}
	status, text, err := s.nodes[1].ask("POST", "/users/u-0/terminate_connections", nil, "{}")
	if err != nil || status != 200 || text != "{}" {
		t.Errorf("%d %s %v", status, text, err)
	}
	for _, p := range []*page{one, seven} {
		s.wait(p.id, "state", "disconnected", "", 1)
	}
	if n := len(s.wait(watcher.id, "watchlist", "offline", "", 2)); n != 2 {
		t.Errorf("told %d times that somebody is away", n)
	}
	if n := len(s.seen(watcher.id, "watchlist", "online", "")); n != 1 {
		t.Errorf("told %d times that somebody is there", n)
	}
	s.answers(s.nodes, "/connections", "", `{"connections":1}`)
	unharmed(t, []*page{watcher})
}
