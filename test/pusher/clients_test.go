package pusher_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// each runs a test with every version of pusher-js against one server.
func each(t *testing.T, env []string, test func(t *testing.T, s *server, d *driver, w way)) {
	eachOf(t, ways, env, test)
}

// eachOf is each, for some versions.
func eachOf(t *testing.T, ways []way, env []string, test func(t *testing.T, s *server, d *driver, w way)) {
	s := start(t, env...)
	d := drive(t, s)
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			d.t, s.t = t, t
			test(t, s, d, w)
		})
	}
	d.t, s.t = t, t
}

func TestPusherJS(t *testing.T) {
	each(t, []string{"PUSHER_CLIENT_EVENTS=on"}, func(t *testing.T, s *server, d *driver, w way) {
		a := d.dial(s, w, w.name+" a", "1")
		b := d.dial(s, w, w.name+" b", "2")
		suffix := strings.ReplaceAll(w.name, " ", "-")
		public, private, presence, sealed, cache := "news-"+suffix, "private-a-"+suffix, "presence-a-"+suffix, "private-encrypted-a-"+suffix, "cache-a-"+suffix

		// A cache channel replays to who comes later, and says when there is nothing.
		b.op("subscribe", "channel", cache)
		b.driver.wait(b.id, "channel", "pusher:cache_miss", cache, 1)
		d.call("trigger", cache, "last", map[string]any{"n": 1})
		b.events(cache, "last", 1)
		a.join(cache)
		if got := a.events(cache, "last", 1); got[0] != `{"n":1}` {
			t.Errorf("replayed %s", got)
		}

		a.join(public, private, sealed, presence)
		b.join(public, private, sealed, presence)

		// What a server sends arrives as what it was.
		data := map[string]any{"text": "é😀\u2028<b>\"", "number": 1.5, "list": []any{}, "none": nil}
		for _, channel := range []string{public, private, sealed} {
			if r := d.call("trigger", channel, `App\Events\Done`, data); r.Name != "200" || r.Text != "{}" {
				t.Fatalf("trigger: %+v", r)
			}
			for _, c := range []*client{a, b} {
				if got := c.events(channel, `App\Events\Done`, 1); !sameJSON(got[0], marshal(data)) {
					t.Errorf("%s received %s", channel, got)
				}
			}
		}
		// The connection that the request names gets no copy.
		d.call("trigger", public, "to-others", "x", map[string]any{"socket_id": a.connections(1)[0]})
		d.call("trigger", public, "to-all", "x")
		a.events(public, "to-all", 1)
		b.events(public, "to-others", 1)
		if n := len(d.seen(a.id, "channel", "to-others", public)); n != 0 {
			t.Errorf("the sender heard its own event %d times", n)
		}

		// Presence.
		members := d.wait(b.id, "members", "", presence, 1)[0].Text
		if !sameJSON(members, `{"count":2,"me":"2","ids":[["1",{"name":"user 1"}],["2",{"name":"user 2"}]]}`) {
			t.Errorf("members %s", members)
		}
		if got := a.events(presence, "pusher:member_added", 1); got[0] != `{"id":"2","info":{"name":"user 2"}}` {
			t.Errorf("added %s", got)
		}

		// Client events: to the others, not to the sender, with the sender's user.
		a.op("trigger", "channel", private, "event", "client-x", "data", map[string]any{"typing": true})
		if got := b.events(private, "client-x", 1); got[0] != `{"typing":true}` {
			t.Errorf("client event %s", got)
		}
		a.op("trigger", "channel", presence, "event", "client-y", "data", "text")
		if got := b.events(presence, "client-y", 1); got[0] != `"text"` {
			t.Errorf("client event %s", got)
		}
		// pusher-js tells the page who it was since 5.1.
		if from := d.wait(b.id, "from", "client-y", presence, 1)[0].Text; from != `"1"` && w.version != "4" {
			t.Errorf("from %s", from)
		}
		if n := len(d.seen(a.id, "channel", "client-x", private)); n != 0 {
			t.Errorf("the sender heard its own event %d times", n)
		}

		// What the server knows.
		r := d.call("get", map[string]any{"path": "/channels/" + presence + "/users"})
		if r.Text != `{"users":[{"id":"1"},{"id":"2"}]}` {
			t.Errorf("users: %+v", r)
		}
		r = d.call("get", map[string]any{"path": "/channels", "params": map[string]any{"filter_by_prefix": presence, "info": "user_count"}})
		if r.Text != `{"channels":{"`+presence+`":{"user_count":2}}}` {
			t.Errorf("channels: %+v", r)
		}

		b.op("unsubscribe", "channel", presence)
		if got := a.events(presence, "pusher:member_removed", 1); got[0] != `{"id":"2","info":{"name":"user 2"}}` {
			t.Errorf("removed %s", got)
		}
		// A refusal reaches the channel's own listeners.
		f := d.open(s, w, w.name+" forger", "forger", nil)
		f.wait("connected", "", 1)
		f.op("subscribe", "channel", private)
		if got := f.events(private, "pusher:subscription_error", 1); !strings.Contains(got[0], "AuthError") {
			t.Errorf("refused with %s", got)
		}
		for _, c := range []*client{a, b, f} {
			c.op("disconnect")
		}
	})
}

// sameJSON compares two JSON texts as values.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && marshal(x) == marshal(y)
}

// TestSignIn has users sign in, hear of their watchlist, be sent events and be
// terminated. pusher-js knows users from 7.1 on.
func TestSignIn(t *testing.T) {
	each(t, []string{"PUSHER_WATCHLIST=on"}, func(t *testing.T, s *server, d *driver, w way) {
		if w.version == "4" {
			t.Skip("pusher-js 4 has no users")
		}
		one := d.dial(s, w, w.name+" 1", "1")
		one.op("signin")
		one.wait("event", "pusher:signin_success", 1)
		// The page subscribes to its user's channel by itself.
		eventually(t, "the user's own channel", func() bool {
			d.call("sendToUser", "1", "hello-"+w.name, map[string]any{"a": 1})
			return len(d.seen(one.id, "user", "hello-"+w.name, "")) > 0
		})
		if r := d.wait(one.id, "user", "hello-"+w.name, "", 1)[0]; r.Text != `{"a":1}` {
			t.Errorf("received %s", r.Text)
		}
		if w.version == "8" {
			if r := d.wait(one.id, "watchlist", "offline", "", 1)[0]; !strings.Contains(r.Text, `["2","3"]`) {
				t.Errorf("watchlist %s", r.Text)
			}
			two := d.dial(s, w, w.name+" 2", "2")
			two.op("signin")
			if r := d.wait(one.id, "watchlist", "online", "", 1)[0]; !strings.Contains(r.Text, `["2"]`) {
				t.Errorf("watchlist %s", r.Text)
			}
			two.op("disconnect")
			d.wait(one.id, "watchlist", "offline", "", 2)
		}
		if r := d.call("terminateUserConnections", "1"); r.Name != "200" || r.Text != "{}" {
			t.Errorf("terminate: %+v", r)
		}
		// It stays away.
		d.wait(one.id, "state", "disconnected", "", 1)
		if n := len(one.connections(1)); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// TestEcho runs Laravel Echo on each version of pusher-js.
func TestEcho(t *testing.T) {
	each(t, []string{"PUSHER_CLIENT_EVENTS=on"}, func(t *testing.T, s *server, d *driver, w way) {
		if w.browser {
			t.Skip("Echo is the same code in Node")
		}
		a := d.open(s, w, w.name+" a", "1", map[string]any{"echo": "pusher"})
		b := d.open(s, w, w.name+" b", "2", map[string]any{"echo": "reverb"})
		forger := d.open(s, w, w.name+" forger", "forger", map[string]any{"echo": "pusher"})
		a.wait("connected", "", 1)
		b.wait("connected", "", 1)
		room := "room" + w.version
		wait := func(c *client, event, channel string, n int) string {
			t.Helper()
			return d.wait(c.id, "echo", event, channel, n)[n-1].Text
		}
		for _, kind := range []string{"channel", "private", "encryptedPrivate"} {
			name := kind + w.version
			for _, c := range []*client{a, b} {
				c.op("listen", "kind", kind, "channel", name, "event", "OrderShipped")
				wait(c, "subscribed", name, 1)
			}
			full := map[string]string{"channel": "", "private": "private-", "encryptedPrivate": "private-encrypted-"}[kind] + name
			// Laravel names an event by its class; toOthers leaves out the caller's socket.
			d.call("trigger", full, `App\Events\OrderShipped`, map[string]any{"id": 7}, map[string]any{"socket_id": a.connections(1)[0]})
			if got := wait(b, "OrderShipped", name, 1); got != `{"id":7}` {
				t.Errorf("%s received %s", kind, got)
			}
			if n := len(d.seen(a.id, "echo", "OrderShipped", name)); n != 0 {
				t.Errorf("%s: the caller heard it %d times", kind, n)
			}
		}
		a.op("socketid")
		if got := d.wait(a.id, "socketid", "", "", 1)[0].Name; got != a.connections(1)[0] {
			t.Errorf("socketId is %s", got)
		}
		a.op("whisper", "channel", "private"+w.version, "data", map[string]any{"name": "A"})
		if got := wait(b, "whisper", "private"+w.version, 1); got != `{"name":"A"}` {
			t.Errorf("whisper %s", got)
		}
		a.op("listen", "kind", "join", "channel", room, "event", "OrderShipped")
		if got := wait(a, "here", room, 1); got != `[{"name":"user 1"}]` {
			t.Errorf("here %s", got)
		}
		b.op("listen", "kind", "join", "channel", room, "event", "OrderShipped")
		if got := wait(a, "joining", room, 1); got != `{"name":"user 2"}` {
			t.Errorf("joining %s", got)
		}
		b.op("leave", "channel", room)
		if got := wait(a, "leaving", room, 1); got != `{"name":"user 2"}` {
			t.Errorf("leaving %s", got)
		}
		forger.wait("connected", "", 1)
		forger.op("listen", "kind", "private", "channel", "x", "event", "E")
		if got := wait(forger, "error", "x", 1); !strings.Contains(got, "AuthError") {
			t.Errorf("error %s", got)
		}
	})
}
