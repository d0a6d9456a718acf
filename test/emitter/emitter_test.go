package emitter

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
)

type object = map[string]any

// Every emitter reaches clients of every version: all of them, rooms, several rooms once, with any
// number of arguments, values of all kinds and buffers, in order.
func TestEmitters(t *testing.T) {
	redis := redistest.Start(t)
	n := start(t, redis)
	both := listen(t, redis, []string{"a", "b", "news#1"}, n)
	one := listen(t, redis, []string{"b", "x"}, n)
	for _, e := range emitters {
		t.Run(e.name, func(t *testing.T) {
			list := []emission{
				{to(), to(), []any{"all", json.RawMessage(`{"z":1,"a":[1.5,null,true]}`), "é😀", strings.Repeat("long ", 60)}},
				{to(), to(), []any{"none"}},
				{to("news#1"), to(), []any{"room", 2}},
				{to("a", "b"), to(), []any{"union", object{}}},
				{to("nobody"), to(), []any{"nobody"}},
			}
			all := `["all",{"z":1,"a":[1.5,null,true]},"é😀","` + strings.Repeat("long ", 60) + `"]`
			if e.text { // JSON of PHP has lists for empty objects
				list[3] = emission{to("a", "b"), to(), []any{"union", object{"a": 1}}}
			}
			union := `["union",{}]`
			if e.text {
				union = `["union",{"a":1}]`
			}
			wantBoth := []string{all, `["none"]`, `["room",2]`, union}
			wantOne := []string{all, `["none"]`, union}
			if e.except {
				list = append(list, emission{to("a", "b"), to("x"), []any{"except"}}, emission{to(), to("x"), []any{"all but x"}})
				wantBoth = append(wantBoth, `["except"]`, `["all but x"]`)
			}
			if strings.HasPrefix(e.name, "redis-emitter") {
				list = append(list, emission{to(), to(), []any{"date", object{"$date": 1700000000000}, object{"$undefined": 1}, object{"a": object{"$undefined": 1}}}})
				date := `["date","2023-11-14T22:13:20.000Z",null,{}]`
				wantBoth, wantOne = append(wantBoth, date), append(wantOne, date)
			}
			list = append(list, emission{to(), to(), []any{"bin", object{"$buffer": "010203fe"}, []any{object{"a": object{"$buffer": "00"}}}}},
				emission{to(), to(), []any{"end"}})
			bin := `["bin",{"$buffer":"010203fe"},[{"a":{"$buffer":"00"}}]]`
			if e.text { // short strings of PHP are texts, whatever is in them
				bin = `["bin","\u0001\u0002\u0003�",[{"a":"\u0000"}]]`
			}
			wantBoth, wantOne = append(wantBoth, bin), append(wantOne, bin)
			e.emit(t, redis, list...)
			both.t, one.t = t, t
			both.sees(`["end"]`, wantBoth...)
			one.sees(`["end"]`, wantOne...)
			both.unharmed()
			one.unharmed()
		})
	}
	both.t, one.t = t, t
}

// A client's id is a room of its own, and may be excepted.
func TestSocketID(t *testing.T) {
	redis := redistest.Start(t)
	n := start(t, redis)
	c := listen(t, redis, []string{"a"}, n)
	who := "4.8.1 websocket 0"
	e := emitters[5]
	e.emit(t, redis, emission{to(c.ids[who]), to(), []any{"for one"}}, emission{to("a"), to(c.ids[who]), []any{"for the others"}}, emission{to(), to(), []any{"end"}})
	redistest.Until(t, "the end", func() bool { return c.all(func(list []string) bool { return slices.Contains(list, `["end"]`) }) })
	c.mu.Lock()
	defer c.mu.Unlock()
	for client, list := range c.saw {
		if slices.Contains(list, `["for one"]`) != (client == who) || slices.Contains(list, `["for the others"]`) == (client == who) {
			t.Errorf("%s saw %v", client, list)
		}
	}
}

// What ends a real server or the connections of its clients is dropped here, and counted; what comes
// behind it is delivered.
func TestOddMessages(t *testing.T) {
	redis := redistest.Start(t)
	n := start(t, redis, "MAX_BODY_BYTES=20000")
	c := listen(t, redis, []string{"a"}, n)
	odd := []struct{ reason, channel, hex string }{
		{"type", "socket.io#/#", "93a7656d697474657282a47479706500a36e7370a12f82a5726f6f6d7390a5666c61677380"},
		{"type", "socket.io#/#", "93a7656d697474657282a47479706501a36e7370a12f82a5726f6f6d7390a5666c61677380"},
		{"no_event", "socket.io#/#", "93a7656d697474657283a47479706502a464617461a26576a36e7370a12f80"},
		{"no_event", "socket.io#/#", "93a7656d697474657282a47479706502a36e7370a12f80"},
		{"no_event", "socket.io#/#", "93a7656d697474657283a47479706502a4646174619105a36e7370a12f80"},
		{"form", "socket.io#/#", "920102"},
		{"form", "socket.io#/#", "9301" + "83a47479706502a46461746191a26576a36e7370a12f" + "c0"},
		{"namespace", "socket.io#/ns#", "9301" + "83a47479706502a46461746191a26576a36e7370a32f6e73" + "80"},
		{"reserved_event", "socket.io#/#", "9301" + "83a47479706502a46461746191ad636f6e6e6563745f6572726f72a36e7370a12f" + "80"},
		{"malformed", "socket.io#/#", "68656c6c6f"},
		{"malformed", "socket.io#/#", ""},
		{"malformed", "socket.io#/#", "93"},
		{"malformed", "socket.io#", "ddffffffff"},
		{"buffers", "socket.io#/#", "9301" + "83a47479706502a4646174619ca26576" + strings.Repeat("c400", 11) + "a36e7370a12f" + "80"},
		{"too_large", "socket.io#/#", strings.Repeat("00", 20001)},
	}
	want := make(map[string]int)
	for _, m := range odd {
		raw, err := hex.DecodeString(m.hex)
		if err != nil {
			t.Fatal(err)
		}
		redis.Do("PUBLISH", m.channel, string(raw))
		want[m.reason]++
	}
	publish(redis, "a", "end")
	c.sees(`["end"]`)
	c.unharmed()
	for reason, count := range want {
		if got := n.metric(t, `poosh_emitter_redis_dropped_total{reason="`+reason+`"}`); got != count {
			t.Errorf("%d dropped for %s, want %d", got, reason, count)
		}
	}
	if lines := strings.Count(n.Log(), "dropped a message from Redis"); lines != 1 {
		t.Errorf("%d lines about dropped messages, want 1", lines)
	}
}

// Clients are disconnected for an emitter where that is turned on, and stay away; else nobody reads it.
func TestDisconnect(t *testing.T) {
	redis := redistest.Start(t)
	off, on := start(t, redis), start(t, redis, "EMITTER_REQUESTS=on")
	a, b := listen(t, redis, []string{"a"}, on), listen(t, redis, []string{"b"}, on)
	other := listen(t, redis, []string{"a"}, off)
	if got := redis.Do("PUBLISH", "socket.io-request#/#", "no JSON"); got != ":1" {
		t.Errorf("so many read requests: %s", got)
	}
	emitters[5].emit(t, redis, emission{to("a"), to(), []any{"$disconnect"}})
	redistest.Until(t, "all in the room to be disconnected", func() bool { return a.count(a.ends) == 6 })
	a.mu.Lock()
	for client, why := range a.ends {
		if why != "io server disconnect" {
			t.Errorf("%s was disconnected for %q", client, why)
		}
	}
	a.mu.Unlock()
	publish(redis, "", "end")
	b.sees(`["end"]`)
	other.sees(`["end"]`)
	b.unharmed()
	other.unharmed()
	// It is counted once all are sent away, and they may know that sooner.
	redistest.Until(t, "6 to be counted", func() bool { return on.metric(t, "poosh_emitter_disconnected_total") == 6 })
}
