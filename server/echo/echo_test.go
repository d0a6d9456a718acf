package echo

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/handover"
	"poosh/server/intake"
	"poosh/server/presence/presencetest"
	"poosh/server/rate"
)

// TestFromRedis has messages as Laravel's redis broadcaster publishes them reach clients of all
// versions of the protocol.
func TestFromRedis(t *testing.T) {
	redis := redistest.Start(t)
	p := newPlace(t, nil)
	at, err := intake.ParseAddress("redis://" + redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	reads, err := p.Dialect.read(at, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience) // that of the test is over
		defer cancel()
		reads.Stop(ctx)
	})
	pages := []*page{p.old(2), p.old(3), p.page("40"), p.page(`40{"headers":{"Authorization":"Bearer tok"}}`)}
	for i, w := range pages {
		w.join("orders", "", i)
	}
	until(t, "Redis knows who listens", func() bool { return strings.Contains(redis.Do("PUBSUB", "NUMPAT"), "2") })
	redis.Do("PUBLISH", "other", `{"event":"no","data":1,"socket":null}`)
	redis.Do("PUBLISH", "laravel_database_orders", `not JSON`)
	redis.Do("PUBLISH", "laravel_database_orders", `{"event":"App\\Events\\OrderShipped","data":{"order":{"id":7,"name":"Caf\u00e9 \/ \u03a9"},"socket":null},"socket":null}`)
	redis.Do("PUBLISH", "laravel-database-orders", `{"event":"order.named","data":{"n":1.0,"socket":"x"},"socket":"`+pages[2].sid+`"}`)
	for i, w := range pages {
		w.wants(`42["App\\Events\\OrderShipped","orders",{"order":{"id":7,"name":"Caf\u00e9 \/ \u03a9"}}]`)
		if i != 2 {
			w.wants(`42["order.named","orders",{"n":1.0}]`)
		}
	}
	for _, w := range pages {
		w.quiet()
	}
}

// TestKillingFrames sends what ends the original. Nothing of it does anything, and all of it is
// counted.
func TestKillingFrames(t *testing.T) {
	p := newPlace(t, newApplication(t).config)
	for eio := 2; eio <= 4; eio++ {
		var w *page
		if eio == 4 {
			w = p.page("40")
		} else {
			w = p.old(eio)
		}
		before := p.ignored.All()
		for _, event := range []string{"subscribe", "unsubscribe", "client event"} {
			for _, args := range []string{"", ",null", ",5", ",true", `,"x"`, `,""`, `,"null"`, `,"{"`, ",[]", ",{}", `,{"channel":5}`, `,{"channel":{}}`, `,{"channel":null}`, `,{"channel":""}`, `,{"channel":["a"]}`, ",null,null,null"} {
				w.say(`42["` + event + `"` + args + `]`)
			}
			w.say(`42["` + event + `",{"channel":"` + strings.Repeat("a", 513) + `"}]`)
		}
		w.say(`42["unsubscribe",{"channel":"presence-never"}]`) // leaving what was never joined
		w.say(`42["client event",{"channel":"presence-never","event":"client-x","data":1}]`)
		w.say(`42["client event",{"channel":"orders","event":"client-x"}]`)
		w.say(`42["client event",{"channel":"private-x","event":"x-client-x"}]`)
		w.say(`42["subscribe",{"channel":"private-x","auth":{"headers":{"a":[]}}}]`)
		w.say(`42["constructor",null]`)
		w.say(`42["__proto__",{"channel":"x"}]`)
		w.quiet()
		if n := p.hub.CountRooms(App); n != 0 {
			t.Errorf("%d channels", n)
		}
		now := p.ignored.All()
		for why, least := range map[string]uint64{"argument": 25, "channel": 15, "channel_name": 3, "client_event_outside": 1, "client_event_channel": 1, "client_event_name": 1, "headers": 2, "event": 2} {
			if now[why]-before[why] < least {
				t.Errorf("%s was counted %d times: %v", why, now[why]-before[why], now)
			}
		}
	}
}

// TestPrivate asks the application, and believes nobody else.
func TestPrivate(t *testing.T) {
	app := newApplication(t)
	p := newPlace(t, app.config)
	w, stranger := p.page("40"), p.page("40")
	w.join("private-orders.1", "5", 0)
	w.join("my-private-thing", "5", 0)
	stranger.subscribe("private-orders.1", "")
	stranger.wants(`42["subscription_error","private-orders.1",403]`)
	p.send("private-orders.1", "e", `{"n":1}`, "")
	w.wants(`42["e","private-orders.1",{"n":1}]`)
	stranger.quiet()
	app.mu.Lock()
	asked := app.asked[0]
	app.mu.Unlock()
	if asked.PostFormValue("channel_name") != "private-orders.1" || asked.PostFormValue("socket_id") != w.sid || asked.Header.Get("Cookie") != "laravel_session=abc" {
		t.Errorf("asked %v with %v", asked.PostForm, asked.Header)
	}

	// Asked once more, the application may have another mind.
	app.answers(func(w http.ResponseWriter, _, _ string) { fmt.Fprint(w, "<html>log in</html>") })
	w.subscribe("private-orders.1", "5")
	w.wants(`42["subscription_error","private-orders.1",403]`)
	p.in("private-orders.1", 0)
}

// TestLeavesWhileAsked has a page leave a channel before the application has answered.
func TestLeavesWhileAsked(t *testing.T) {
	app := newApplication(t)
	p := newPlace(t, app.config)
	let := make(chan struct{})
	app.answers(func(w http.ResponseWriter, _, _ string) { <-let; fmt.Fprint(w, "true") })
	w := p.page("40")
	w.subscribe("private-a", "5")
	w.subscribe("private-a", "5") // which is one wish
	until(t, "it is asked", func() bool { return app.count() == 1 })
	w.say(`42["unsubscribe",{"channel":"private-a"}]`)
	w.quiet()
	close(let)
	w.quiet()
	p.in("private-a", 0)
	if app.count() != 1 {
		t.Errorf("asked %d times", app.count())
	}
}

// TestWithoutApplication lets nobody into private channels.
func TestWithoutApplication(t *testing.T) {
	p := newPlace(t, nil)
	w := p.page("40")
	w.subscribe("presence-a", "1")
	w.wants(`42["subscription_error","presence-a",403]`)
}

// TestBounds refuses one channel too many, and drops client events that are too many.
func TestBounds(t *testing.T) {
	app := newApplication(t)
	p := newPlace(t, func(c *Config) {
		app.config(c)
		c.MaxChannels, c.Whispers = 3, rate.Rate{Limit: 2, Per: time.Hour}
	})
	w, other := p.page("40"), p.page("40")
	w.join("a", "", 0)
	w.join("private-b", "1", 0)
	other.join("private-b", "1", 1)
	w.join("c", "", 0)
	w.subscribe("d", "")
	w.wants(`42["subscription_error","d",429]`)
	w.subscribe("a", "") // it is there
	w.say(`42["unsubscribe",{"channel":"c"}]`)
	for n := range 4 {
		w.say(fmt.Sprintf(`42["client event",{"channel":"private-b","event":"client-n","data":%d}]`, n))
	}
	other.wants(`42["client-n","private-b",0]`, `42["client-n","private-b",1]`)
	other.quiet()
	w.quiet()
	if n := p.ignored.Get(tooOften); n != 2 {
		t.Errorf("%d were too many", n)
	}
}

// TestNamedLikeASocket has a channel of the name of another client's id be a channel as any
// other: what that client is told nobody else hears.
func TestNamedLikeASocket(t *testing.T) {
	app := newApplication(t)
	p := newPlace(t, app.config)
	w, thief := p.page("40"), p.page("40")
	thief.join(w.sid, "", 0)
	w.subscribe("private-a", "")
	w.wants(`42["subscription_error","private-a",403]`)
	w.join("presence-a", "1", 0)
	w.wants(`42["presence:subscribed","presence-a",[{"user_id":1,"user_info":{"name":"user 1"},"socketId":"{sid}"}]]`)
	thief.quiet()
}

// graceOfTests is how long pages have to come back, on a busy machine too; whoever stays away is waited for as long.
const graceOfTests = 4 * time.Second

// eachPresence is for one process, and for two that act as one: pages are on a and b.
func eachPresence(t *testing.T, test func(t *testing.T, a, b *place)) {
	t.Run("one process", func(t *testing.T) {
		p := newPlace(t, func(c *Config) { newApplication(t).config(c); c.Grace = graceOfTests })
		test(t, p, p)
	})
	t.Run("two nodes", func(t *testing.T) {
		engine := presencetest.New()
		t.Cleanup(engine.Close)
		set := func(c *Config) { newApplication(t).config(c); c.Grace = graceOfTests }
		test(t, nodePlace(t, engine.Node("a", nil), set), nodePlace(t, engine.Node("b", nil), set))
	})
}

const user1 = `{"user_id":1,"user_info":{"name":"user 1"}`

// TestPresence has users come and go, each once.
func TestPresence(t *testing.T) {
	eachPresence(t, func(t *testing.T, a, b *place) {
		first := a.page("40")
		first.subscribe("presence-r", "1")
		one := user1 + `,"socketId":"` + first.sid + `"}`
		first.wants(`42["presence:subscribed","presence-r",[` + one + `]]`)

		second := b.page("40")
		second.subscribe("presence-r", "2")
		two := `{"user_id":2,"user_info":{"name":"user 2"},"socketId":"` + second.sid + `"}`
		second.wants(`42["presence:subscribed","presence-r",[` + two + `,` + one + `]]`)
		first.wants(`42["presence:joining","presence-r",` + two + `]`)

		// Another connection of a user is told of, and nobody of it.
		again := b.page("40")
		again.subscribe("presence-r", "1")
		again.wants(`42["presence:subscribed","presence-r",[` + user1 + `,"socketId":"` + again.sid + `"},` + two + `]]`)
		again.say(`42["client event",{"channel":"presence-r","event":"client-typing","data":{"t":1}}]`)
		first.wants(`42["client-typing","presence-r",{"t":1}]`)
		second.wants(`42["client-typing","presence-r",{"t":1}]`)
		again.say(`42["unsubscribe",{"channel":"presence-r","auth":{"headers":{}}}]`)
		again.quiet()

		// Who means to leave is gone at once, and who is cut off is waited for.
		second.say(`42["unsubscribe",{"channel":"presence-r"}]`)
		first.wants(`42["presence:leaving","presence-r",{"user_id":2,"user_info":{"name":"user 2"}}]`)
		second.subscribe("presence-r", "2")
		second.wants(`42["presence:subscribed","presence-r",[` + two + `,` + one + `]]`)
		first.wants(`42["presence:joining","presence-r",` + two + `]`)
		second.Close()
		back := b.page("40")
		back.subscribe("presence-r", "2")
		back.wants(`42["presence:subscribed","presence-r",[{"user_id":2,"user_info":{"name":"user 2"},"socketId":"` + back.sid + `"},` + one + `]]`)
		first.quiet()
		until(t, "nobody is waited for", func() bool { return b.countLingering() == 0 })
		first.quiet()
		back.Close()
		first.wants(`42["presence:leaving","presence-r",{"user_id":2,"user_info":{"name":"user 2"}}]`)
		first.say("41")
		a.in("presence-r", 0)
	})
}

// TestAnotherUser has a page that asks once more be another user from then on.
func TestAnotherUser(t *testing.T) {
	eachPresence(t, func(t *testing.T, a, b *place) {
		first, second := a.page("40"), b.page("40")
		first.subscribe("presence-r", "1")
		one := user1 + `,"socketId":"` + first.sid + `"}`
		first.wants(`42["presence:subscribed","presence-r",[` + one + `]]`)
		second.subscribe("presence-r", "2")
		second.read()
		first.read()
		second.subscribe("presence-r", "2")
		second.read() // the list once more
		second.subscribe("presence-r", "3")
		second.wants(`42["presence:subscribed","presence-r",[{"user_id":3,"user_info":{"name":"user 3"},"socketId":"{sid}"},` + one + `]]`)
		first.wants(`42["presence:leaving","presence-r",{"user_id":2,"user_info":{"name":"user 2"}}]`,
			`42["presence:joining","presence-r",{"user_id":3,"user_info":{"name":"user 3"},"socketId":"`+second.sid+`"}]`)
	})
}

// TestFullPresence refuses one user too many, and what is too large.
func TestFullPresence(t *testing.T) {
	app := newApplication(t)
	p := newPlace(t, func(c *Config) { app.config(c); c.MaxMembers, c.MaxMemberBytes, c.Grace = 1, 128, -1 })
	w, other := p.page("40"), p.page("40")
	w.subscribe("presence-r", "1")
	w.read()
	other.subscribe("presence-r", "2")
	other.wants(`42["subscription_error","presence-r",503]`)
	other.subscribe("presence-r", "1")
	other.read()
	app.answers(func(w http.ResponseWriter, _, _ string) {
		fmt.Fprintf(w, `{"channel_data":{"user_id":1,"user_info":%q}}`, strings.Repeat("x", 200))
	})
	other.subscribe("presence-s", "1")
	other.wants(`42["subscription_error","presence-s",413]`)
}

// TestAwayDesk has a page be let in once the other nodes can be asked.
func TestAwayDesk(t *testing.T) {
	engine := presencetest.New()
	t.Cleanup(engine.Close)
	p := nodePlace(t, engine.Node("a", nil), newApplication(t).config)
	engine.Away(true)
	w := p.page("40")
	w.subscribe("presence-r", "1")
	until(t, "it waits", func() bool {
		l := p.find(w.sid)
		l.mu.Lock()
		defer l.mu.Unlock()
		s := l.channels["presence-r"]
		return s != nil && s.retry != nil
	})
	engine.Away(false)
	w.wants(`42["presence:subscribed","presence-r",[` + user1 + `,"socketId":"{sid}"}]]`)
}

// TestComesBack restores the channels of a client that was cut off, with what it missed.
func TestComesBack(t *testing.T) {
	app := newApplication(t)
	p := keptPlace(t, func(c *Config) { app.config(c); c.Grace = time.Hour })
	watcher := p.page("40")
	watcher.join("presence-r", "9", 0)
	watcher.read()
	w := p.page("40")
	if w.pid == "" {
		t.Fatal("no pid")
	}
	w.join("orders", "", 0)
	w.join("private-x", "1", 0)
	w.subscribe("presence-r", "1")
	w.read()
	watcher.read()
	asked := app.count()
	p.send("orders", "e", `{"n":1}`, "")
	offset := w.offset(`42["e","orders",{"n":1}`)
	// What is not kept must not be taken for a position.
	watcher.say(`42["client event",{"channel":"presence-r","event":"client-x","data":"text"}]`)
	w.wants(`42["client-x","presence-r","text",null]`)
	w.Close()
	until(t, "it is gone", func() bool { return p.find(w.sid) == nil })
	p.send("orders", "e", `{"n":2}`, "")
	p.send("private-x", "e", `{"n":3}`, "")
	p.send("private-x", "e", `{"n":4}`, w.sid)
	p.send("elsewhere", "e", `{"n":5}`, "")

	back := p.page(fmt.Sprintf(`40{"pid":%q,"offset":%q,"headers":{}}`, w.pid, offset))
	if back.sid != w.sid || back.pid != w.pid {
		t.Fatalf("is %s with %s, was %s with %s", back.sid, back.pid, w.sid, w.pid)
	}
	back.offset(`42["e","orders",{"n":2}`)
	back.offset(`42["e","private-x",{"n":3}`)
	got := back.read()
	if !strings.HasPrefix(got, `42["presence:subscribed","presence-r",[{"user_id":1,`) {
		t.Error(got)
	}
	p.send("presence-r", "e", `{"n":6}`, "")
	back.offset(`42["e","presence-r",{"n":6}`)
	watcher.offset(`42["e","presence-r",{"n":6}`)
	if app.count() != asked {
		t.Error("the application was asked again")
	}
	back.say(`42["unsubscribe",{"channel":"private-x"}]`)
	p.in("private-x", 0)
	back.say("41")
	until(t, "it is gone", func() bool { return p.find(w.sid) == nil })
	if again := p.page(fmt.Sprintf(`40{"pid":%q}`, w.pid)); again.sid == w.sid {
		t.Error("who left comes back")
	}
}

// offset reads an event that begins so, with a position behind it.
func (w *page) offset(begins string) string {
	w.t.Helper()
	got := w.read()
	rest, ok := strings.CutPrefix(got, begins+`,"`)
	if !ok || !strings.HasSuffix(rest, `"]`) {
		w.t.Fatalf("got %s, want %s with a position", got, begins)
	}
	return strings.TrimSuffix(rest, `"]`)
}

// farAhead is when states end that are read in tests.
var farAhead = time.Unix(1<<33, 0)

// TestNextProcess has a client come back to the next process, in its channels.
func TestNextProcess(t *testing.T) {
	app := newApplication(t)
	p := keptPlace(t, app.config)
	w := p.page("40")
	w.join("orders", "", 0)
	w.subscribe("presence-r", "1")
	w.read()
	var file bytes.Buffer
	out := handover.NewWriter(t.Context(), &file)
	p.states.Save(out)
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	next := newStates(p.hub, time.Hour, 1<<20)
	if err := next.Restore(handover.NewReader(&file, int64(file.Len()))); err != nil {
		t.Fatal(err)
	}
	st, old := next.Take(w.pid)
	if st == nil || old != nil || len(st.Rooms) != 2 || string(st.Members["presence-r"].bare) != user1+"}" {
		t.Fatalf("%+v", st)
	}
}

// TestPublishesPresence has the application be told who is in a channel, once whatever the number of
// nodes.
func TestPublishesPresence(t *testing.T) {
	redis := redistest.Start(t)
	at, err := intake.ParseAddress("redis://" + redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	told := listen(t, redis)
	test := func(t *testing.T, a, b *place) {
		w, other := a.page("40"), b.page("40")
		w.subscribe("presence-r", "1")
		w.read()
		one := user1 + `,"socketId":"` + w.sid + `"}`
		wants := func(want string) {
			t.Helper()
			select {
			case got := <-told:
				if got != `{"event":{"channel":"presence-r:members","members":[`+want+`]}}` {
					t.Errorf("told %s, want %s", got, want)
				}
			case <-time.After(patience):
				t.Fatal("nothing is told")
			}
		}
		wants(one)
		other.subscribe("presence-r", "2")
		other.read()
		wants(one + `,{"user_id":2,"user_info":{"name":"user 2"},"socketId":"` + other.sid + `"}`)
		other.say("41")
		wants(one)
		w.say("41")
		wants("")
	}
	set := func(c *Config) { newApplication(t).config(c); c.Updates = at }
	t.Run("one process", func(t *testing.T) {
		p := newPlace(t, set)
		test(t, p, p)
	})
	t.Run("two nodes", func(t *testing.T) {
		engine := presencetest.New()
		t.Cleanup(engine.Close)
		test(t, nodePlace(t, engine.Node("a", nil), set), nodePlace(t, engine.Node("b", nil), set))
	})
}

// TestKeepsItsSeat has a client come back while its connection is still there.
func TestKeepsItsSeat(t *testing.T) {
	app := newApplication(t)
	p := keptPlace(t, app.config)
	w := p.page("40")
	w.join("presence-r", "1", 0)
	w.read()
	watcher := p.page("40")
	watcher.join("presence-r", "2", 1)
	watcher.read()
	w.read()
	back := p.page(fmt.Sprintf(`40{"pid":%q}`, w.pid))
	if back.sid != w.sid {
		t.Fatal("is another one")
	}
	back.read()
	p.send("presence-r", "e", "1", "")
	back.offset(`42["e","presence-r",1`)
	watcher.offset(`42["e","presence-r",1`)
}
