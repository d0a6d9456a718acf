package pusher_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/logtest"
	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
	"poosh/server/sends"
)

// TestWebhooksOfConnections runs real connections against the receiver.
func TestWebhooksOfConnections(t *testing.T) {
	hook := pushertest.NewHook(t, nil)
	app := pushertest.App()
	app.Webhooks = []pusher.Webhook{hook.Webhook()}
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}, WebhookHold: 100 * time.Millisecond})
	a, b := s.Dial(), s.Dial()
	for _, p := range []*pushertest.Peer{a, b} {
		p.Subscribe("presence-cache-c", `{"user_id":"1"}`)
		p.Read()
		p.Read()
	}
	a.Send(`{"event":"client-e","channel":"presence-cache-c","data":"x"}`)
	b.Read()
	_ = a.WS.Close()
	_ = b.WS.Close()
	pushertest.Eventually(t, "the channel to be vacated", func() bool { return strings.Contains(hook.All(), "vacated") })
	want := []string{
		`{"name":"channel_occupied","channel":"presence-cache-c"}`,
		`{"name":"member_added","channel":"presence-cache-c","user_id":"1"}`,
		`{"name":"cache_miss","channel":"presence-cache-c"}`,
		`{"name":"client_event","channel":"presence-cache-c","event":"client-e","data":"x","socket_id":"` + a.SocketID + `","user_id":"1"}`,
		`{"name":"member_removed","channel":"presence-cache-c","user_id":"1"}`,
		`{"name":"channel_vacated","channel":"presence-cache-c"}`,
	}
	got := hook.Events()
	if pushertest.Joined() { // of a channel and of a user in it each has its order, and the end of both is told on its own
		pushertest.Eventually(t, "all to be told", func() bool { got = hook.Events(); return len(got) >= len(want) })
		slices.Sort(got)
		slices.Sort(want)
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent\n%s", strings.Join(got, "\n"))
	}
	// A user's own channel is nobody's business.
	c := s.Dial()
	c.SignIn(`{"id":"1"}`)
	c.Read()
	c.Join("#server-to-user-1")
	_ = c.WS.Close()
	time.Sleep(200 * time.Millisecond)
	if n := len(hook.Events()); n != len(want) {
		t.Errorf("%d events", n)
	}
}

// TestStrangerAtTheDoor has one anonymous connection walk through public channels
// while the webhook is slow, and somebody else enter presence channels.
func TestStrangerAtTheDoor(t *testing.T) {
	pushertest.Alone(t, "who tells webhooks does not know whose clients caused it")
	hook := pushertest.NewHook(t, func(*http.Request) int { time.Sleep(time.Millisecond); return 200 })
	app := pushertest.App()
	app.SubscribeRate = pusher.Rate{Limit: -1}
	app.Webhooks = []pusher.Webhook{hook.Webhook()}
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}, WebhookQueue: 80, WebhookHold: 50 * time.Millisecond})
	stranger, member := s.Dial(), s.Dial()
	for i := range 500 {
		channel := fmt.Sprint("junk-", i)
		stranger.Join(channel)
		stranger.Send(`{"event":"pusher:unsubscribe","data":{"channel":"` + channel + `"}}`)
		if i%50 == 0 {
			member.Subscribe(fmt.Sprint("presence-", i), `{"user_id":"1"}`)
			member.Read()
		}
	}
	pushertest.Eventually(t, "the events of presence channels", func() bool {
		all := hook.All()
		return strings.Count(all, `"channel":"presence-`) == 20
	})
	pushertest.Eventually(t, "every event to be accounted for", func() bool {
		c := s.Dialect.Stats().Counts
		return c["webhook sent"]+c["webhook dropped share"] == 20+2*500
	})
}

// TestWebhookNamesTheSend has the webhook of a client's event carry the event's id in a
// header of its own, which what watches and the log say too; its body is Pusher's.
func TestWebhookNamesTheSend(t *testing.T) {
	pushertest.Alone(t, "a send is watched, and told of in the log, where it is accepted")
	var mu sync.Mutex // guards ids
	var ids []string
	hook := pushertest.NewHook(t, func(r *http.Request) int {
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, strings.Join(r.Header["X-Poosh-Id"], "|"))
		return 200
	})
	app := pushertest.App()
	app.Webhooks = []pusher.Webhook{hook.Webhook()}
	app.Webhooks[0].EventTypes = []string{"client_event", "channel_occupied"}
	feed, log := sends.New(), new(logtest.Buffer)
	s := pushertest.NewLogged(t, pusher.Config{Apps: []pusher.App{app}, Sends: feed}, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	w, err := feed.Watch(sends.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	a := s.Dial()
	a.Subscribe("private-c", "")
	a.Read()
	a.Send(`{"event":"client-e","channel":"private-c","data":"x"}`)
	a.Quiet()
	pushertest.Eventually(t, "two webhooks", func() bool { return len(hook.Events()) == 2 })
	list, _ := w.Take()
	mu.Lock()
	defer mu.Unlock()
	if len(list) != 1 || len(ids) != 2 || ids[0] != "" || ids[1] != list[0].ID || list[0].Event != "client-e" || list[0].Handed != 0 {
		t.Errorf("headers %q, watched %+v", ids, list)
	}
	pushertest.Eventually(t, "the log of both", func() bool { return strings.Count(log.String(), ids[1]) == 2 })
	if text := log.String(); !strings.Contains(text, `msg="client event" dialect=pusher id=`+ids[1]) || !strings.Contains(text, "tries=1 ids="+ids[1]) {
		t.Error(text)
	}
}
