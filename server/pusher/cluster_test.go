package pusher_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
)

// eventually has a query of both nodes answered so.
func eventually(t *testing.T, c *pushertest.Cluster, path, want string, query map[string][]string) {
	t.Helper()
	for _, s := range []*pushertest.Site{c.A, c.B} {
		var got string
		pushertest.Eventually(t, path+" to be "+want, func() bool {
			var status int
			status, got = s.Call("GET", path, query, "")
			return status == 200 && got == want
		})
	}
}

// TestClusterEvents: what one node accepts reaches the clients of the other, once, in order, and
// but for who is excepted.
func TestClusterEvents(t *testing.T) {
	c := pushertest.NewCluster(t, pusher.Config{})
	a, b := c.A.Dial(), c.B.Dial()
	a.Join("news", "private-x")
	b.Join("news", "private-x")
	for i := range 50 {
		s := []*pushertest.Site{c.A, c.B}[i%2]
		s.Trigger("news", "e", strconv.Itoa(i))
	}
	for i := range 50 {
		want := `{"event":"e","channel":"news","data":"` + strconv.Itoa(i) + `"}`
		a.Expect(want)
		b.Expect(want)
	}
	// Whom an event excepts it misses on the other node too.
	if status, text := c.A.Call("POST", "/events", nil, `{"name":"e","channel":"news","data":"x","socket_id":"`+b.SocketID+`"}`); status != 200 || text != "{}" {
		t.Errorf("%d %s", status, text)
	}
	a.Expect(`{"event":"e","channel":"news","data":"x"}`)
	b.Quiet()
	// A whisper reaches the other node, and not who sent it.
	a.Send(`{"event":"client-w","channel":"private-x","data":{"n":1}}`)
	b.Expect(`{"event":"client-w","channel":"private-x","data":"{\"n\":1}"}`)
	a.Quiet()
	// A batch, of which each event has the counts of all nodes.
	status, text := c.B.Call("POST", "/batch_events", nil, `{"batch":[{"name":"e","channel":"news","data":"1","info":"subscription_count"},{"name":"f","channel":"none","data":"2","info":"subscription_count"}]}`)
	if status != 200 || text != `{"batch":[{"subscription_count":2},{"subscription_count":0}]}` {
		t.Errorf("%d %s", status, text)
	}
	a.Expect(`{"event":"e","channel":"news","data":"1"}`)
	b.Expect(`{"event":"e","channel":"news","data":"1"}`)
	status, text = c.A.Call("POST", "/events", nil, `{"name":"e","channels":["news","private-x"],"data":"x","info":"subscription_count"}`)
	if status != 200 || text != `{"channels":{"news":{"subscription_count":2},"private-x":{"subscription_count":2}}}` {
		t.Errorf("%d %s", status, text)
	}
}

// TestClusterPresence: members are those of both nodes, and come and go once.
func TestClusterPresence(t *testing.T) {
	c := pushertest.NewCluster(t, pusher.Config{Apps: []pusher.App{func() pusher.App {
		a := pushertest.App()
		a.MaxMembers = 3
		return a
	}()}})
	a, b, b2 := c.A.Dial(), c.B.Dial(), c.B.Dial()
	a.Subscribe("presence-r", `{"user_id":"1","user_info":{"n":1}}`)
	a.Expect(succeeded + `presence-r","data":"{\"presence\":{\"ids\":[\"1\"],\"hash\":{\"1\":{\"n\":1}},\"count\":1}}"}`)
	b.Subscribe("presence-r", `{"user_id":"2"}`)
	if f := b.Read(); !strings.Contains(f.Raw, `\"count\":2`) || !strings.Contains(f.Raw, `\"1\":{\"n\":1}`) || !strings.Contains(f.Raw, `\"2\":{}`) {
		t.Errorf("received %s", f)
	}
	added := func(id string) string {
		return `{"event":"pusher_internal:member_added","channel":"presence-r","data":"{\"user_id\":\"` + id + `\",\"user_info\":{}}"}`
	}
	removed := func(id string) string {
		return `{"event":"pusher_internal:member_removed","channel":"presence-r","data":"{\"user_id\":\"` + id + `\"}"}`
	}
	a.Expect(added("2"))
	b.Quiet() // no news of itself
	b2.Subscribe("presence-r", `{"user_id":"1"}`)
	if f := b2.Read(); !strings.Contains(f.Raw, `\"count\":2`) {
		t.Errorf("received %s", f)
	}
	a.Quiet()
	b.Quiet()
	eventually(t, c, "/channels/presence-r", `{"occupied":true,"user_count":2,"subscription_count":3}`, map[string][]string{"info": {"user_count,subscription_count"}})
	for _, s := range []*pushertest.Site{c.A, c.B} {
		if status, text := s.Call("GET", "/channels/presence-r/users", nil, ""); status != 200 || !strings.Contains(text, `{"id":"1"}`) || !strings.Contains(text, `{"id":"2"}`) || len(text) != len(`{"users":[{"id":"1"},{"id":"2"}]}`) {
			t.Errorf("%d %s", status, text)
		}
	}
	// The bound is that of all nodes, and who is a member already is not one more.
	third, fourth, again := c.A.Dial(), c.B.Dial(), c.B.Dial()
	third.Subscribe("presence-r", `{"user_id":"3"}`)
	third.Read()
	for _, p := range []*pushertest.Peer{a, b, b2} {
		p.Expect(added("3"))
	}
	fourth.Subscribe("presence-r", `{"user_id":"4"}`)
	if f := fourth.Read(); f.Event != "pusher:error" || !strings.Contains(f.Raw, "has 3 members") {
		t.Errorf("received %s", f)
	}
	if f := fourth.Read(); f.Event != "pusher:subscription_error" || !strings.Contains(f.Raw, "LimitReached") {
		t.Errorf("received %s", f)
	}
	again.Subscribe("presence-r", `{"user_id":"3"}`)
	if f := again.Read(); !strings.Contains(f.Raw, `\"count\":3`) {
		t.Errorf("received %s", f)
	}
	// A member goes with its last connection, on whatever node that is.
	_ = a.WS.Close()
	pushertest.Eventually(t, "the first to be gone", func() bool { return c.A.Dialect.Stats().Connections == 1 })
	b.Quiet()
	b2.Send(`{"event":"pusher:unsubscribe","data":{"channel":"presence-r"}}`)
	b.Expect(removed("1"))
	third.Expect(removed("1"))
	again.Expect(removed("1"))
}

// TestClusterQueries: channels are listed once, whichever node they are in use on.
func TestClusterQueries(t *testing.T) {
	c := pushertest.NewCluster(t, pusher.Config{})
	a, b := c.A.Dial(), c.B.Dial()
	a.Join("x-a", "both")
	b.Join("x-b", "both")
	b.SignIn(`{"id":"u"}`)
	b.Read()
	b.Join("#server-to-user-u")
	for _, s := range []*pushertest.Site{c.A, c.B} {
		for prefix, want := range map[string]string{"": `{"channels":{"both":{"subscription_count":2},"x-a":{"subscription_count":1},"x-b":{"subscription_count":1}}}`,
			"x-": `{"channels":{"x-a":{"subscription_count":1},"x-b":{"subscription_count":1}}}`, "no": `{"channels":{}}`} {
			status, text := s.Call("GET", "/channels", map[string][]string{"info": {"subscription_count"}, "filter_by_prefix": {prefix}}, "")
			if status != 200 || text != want {
				t.Errorf("%q: %d %s", prefix, status, text)
			}
		}
	}
	eventually(t, c, "/connections", `{"connections":2}`, nil)
	_ = a.WS.Close()
	eventually(t, c, "/connections", `{"connections":1}`, nil)
	eventually(t, c, "/channels", `{"channels":{"both":{},"x-b":{}}}`, nil)
	eventually(t, c, "/channels/x-a", `{"occupied":false}`, nil)
}

// TestClusterCache: the last event of a cache channel is told by the other node.
func TestClusterCache(t *testing.T) {
	hook := pushertest.NewHook(t, nil)
	app := pushertest.App()
	app.Webhooks = []pusher.Webhook{hook.Webhook()}
	c := pushertest.NewCluster(t, pusher.Config{Apps: []pusher.App{app}})
	a, b := c.A.Dial(), c.B.Dial()
	miss := `{"event":"pusher:cache_miss","channel":"cache-c","data":"{}"}`
	a.Join("cache-c")
	a.Expect(miss)
	b.Join("cache-c")
	b.Expect(miss)
	eventually(t, c, "/channels/cache-c", `{"occupied":true,"cache":null}`, map[string][]string{"info": {"cache"}})
	misses := func() int { return strings.Count(hook.All(), `"cache_miss"`) }
	pushertest.Eventually(t, "the webhook of the miss", func() bool { return misses() > 0 })
	c.A.Trigger("cache-c", "e", "1")
	c.B.Trigger("cache-c", "e", "2")
	late := c.A.Dial()
	late.Join("cache-c")
	late.Expect(`{"event":"e","channel":"cache-c","data":"2"}`)
	late = c.B.Dial()
	late.Join("cache-c")
	late.Expect(`{"event":"e","channel":"cache-c","data":"2"}`)
	eventually(t, c, "/channels/cache-c", `{"occupied":true,"cache":{"data":"2","ttl":1799}}`, map[string][]string{"info": {"cache"}})
	if n := misses(); n != 1 {
		t.Errorf("%d webhooks of one miss: %s", n, hook.All())
	}
}

// TestClusterWebhooks: what happens on two nodes is told once, and what ends is told once it has.
func TestClusterWebhooks(t *testing.T) {
	hook := pushertest.NewHook(t, nil)
	app := pushertest.App()
	app.Webhooks = []pusher.Webhook{hook.Webhook()}
	c := pushertest.NewCluster(t, pusher.Config{Apps: []pusher.App{app}, WebhookHold: 50 * time.Millisecond})
	told := func(want ...string) {
		t.Helper()
		slices.Sort(want)
		var got []string
		for end := time.Now().Add(pushertest.Patience); time.Now().Before(end) && !slices.Equal(got, want); time.Sleep(5 * time.Millisecond) {
			got = hook.Events()
			slices.Sort(got)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("told\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
		}
	}
	a, b := c.A.Dial(), c.B.Dial()
	for _, p := range []*pushertest.Peer{a, b} {
		p.Subscribe("presence-r", `{"user_id":"1"}`)
		p.Read()
	}
	there := []string{`{"name":"channel_occupied","channel":"presence-r"}`, `{"name":"member_added","channel":"presence-r","user_id":"1"}`}
	told(there...)
	a.Send(`{"event":"client-w","channel":"presence-r","data":"x"}`)
	b.Read()
	there = append(there, `{"name":"client_event","channel":"presence-r","event":"client-w","data":"x","socket_id":"`+a.SocketID+`","user_id":"1"}`)
	told(there...)
	_ = a.WS.Close()
	pushertest.Eventually(t, "the first to be gone", func() bool { return c.A.Dialect.Stats().Connections == 0 })
	_ = b.WS.Close()
	told(append(there, `{"name":"channel_vacated","channel":"presence-r"}`, `{"name":"member_removed","channel":"presence-r","user_id":"1"}`)...)
}

// TestClusterSubscriptionCount: clients are told how many they are on all nodes.
func TestClusterSubscriptionCount(t *testing.T) {
	app := pushertest.App()
	app.SubscriptionCount = true
	c := pushertest.NewCluster(t, pusher.Config{Apps: []pusher.App{app}})
	count := func(n int) string {
		return fmt.Sprintf(`{"event":"pusher_internal:subscription_count","channel":"c","data":"{\"subscription_count\":%d}"}`, n)
	}
	a, b := c.A.Dial(), c.B.Dial()
	a.Join("c")
	a.Expect(count(1))
	b.Join("c")
	a.Expect(count(2))
	b.Expect(count(2))
	_ = b.WS.Close()
	a.Expect(count(1))
	// Whoever tells last, what is told last is so in the end.
	peers := []*pushertest.Peer{}
	for i := range 10 {
		p := []*pushertest.Site{c.A, c.B}[i%2].Dial()
		p.Subscribe("c", "")
		peers = append(peers, p)
	}
	for _, p := range peers[1:] {
		_ = p.WS.Close()
	}
	last := ""
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		a.Send(`{"event":"pusher:ping","data":{}}`)
		for f := a.Read(); f.Event != "pusher:pong"; f = a.Read() {
			last = f.Raw
		}
		time.Sleep(10 * time.Millisecond)
	}
	if last != count(2) {
		t.Errorf("told last %s", last)
	}
}

// TestClusterUsers: a user's connections are found on all nodes.
func TestClusterUsers(t *testing.T) {
	c := pushertest.NewCluster(t, pusher.Config{})
	signIn := func(s *pushertest.Site, id string) *pushertest.Peer {
		p := s.Dial()
		p.SignIn(`{"id":"` + id + `"}`)
		if f := p.Read(); f.Event != "pusher:signin_success" {
			t.Fatalf("received %s", f)
		}
		return p
	}
	a, b, other := signIn(c.A, "u"), signIn(c.B, "u"), signIn(c.B, "v")
	for _, p := range []*pushertest.Peer{a, b} {
		p.Join("#server-to-user-u")
	}
	if status, text := c.A.Call("POST", "/users/u/events", nil, `{"name":"e","data":"x"}`); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	for _, p := range []*pushertest.Peer{a, b} {
		p.Expect(`{"event":"e","channel":"#server-to-user-u","data":"x"}`)
	}
	for path, code := range map[string]int{"/users/u/force_reconnect": 4200, "/users/u/terminate_connections": 4009} {
		if status, text := c.A.Call("POST", path, nil, "{}"); status != 200 || text != "{}" {
			t.Errorf("%s: %d %s", path, status, text)
		}
		for _, p := range []*pushertest.Peer{a, b} {
			if got := p.Closed(); got != code {
				t.Errorf("%s: closed with %d", path, got)
			}
		}
		other.Quiet()
		a, b = signIn(c.A, "u"), signIn(c.B, "u")
	}
	c.Engine.Away(true)
	if status, text, head := c.A.Raw("POST", pushertest.Sign("POST", "/apps/3/users/u/terminate_connections", nil, "{}"), "{}"); status != 503 || head.Get("Retry-After") == "" {
		t.Errorf("%d %s", status, text)
	}
	c.Engine.Away(false)
}

// TestClusterWatchlist: who watches a user hears of it on whatever node it is.
func TestClusterWatchlist(t *testing.T) {
	app := pushertest.App()
	app.Watchlist = true
	c := pushertest.NewCluster(t, pusher.Config{Apps: []pusher.App{app}})
	watch := func(kind string) string {
		return `{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"` + kind + `\",\"user_ids\":[\"u\"]}]}"}`
	}
	signIn := func(s *pushertest.Site, data string) *pushertest.Peer {
		p := s.Dial()
		p.SignIn(data)
		p.Read()
		return p
	}
	before := signIn(c.A, `{"id":"w","watchlist":["u"]}`)
	before.Expect(watch("offline"))
	u := signIn(c.B, `{"id":"u"}`)
	before.Expect(watch("online"))
	u2 := signIn(c.A, `{"id":"u"}`)
	u2.Quiet()
	before.Quiet()
	late, near := signIn(c.A, `{"id":"w2","watchlist":["u","u"]}`), signIn(c.B, `{"id":"w","watchlist":["u"]}`)
	late.Expect(watch("online"))
	near.Expect(watch("online"))
	_ = u.WS.Close()
	pushertest.Eventually(t, "it to be gone", func() bool { return c.B.Dialect.Stats().Connections == 1 })
	before.Quiet()
	_ = u2.WS.Close()
	for _, p := range []*pushertest.Peer{before, late, near} {
		p.Expect(watch("offline"))
	}
	// What cannot be known is told once it can.
	c.Engine.Away(true)
	blind := signIn(c.A, `{"id":"w3","watchlist":["x"]}`)
	blind.Quiet()
	c.Engine.Away(false)
	blind.Expect(strings.ReplaceAll(watch("offline"), `\"u\"`, `\"x\"`))
	signIn(c.B, `{"id":"x"}`)
	blind.Expect(strings.ReplaceAll(watch("online"), `\"u\"`, `\"x\"`))
}

// TestClusterConnections: an app's bound on connections is that of all nodes.
func TestClusterConnections(t *testing.T) {
	app := pushertest.App()
	app.MaxConnections = 2
	c := pushertest.NewCluster(t, pusher.Config{Apps: []pusher.App{app}})
	a := c.A.Dial()
	c.B.Dial().Quiet()
	for _, s := range []*pushertest.Site{c.A, c.B} {
		p := s.Open("/app/"+pushertest.Key+"?protocol=7", nil)
		if f := p.Read(); f.Event != "pusher:error" || !strings.Contains(f.Raw, "4004") {
			t.Errorf("received %s", f)
		}
		if code := p.Closed(); code != 4004 {
			t.Errorf("closed with %d", code)
		}
	}
	_ = a.WS.Close()
	eventually(t, c, "/connections", `{"connections":1}`, nil)
	c.B.Dial().Quiet()
}

// TestClusterAway: while the engine is away nobody is closed and nothing is lost silently, and
// what clients asked for meanwhile they have by themselves when it is back.
func TestClusterAway(t *testing.T) {
	c := pushertest.NewCluster(t, pusher.Config{})
	a, b := c.A.Dial(), c.B.Dial()
	a.Join("old", "private-o")
	b.Join("old", "private-o")
	c.Engine.Away(true)
	for _, path := range []string{"/channels", "/channels/old", "/channels/presence-r/users", "/connections"} {
		status, text, head := c.A.Raw("GET", pushertest.Sign("GET", "/apps/3"+path, nil, ""), "")
		if status != http.StatusServiceUnavailable || head.Get("Retry-After") == "" || !strings.Contains(text, `"code":"service_unavailable"`) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	for _, body := range []string{`{"name":"e","channel":"old","data":"x"}`, `{"name":"e","channels":["old","new"],"data":"x","info":"subscription_count"}`} {
		status, text, head := c.A.Raw("POST", pushertest.Sign("POST", "/apps/3/events", nil, body), body)
		if status != http.StatusServiceUnavailable || head.Get("Retry-After") == "" || !strings.Contains(text, `"error"`) {
			t.Errorf("%d %s", status, text)
		}
	}
	if status, text := c.A.Call("POST", "/batch_events", nil, `{"batch":[{"name":"e","channel":"old","data":"1"}]}`); status != 503 {
		t.Errorf("%d %s", status, text)
	}
	a.Send(`{"event":"client-w","channel":"private-o","data":"x"}`)
	if f := a.Read(); f.Event != "pusher:error" || !strings.Contains(f.Raw, "cannot be reached") {
		t.Errorf("received %s", f)
	}
	late := c.B.Dial() // who comes now is let in
	for _, p := range []*pushertest.Peer{a, late} {
		for _, channel := range []string{"new", "gone", "twice"} {
			p.Subscribe(channel, "")
			if f := p.Read(); f.Event != "pusher:subscription_error" || f.Channel != channel || !strings.Contains(f.Raw, `"status":503`) {
				t.Errorf("received %s", f)
			}
		}
		p.Subscribe("presence-n", `{"user_id":"`+p.SocketID+`"}`)
		p.Read()
		p.Subscribe("twice", "")
		if f := p.Read(); f.Event != "pusher:error" || !strings.Contains(f.Raw, "Existing subscription") {
			t.Errorf("received %s", f)
		}
		p.Send(`{"event":"pusher:unsubscribe","data":{"channel":"gone"}}`)
		p.Quiet()
	}
	quits := c.A.Dial()
	quits.Subscribe("new", "")
	quits.Read()
	_ = quits.WS.Close()
	c.Engine.Away(false)
	for _, p := range []*pushertest.Peer{a, late} {
		got := map[string]bool{}
		for range 3 {
			f := p.Read()
			for f.Event == "pusher_internal:member_added" {
				f = p.Read()
			}
			if f.Event != "pusher_internal:subscription_succeeded" {
				t.Fatalf("received %s", f)
			}
			got[f.Channel] = true
		}
		if !got["new"] || !got["twice"] || !got["presence-n"] {
			t.Errorf("subscribed to %v", got)
		}
	}
	eventually(t, c, "/channels", `{"channels":{"new":{},"old":{},"presence-n":{},"private-o":{},"twice":{}}}`, nil)
	eventually(t, c, "/channels/new", `{"occupied":true,"subscription_count":2}`, map[string][]string{"info": {"subscription_count"}})
	eventually(t, c, "/channels/presence-n", `{"occupied":true,"user_count":2}`, map[string][]string{"info": {"user_count"}})
	eventually(t, c, "/connections", `{"connections":3}`, nil)
	c.A.Trigger("new", "e", "x")
	late.T = t
	for f := late.Read(); f.Event != "e"; f = late.Read() {
	}
	b.Quiet()
}

// TestClusterKill: of a node that dies nothing is left, and others hear of it once.
func TestClusterKill(t *testing.T) {
	hook := pushertest.NewHook(t, nil)
	app := pushertest.App()
	app.Watchlist, app.Webhooks = true, []pusher.Webhook{hook.Webhook()}
	cfg := pusher.Config{Apps: []pusher.App{app}, WebhookHold: 50 * time.Millisecond}
	c := pushertest.NewCluster(t, cfg)
	dying, node := c.Site(t, "c", cfg)
	a, d := c.A.Dial(), dying.Dial()
	a.Subscribe("presence-r", `{"user_id":"1"}`)
	a.Read()
	a.SignIn(`{"id":"w","watchlist":["u"]}`)
	a.Read()
	a.Read()
	d.SignIn(`{"id":"u"}`)
	d.Read()
	if f := a.Read(); !strings.Contains(f.Raw, "online") {
		t.Errorf("received %s", f)
	}
	d.Subscribe("presence-r", `{"user_id":"2"}`)
	d.Read()
	if f := a.Read(); f.Event != "pusher_internal:member_added" {
		t.Errorf("received %s", f)
	}
	d.Join("own")
	c.Engine.Kill(node)
	got := []string{a.Read().Event, a.Read().Event}
	slices.Sort(got)
	if !slices.Equal(got, []string{"pusher_internal:member_removed", "pusher_internal:watchlist_events"}) {
		t.Errorf("told of %v", got)
	}
	eventually(t, c, "/channels", `{"channels":{"presence-r":{}}}`, nil)
	eventually(t, c, "/channels/presence-r", `{"occupied":true,"user_count":1}`, map[string][]string{"info": {"user_count"}})
	eventually(t, c, "/connections", `{"connections":1}`, nil)
	for _, want := range []string{`"member_removed","channel":"presence-r","user_id":"2"`, `"channel_vacated","channel":"own"`} {
		pushertest.Eventually(t, "the webhook of "+want, func() bool { return strings.Count(hook.All(), want) == 1 })
	}
	a.Quiet()
}
