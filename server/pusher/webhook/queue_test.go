package webhook

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/logtest"
)

// TestStrangersPushNothingOut has one stranger subscribe to 60,000 public channels
// and look at as many empty cache channels, while the webhook takes nothing. What
// happens on signed channels, and on public ones to others, arrives all the same.
func TestStrangersPushNothingOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		w, r, counts := hooks(Config{}, 1000, func(int) (int, error) { return map[bool]int{true: 503, false: 200}[down.Load()], nil })
		stranger, other := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("198.51.100.1")
		for i := range 60_000 {
			w.Occupied(fmt.Sprint("junk-", i), stranger)
			w.Occupied(fmt.Sprint("cache-junk-", i), stranger)
			w.CacheMiss(fmt.Sprint("cache-junk-", i), stranger)
			w.Vacated(fmt.Sprint("junk-", i), stranger)
		}
		const real = 40
		for i := range real {
			w.Occupied(fmt.Sprint("presence-", i), other)
			w.MemberAdded(fmt.Sprint("presence-", i), "1", other)
			w.ClientEvent("", fmt.Sprint("private-", i), "client-e", []byte("x"), "1.2", "", other)
			w.Occupied(fmt.Sprint("news-", i), other)
			w.CacheMiss(fmt.Sprint("cache-", i), other)
		}
		time.Sleep(5 * time.Second)
		down.Store(false)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		all := strings.Join(r.events(), "\n")
		for i := range real {
			for _, want := range []string{
				fmt.Sprintf(`{"name":"channel_occupied","channel":"presence-%d"}`, i),
				fmt.Sprintf(`{"name":"member_added","channel":"presence-%d","user_id":"1"}`, i),
				fmt.Sprintf(`"channel":"private-%d","event":"client-e"`, i),
				fmt.Sprintf(`{"name":"channel_occupied","channel":"news-%d"}`, i),
				fmt.Sprintf(`{"name":"cache_miss","channel":"cache-%d"}`, i),
			} {
				if !strings.Contains(all, want) {
					t.Errorf("%s did not arrive", want)
				}
			}
		}
		// Nothing is lost without a trace.
		total := counts.all()
		if got := total["webhook sent"] + total["webhook dropped share"] + total["webhook dropped full"]; got != 4*60_000+5*real {
			t.Errorf("%d of %d are accounted for: %v", got, 4*60_000+5*real, total)
		}
		if ep := w.endpoints[0]; ep.queue.all != (load{}) || ep.queue.of != [classes]load{} || len(ep.queue.shares) != 0 {
			t.Errorf("left: %+v", ep.queue)
		}
		if w.count != [classes]int{} || w.queue.Len() != 0 {
			t.Errorf("%v departures are held", w.count)
		}
	})
}

// TestHookTurns looks at the order in which one lane is sent.
func TestHookTurns(t *testing.T) {
	q := newQueue(1000, 1)
	for i := range 30 {
		for _, channel := range []string{"cache-c", "public", "private-s"} {
			if l, why := q.add(newEvent(typeOccupied, channel, nobody, [2]string{"n", fmt.Sprint(i)})); l == nil {
				t.Fatal(why)
			}
		}
	}
	var order strings.Builder
	last := map[string]int{"cache-c": -1, "public": -1, "private-s": -1}
	for {
		events := q.take(&q.lanes[0], 1)
		if len(events) == 0 {
			break
		}
		var n int
		e := events[0]
		if _, err := fmt.Sscanf(string(e.body[bytes.Index(e.body, []byte(`"n":"`)):]), `"n":"%d"`, &n); err != nil || n != last[e.channel]+1 {
			t.Fatalf("%d after %d, %v", n, last[e.channel], err)
		}
		last[e.channel] = n
		order.WriteByte(e.channel[1])
		q.done(events)
	}
	// r, u and a: private, public and cache channels.
	if got := order.String(); !strings.HasPrefix(got, "rurarurrurarur") || len(got) != 90 {
		t.Errorf("order %s", got)
	}
}

// TestHookShares fills a queue in different ways.
func TestHookShares(t *testing.T) {
	one, two := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
	tests := []struct {
		name    string
		channel string
		from    netip.Addr
		want    int // of 1000 events, with a queue of 80
		why     lossReason
	}{
		{"signed, of nobody", "presence-c", nobody, 50, lostFull},
		{"signed, of one network", "presence-c", one, 20, lostShare},
		{"public, of nobody", "c", nobody, 30, lostFull},
		{"public, of one network", "c", one, 10, lostShare},
		{"cached, of nobody", "cache-c", nobody, 20, lostFull},
		{"cached, of one network", "cache-c", one, 10, lostShare},
		{"private cache channels are signed", "private-cache-c", one, 20, lostShare},
	}
	for _, tt := range tests {
		q := newQueue(80, 4)
		took, why := 0, lossReason(0)
		for range 1000 {
			if l, no := q.add(event{channel: tt.channel, from: tt.from}); l != nil {
				took++
			} else {
				why = no
			}
		}
		if took != tt.want || why != tt.why {
			t.Errorf("%s: %d, then %q; want %d, %q", tt.name, took, why, tt.want, tt.why)
		}
		for _, other := range []string{"private-x", "x", "cache-x"} {
			if l, why := q.add(event{channel: other, from: two}); l == nil && classOf(other) != classOf(tt.channel) {
				t.Errorf("%s: nothing is kept for %s: %s", tt.name, other, why)
			}
		}
	}
	// Bytes are bounded as events are.
	q := newQueue(1_000_000, 4)
	n := 0
	for ; n < 1_000_000; n++ {
		if l, _ := q.add(event{channel: "private-c", from: one, body: make([]byte, 1<<10)}); l == nil {
			break
		}
	}
	if want := maxBytes / 4 >> 10; n != want {
		t.Errorf("%d KiB of one network, want %d", n, want)
	}
}

// TestLossesAreLogged has the log say how many events are lost and why, soon and
// then seldom.
func TestLossesAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := hooks(Config{}, 8, func(int) (int, error) { return 404, nil })
		ep := w.endpoints[0]
		var log logtest.Buffer
		ep.losses.log = slog.New(slog.NewTextHandler(&log, nil))
		lines := func() int { return strings.Count(log.String(), "webhook events are lost") }
		total := func() (sum int) {
			for _, m := range regexp.MustCompile(`(?:full|refused)"=(\d+)`).FindAllStringSubmatch(log.String(), -1) {
				n, _ := strconv.Atoi(m[1])
				sum += n
			}
			return sum
		}
		for i := range 1000 {
			w.Occupied(fmt.Sprint("c", i), nobody)
		}
		if lines() != 0 {
			t.Error("who publishes waits for the log")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := log.String(); lines() != 1 || !strings.Contains(got, `"webhook dropped full"=`) || !strings.Contains(got, `"webhook refused"=`) ||
			!strings.Contains(got, "status 404") || total() != 1000 {
			t.Errorf("logged %s", got)
		}
		for range 50 {
			w.Occupied("c", nobody)
			time.Sleep(time.Second)
		}
		if lines() != 1 {
			t.Errorf("%d lines in a minute", lines())
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if lines() != 2 || total() != 1050 {
			t.Errorf("logged %s", log.String())
		}
	})
}

// TestDeadWebhookCostsOnlyItself ends two webhooks, of which the first takes nothing.
func TestDeadWebhookCostsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := Config{URL: "http://hook.test/", Headers: map[string]string{"X-Mine": "1"}}
		counts := new(counters)
		w := New([]Config{conf, conf}, Options{Key: testKey, Secret: testSecret, Queue: 10_000, Hold: testHold, Count: counts.add, Log: slog.New(slog.DiscardHandler)})
		dead := &receiver{answer: func(int) (int, error) { return 503, nil }}
		good := &receiver{}
		w.endpoints[0].client.Transport, w.endpoints[1].client.Transport = dead, good
		for i := range 30 {
			w.Occupied(fmt.Sprint("c", i), nobody)
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := w.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "30 events are not delivered") || strings.Contains(err.Error(), "\n") {
			t.Errorf("close gives %v", err)
		}
		if took := time.Since(start); took > 2*time.Second+100*time.Millisecond {
			t.Errorf("close took %s", took)
		}
		if n := len(good.events()); n != 30 {
			t.Errorf("the good one has %d events", n)
		}
		if c := counts.all(); c["webhook dropped end"] != 30 || c["webhook sent"] != 30 {
			t.Errorf("counts %v", c)
		}
	})
}
