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
			p := e.play()
			e.emit(t, redis, append(p.list, emission{to(), to(), []any{"end"}})...)
			both.t, one.t = t, t
			both.sees(`["end"]`, p.both...)
			one.sees(`["end"]`, p.one...)
			both.unharmed()
			one.unharmed()
		})
	}
	both.t, one.t = t, t
}

// A play is events, and what clients in a, b and news#1 see of them, and clients in b and x.
type play struct {
	list      []emission
	both, one []string
}

// add adds an event that is seen by so many.
func (p *play) add(e emission, both, one string) {
	p.list = append(p.list, e)
	if both != "" {
		p.both = append(p.both, both)
	}
	if one != "" {
		p.one = append(p.one, one)
	}
}

// all adds one that all see.
func (p *play) all(e emission, see string) { p.add(e, see, see) }

// play is what an emitter can do.
func (e *emitter) play() *play {
	p := new(play)
	long := strings.Repeat("long ", 60)
	switch {
	case e.texts:
		p.all(emission{to(), to(), []any{"all", "\x00\"\\", "é😀", long}}, `["all","\u0000\"\\","é😀","`+long+`"]`)
	case e.shuffled:
		p.all(emission{to(), to(), []any{"all", json.RawMessage(`{"a":[1.5,null,true,-1,{"z":65536}]}`), "é😀", long}}, `["all",{"a":[1.5,null,true,-1,{"z":65536}]},"é😀","`+long+`"]`)
	default:
		p.all(emission{to(), to(), []any{"all", json.RawMessage(`{"z":1,"a":[1.5,null,true]}`), "é😀", long}}, `["all",{"z":1,"a":[1.5,null,true]},"é😀","`+long+`"]`)
	}
	p.all(emission{to(), to(), []any{"none"}}, `["none"]`)
	p.add(emission{to("news#1"), to(), []any{"room", "2"}}, `["room","2"]`, "")
	switch {
	case e.texts:
		p.all(emission{to("a", "b"), to(), []any{"union", "{}"}}, `["union","{}"]`)
	case e.lists: // JSON of PHP has lists for empty objects
		p.all(emission{to("a", "b"), to(), []any{"union", object{"a": 1}}}, `["union",{"a":1}]`)
	default:
		p.all(emission{to("a", "b"), to(), []any{"union", object{}}}, `["union",{}]`)
	}
	p.add(emission{to("nobody"), to(), []any{"nobody"}}, "", "")
	if e.except {
		p.add(emission{to("a", "b"), to("x"), []any{"except"}}, `["except"]`, "")
		p.add(emission{to(), to("x"), []any{"all but x"}}, `["all but x"]`, "")
	}
	if e.date != "" {
		p.all(emission{to(), to(), []any{"date", object{"$date": 1700000000123}, object{"$undefined": 1}, object{"a": object{"$undefined": 1}}}}, e.date)
	}
	bin := emission{to(), to(), []any{"bin", object{"$buffer": "010203fe"}, []any{object{"a": object{"$buffer": "00"}}}}}
	switch {
	case e.texts:
	case e.lists: // short strings of PHP are texts, whatever is in them
		p.all(bin, `["bin","\u0001\u0002\u0003�",[{"a":"\u0000"}]]`)
	default:
		p.all(bin, `["bin",{"$buffer":"010203fe"},[{"a":{"$buffer":"00"}}]]`)
	}
	return p
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
		// Java of sunsus, to a room without a namespace, and bytes.
		{"namespace", "socket.io#news#", "93a7656d697474657283a47479706502a46461746193a26576a474657874a132a36e7370a12f82a5726f6f6d7391a46e657773a5666c61677380"},
		{"no_event", "socket.io#/#", "93a7656d697474657283a47479706505a464617461a3010203a36e7370a12f82a5726f6f6d7390a5666c61677380"},
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
	if got := on.metric(t, "poosh_emitter_disconnects_asked_total"); got != 1 {
		t.Errorf("%d requests were done, want 1", got)
	}
	// The emitter of Go leaves out what is empty, which means everybody.
	goEmitter := emitterOf("Go")
	goEmitter.emit(t, redis, emission{to("nobody"), to(), []any{"$disconnect"}}, emission{to(), to("nobody"), []any{"$disconnect"}})
	redistest.Until(t, "all others to be disconnected", func() bool { return b.count(b.ends) == 6 })
	redistest.Until(t, "12 to be counted", func() bool { return on.metric(t, "poosh_emitter_disconnected_total") == 12 })
	if got := on.metric(t, "poosh_emitter_disconnects_asked_total"); got != 3 {
		t.Errorf("%d requests were done, want 3", got)
	}
	if got := off.metric(t, "poosh_emitter_disconnects_asked_total"); got != 0 {
		t.Errorf("%d requests were done without EMITTER_REQUESTS", got)
	}
	other.unharmed()
}
