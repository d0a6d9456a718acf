package echo

import (
	"fmt"
	"testing"
)

// A pair is Laravel Echo with a client of socket.io.
type pair struct{ echo, client string }

// pairs are those that do all that there is, and morePairs those that do what the client has a part in:
// the table of docs/laravel-echo.md has them all.
var (
	pairs = []pair{
		{"echo-1", "sio-1.7.4"}, {"echo-1", "sio-2.5.0"}, {"echo-1", "sio-4.8.1"},
		{"echo-2", "sio-1.7.4"}, {"echo-2", "sio-2.5.0"}, {"echo-2", "sio-4.8.1"},
	}
	morePairs = []pair{
		{"echo-1", "sio-3.1.3"}, {"echo-1", "sio-4.0.2"}, {"echo-1", "sio-4.1.3"}, {"echo-1", "sio-4.5.4"},
		{"echo-2", "sio-3.1.3"}, {"echo-2", "sio-4.0.2"}, {"echo-2", "sio-4.1.3"}, {"echo-2", "sio-4.5.4"},
	}
)

// silent are those that never subscribe again by themselves after a cut, and whose client cannot be given
// back what it was in.
var silent = map[pair]bool{{"echo-1", "sio-3.1.3"}: true, {"echo-1", "sio-4.0.2"}: true, {"echo-1", "sio-4.1.3"}: true, {"echo-1", "sio-4.5.4"}: true}

// everyPair runs a test with each of them, and another one of the other kind beside it.
func everyPair(t *testing.T, pairs []pair, test func(t *testing.T, echo, client string)) {
	for _, of := range pairs {
		t.Run(of.echo+" "+of.client, func(t *testing.T) {
			t.Parallel()
			test(t, of.echo, of.client)
		})
	}
}

func ann(user int) string { return fmt.Sprintf(`{"id":%d,"name":"Ann é %d"}`, user, user) }

// What is broadcast is heard in channels of each kind, by all or by all but who it is from;
// whispers reach the others; members of presence channels come and go.
func TestChannels(t *testing.T) {
	s := start(t, "ECHO_PRESENCE_GRACE=0s")
	everyPair(t, pairs, func(t *testing.T, echo, client string) {
		b := newBroadcaster(t, s.redis, prefix)
		tag := "." + echo + "." + client
		of := map[string]string{"orders": "orders" + tag, "private": "orders" + tag + ".1", "room": "room" + tag}
		one, two := open(t, s.URL(), echo, client, 1), open(t, s.URL(), "echo-2", "sio-4.8.1", 2)

		for _, p := range []*page{one, two} {
			p.join("public", of["orders"], "OrderShipped", ".order.named")
			p.join("private", of["private"], "OrderShipped", ".order.named")
			p.hears(b, of["orders"], of["orders"])
			p.hears(b, of["private"], "private-"+of["private"])
		}
		one.join("presence", of["room"], "OrderShipped")
		one.wants(fmt.Sprintf(`["here",%q,[%s]]`, of["room"], ann(1)))
		two.join("presence", of["room"], "OrderShipped")
		two.wants(fmt.Sprintf(`["here",%q,[%s,%s]]`, of["room"], ann(2), ann(1)))
		one.wants(fmt.Sprintf(`["joining",%q,%s]`, of["room"], ann(2)))

		// Its names, its data, and to all channels of one event once each.
		order := map[string]any{"order": map[string]any{"id": 7, "name": "Café / Ω <b>"}}
		b.send(broadcast{Channels: []string{of["orders"], "private-" + of["private"], "presence-" + of["room"]}, Event: `App\Events\OrderShipped`, Data: order})
		for _, p := range []*page{one, two} {
			const data = `{"order":{"id":7,"name":"Café / Ω <b>"}}`
			p.wants(fmt.Sprintf(`["event",%q,"OrderShipped",%s]`, of["orders"], data), fmt.Sprintf(`["event",%q,"OrderShipped",%s]`, of["private"], data), fmt.Sprintf(`["event",%q,"OrderShipped",%s]`, of["room"], data))
		}

		// toOthers.
		b.send(broadcast{Channels: []string{of["orders"]}, Event: "order.named", Data: map[string]any{"n": 1}, Socket: &one.id})
		b.send(broadcast{Channels: []string{"private-" + of["private"]}, Event: "order.named", Data: map[string]any{"n": 2}, Socket: &one.id, Old: true})
		b.send(broadcast{Channels: []string{of["orders"]}, Event: "order.named", Data: map[string]any{"n": 3}})
		one.wants(fmt.Sprintf(`["event",%q,".order.named",{"n":3}]`, of["orders"]))
		two.wants(fmt.Sprintf(`["event",%q,".order.named",{"n":1}]`, of["orders"]), fmt.Sprintf(`["event",%q,".order.named",{"n":2}]`, of["private"]), fmt.Sprintf(`["event",%q,".order.named",{"n":3}]`, of["orders"]))

		// Whispers.
		one.tell([]any{"whisper", "private", of["private"], map[string]any{"t": 1}})
		two.wants(fmt.Sprintf(`["whisper",%q,{"t":1}]`, of["private"]))
		two.tell([]any{"whisper", "presence", of["room"], "text"})
		one.wants(fmt.Sprintf(`["whisper",%q,"text"]`, of["room"]))

		// Notifications.
		b.send(broadcast{Channels: []string{"private-" + of["private"]}, Event: `Illuminate\Notifications\Events\BroadcastNotificationCreated`,
			Data: map[string]any{"amount": 5, "id": "a-b", "type": `App\Notifications\Hi`}})
		for _, p := range []*page{one, two} {
			p.wants(fmt.Sprintf(`["notification",%q,{"amount":5,"id":"a-b","type":"App\\Notifications\\Hi"}]`, of["private"]))
		}

		// A second page of the same user is no new member, and takes none along.
		three := open(t, s.URL(), echo, client, 2)
		three.join("presence", of["room"])
		three.wants(fmt.Sprintf(`["here",%q,[%s,%s]]`, of["room"], ann(2), ann(1)))
		two.tell([]any{"leave", of["room"]})
		two.tell([]any{"leave", of["orders"]})
		three.tell([]any{"close"})
		one.wants(fmt.Sprintf(`["leaving",%q,%s]`, of["room"], ann(2)))
		b.send(broadcast{Channels: []string{of["orders"], "presence-" + of["room"], "private-" + of["private"]}, Event: "order.named", Data: map[string]any{"n": 4}})
		two.wants(fmt.Sprintf(`["event",%q,".order.named",{"n":4}]`, of["private"]))
	})
}

// A page of each pair hears what is broadcast in channels of each kind, and whispers; one that was cut off
// hears it again, whether its Echo subscribes anew or, where that does not, since the server gives it back
// what it was in. Only where neither can be it does not, until the page subscribes itself.
func TestReconnect(t *testing.T) {
	s := start(t, "HISTORY=5m")
	everyPair(t, append(morePairs, pairs...), func(t *testing.T, echo, client string) {
		b := newBroadcaster(t, s.redis, prefix)
		tag := "." + echo + "." + client
		news, own, room := "news"+tag, "own"+tag, "back"+tag
		one, two := open(t, s.URL(), echo, client, 1), open(t, s.URL(), "echo-2", "sio-2.5.0", 2)
		two.join("presence", room, ".said")
		two.wants(fmt.Sprintf(`["here",%q,[%s]]`, room, ann(2)))
		one.join("public", news, ".said")
		one.hears(b, news, news)
		one.join("private", own, ".said")
		one.hears(b, own, "private-"+own)
		one.join("presence", room)
		one.wants(fmt.Sprintf(`["here",%q,[%s,%s]]`, room, ann(1), ann(2)))
		two.wants(fmt.Sprintf(`["joining",%q,%s]`, room, ann(1)))
		said := func(n int) {
			t.Helper()
			b.send(broadcast{Channels: []string{news, "private-" + own, "presence-" + room}, Event: "said", Data: map[string]any{"n": n}})
			two.wants(fmt.Sprintf(`["event",%q,".said",{"n":%d}]`, room, n))
		}
		hears := func(n int) {
			t.Helper()
			said(n)
			one.wants(fmt.Sprintf(`["event",%q,".said",{"n":%d}]`, news, n), fmt.Sprintf(`["event",%q,".said",{"n":%d}]`, own, n))
			one.tell([]any{"whisper", "presence", room, n})
			two.wants(fmt.Sprintf(`["whisper",%q,%d]`, room, n))
			two.tell([]any{"whisper", "presence", room, "back"})
			one.wants(fmt.Sprintf(`["whisper",%q,"back"]`, room))
		}
		hears(1)

		one.tell([]any{"cut"})
		one.wants(`["disconnect"]`)
		one.connected()
		if silent[pair{echo, client}] {
			said(2)
			one.join("public", "fence"+tag)
			one.hears(b, "fence"+tag, "fence"+tag) // and nothing before it
			return
		}
		one.here = "" // it is told again, at least once
		// It is back in all; the others have noticed nothing.
		one.wants(fmt.Sprintf(`["here",%q,[%s,%s]]`, room, ann(1), ann(2)))
		one.hears(b, news, news)
		one.hears(b, own, "private-"+own)
		hears(2)
	})
}

// The same over a restart with HISTORY_FILE: Echo 1 with a client of socket.io 4 is in its channels
// again.
func TestRestart(t *testing.T) {
	s := start(t, "HISTORY=5m", "HISTORY_FILE=kept", "ECHO_PRESENCE_GRACE=0s")
	b := newBroadcaster(t, s.redis, prefix)
	one := open(t, s.URL(), "echo-1", "sio-4.8.1", 1)
	one.join("private", "news", ".said")
	one.hears(b, "news", "private-news")
	one.join("presence", "room", ".said")
	one.wants(fmt.Sprintf(`["here","room",[%s]]`, ann(1)))
	asked := len(s.app.requests("private-news"))

	s.Terminate()
	one.wants(`["disconnect"]`)
	s.Restart()
	one.connected()
	one.here = "" // it is told again
	one.wants(fmt.Sprintf(`["here","room",[%s]]`, ann(1)))
	one.hears(b, "news", "private-news")
	b.send(broadcast{Channels: []string{"private-news", "presence-room"}, Event: "said", Data: map[string]any{"n": 1}})
	one.wants(`["event","news",".said",{"n":1}]`, `["event","room",".said",{"n":1}]`)
	if n := len(s.app.requests("private-news")); n != asked {
		t.Errorf("the application was asked %d times more: it subscribed by itself", n-asked)
	}
}
