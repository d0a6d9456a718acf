package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"poosh/auth"
	"poosh/server/pusher/tally"
)

// A receiver stands for the address of a webhook.
type receiver struct {
	mu     sync.Mutex
	bodies []string
	at     []time.Time
	answer func(try int) (int, error)
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.Header.Get("X-Pusher-Signature") != auth.PusherSign(testSecret, string(body)) ||
		req.Header.Get("X-Pusher-Key") != testKey || req.Header.Get("Content-Type") != "application/json" || req.Header.Get("X-Mine") != "1" {
		return nil, fmt.Errorf("headers %v", req.Header)
	}
	r.bodies = append(r.bodies, string(body))
	r.at = append(r.at, time.Now())
	status, err := 200, error(nil)
	if r.answer != nil {
		status, err = r.answer(len(r.bodies))
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
}

// events is what the requests held, without their time.
func (r *receiver) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, b := range r.bodies {
		var body struct {
			TimeMS int64             `json:"time_ms"`
			Events []json.RawMessage `json:"events"`
		}
		if json.Unmarshal([]byte(b), &body) != nil || body.TimeMS == 0 {
			all = append(all, "bad body "+b)
		}
		var one []string
		for _, e := range body.Events {
			one = append(one, string(e))
		}
		all = append(all, strings.Join(one, "+"))
	}
	return all
}

// nobody is the network of what no client caused.
var nobody netip.Addr

// counters count by name.
type counters struct {
	mu     sync.Mutex // guards byName
	byName map[string]uint64
}

func (c *counters) add(what tally.Thing, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil {
		c.byName = make(map[string]uint64)
	}
	c.byName[what.String()] += uint64(n)
}

func (c *counters) all() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.byName)
}

// The app of the tests.
const (
	testKey    = "278d425bdf160c739803"
	testSecret = "7ad3773142a6692b25b8"
	testHold   = 3 * time.Second
)

// hooks are an app's webhooks before a receiver, with room for so many events; 0 for
// plenty.
func hooks(conf Config, queue int, answer func(int) (int, error)) (*Hooks, *receiver, *counters) {
	if queue == 0 {
		queue = 10_000
	}
	conf.URL, conf.Headers = "http://hook.test/", map[string]string{"X-Mine": "1"}
	counts := new(counters)
	w := New([]Config{conf}, Options{Key: testKey, Secret: testSecret, Queue: queue, Hold: testHold, Count: counts.add, Log: slog.New(slog.DiscardHandler)})
	r := &receiver{answer: answer}
	w.endpoints[0].client.Transport = r
	return w, r, counts
}

func TestWebhookEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, counts := hooks(Config{}, 0, nil)
		w.Occupied("c", nobody)
		w.MemberAdded("presence-c", "1", nobody)
		w.ClientEvent("id-1", "presence-c", "client-e", []byte(`{"a":1}`), "1.2", "1", nobody)
		w.ClientEvent("id-1", "presence-c", "client-e", []byte(`x`), "1.2", "", nobody)
		w.CacheMiss("cache-c", nobody)
		w.Subscriptions("c", 7, nobody)
		w.MemberRemoved("presence-c", "1", nobody)
		w.Vacated("c", nobody)
		synctest.Wait()
		want := []string{
			`{"name":"channel_occupied","channel":"c"}`,
			`{"name":"member_added","channel":"presence-c","user_id":"1"}`,
			`{"name":"client_event","channel":"presence-c","event":"client-e","data":"{\"a\":1}","socket_id":"1.2","user_id":"1"}`,
			`{"name":"client_event","channel":"presence-c","event":"client-e","data":"x","socket_id":"1.2"}`,
			`{"name":"cache_miss","channel":"cache-c"}`,
			`{"name":"subscription_count","channel":"c","subscription_count":7}`,
		}
		slices.Sort(want)
		got := r.events()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		time.Sleep(testHold - time.Millisecond)
		synctest.Wait()
		if len(r.events()) != len(want) {
			t.Error("departures are told before their time")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		got = r.events()[len(want):]
		slices.Sort(got)
		if !slices.Equal(got, []string{`{"name":"channel_vacated","channel":"c"}`, `{"name":"member_removed","channel":"presence-c","user_id":"1"}`}) {
			t.Errorf("sent %q", got)
		}
		if n := counts.all()["webhook sent"]; n != 8 {
			t.Errorf("%d are counted", n)
		}
	})
}

// TestDepartureAndReturn has a page reloaded: the app hears of neither.
func TestDepartureAndReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, _ := hooks(Config{}, 0, nil)
		w.Vacated("a", nobody)
		w.MemberRemoved("presence-b", "1", nobody)
		w.MemberRemoved("presence-b", "2", nobody)
		time.Sleep(time.Second)
		w.Occupied("a", nobody)
		w.MemberAdded("presence-b", "1", nobody)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := r.events(); !slices.Equal(got, []string{`{"name":"member_removed","channel":"presence-b","user_id":"2"}`}) {
			t.Errorf("sent %q", got)
		}
		w.Vacated("a", nobody)
		if err := w.Close(t.Context()); err != nil { // tells what is held back
			t.Error(err)
		}
		if got := r.events(); len(got) != 2 || !strings.Contains(got[1], "vacated") {
			t.Errorf("sent %q", got)
		}
		w.Occupied("late", nobody)
		if len(w.held) != 0 || w.queue.Len() != 0 || len(r.events()) != 2 {
			t.Error("something is kept after close")
		}
	})
}

// TestLastTry has an address come back while it is waited for, and the server end:
// nothing is lost for want of a try.
func TestLastTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		w, r, counts := hooks(Config{}, 0, func(int) (int, error) { return map[bool]int{true: 200, false: 503}[up.Load()], nil })
		for i := range 100 {
			w.Occupied(fmt.Sprint("c", i), nobody)
		}
		time.Sleep(20 * time.Second)
		up.Store(true)
		start := time.Now()
		if err := w.Close(t.Context()); err != nil || time.Since(start) > 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if c := counts.all(); c["webhook sent"] != 100 || c["webhook dropped end"] != 0 {
			t.Errorf("counts %v of %d requests", c, len(r.events()))
		}
	})
}

// TestWebhookRetries looks at how often and when a request is tried again.
func TestWebhookRetries(t *testing.T) {
	tests := []struct {
		name   string
		answer func(try int) (int, error)
		tries  [2]int // at least and at most
		count  string
	}{
		{"at once", func(int) (int, error) { return 204, nil }, [2]int{1, 1}, "webhook sent"},
		{"at the third try", func(try int) (int, error) { return map[bool]int{true: 500, false: 202}[try < 3], nil }, [2]int{3, 3}, "webhook sent"},
		{"after faults of the network", func(try int) (int, error) {
			if try < 3 {
				return 0, errors.New("no route")
			}
			return 200, nil
		}, [2]int{3, 3}, "webhook sent"},
		{"429 is for now", func(try int) (int, error) { return map[bool]int{true: 429, false: 200}[try < 2], nil }, [2]int{2, 2}, "webhook sent"},
		{"404 is for good", func(int) (int, error) { return 404, nil }, [2]int{1, 1}, "webhook refused"},
		{"a redirect is no answer", func(int) (int, error) { return 302, nil }, [2]int{1, 1}, "webhook refused"},
		{"never", func(int) (int, error) { return 503, nil }, [2]int{8, 14}, "webhook dropped tries"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r, counts := hooks(Config{}, 0, tt.answer)
				start := time.Now()
				w.Occupied("c", nobody)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if n := len(r.bodies); n < tt.tries[0] || n > tt.tries[1] {
					t.Errorf("%d tries", n)
				}
				for i, b := range r.bodies {
					if b != r.bodies[0] {
						t.Errorf("try %d has another body", i)
					}
					if late := r.at[i].Sub(start); late > retryFor {
						t.Errorf("try %d after %s", i, late)
					}
				}
				if counts.all()[tt.count] != 1 {
					t.Errorf("counts %v", counts.all())
				}
				if ep := w.endpoints[0]; ep.queue.all != (load{}) {
					t.Errorf("%+v is left", ep.queue.all)
				}
			})
		})
	}
}

// TestDeadWebhook has an address that never answers, and more events than may
// wait. Nobody waits for it, what is too much is counted, and the end is prompt.
func TestDeadWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, counts := hooks(Config{}, 100, func(int) (int, error) { return 500, nil })
		start := time.Now()
		for i := range 1000 {
			w.Occupied(fmt.Sprint("c", i), nobody)
		}
		if time.Since(start) != 0 {
			t.Error("somebody waited")
		}
		synctest.Wait()
		if n := len(r.events()); n > maxLanes || n < maxLanes/2 {
			t.Errorf("%d requests at once", n)
		}
		// Half of the queue is kept for signed channels, an eighth for cache channels.
		if n := counts.all()["webhook dropped full"]; n != 962 {
			t.Errorf("%d are dropped", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Close(ctx); err == nil || !strings.Contains(err.Error(), "38 events are not delivered") {
			t.Errorf("close gives %v", err)
		}
		// Each has had its last try, and nobody has waited for that.
		if n := len(r.events()); n < 38 || time.Since(start) > 100*time.Millisecond {
			t.Errorf("%d tries after %s", n, time.Since(start))
		}
		if counts.all()["webhook dropped end"] != 38 || time.Since(start) > 2*time.Second {
			t.Errorf("counts %v after %s", counts.all(), time.Since(start))
		}
	})
}

func TestWebhookBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, _ := hooks(Config{Batch: true}, 0, nil)
		for i := range 150 {
			w.Occupied(fmt.Sprint("c", i), nobody)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		got := r.events()
		if len(got) != 2 || strings.Count(got[0], "+") != 99 || strings.Count(got[1], "+") != 49 {
			t.Errorf("%d requests: %q", len(got), got)
		}
		if !strings.HasPrefix(got[0], `{"name":"channel_occupied","channel":"c0"}+{"name":"channel_occupied","channel":"c1"}`) {
			t.Errorf("not in order: %.100s", got[0])
		}
	})
}

// TestWebhookOrder has the events of a channel overtaken by no retry.
func TestWebhookOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, _ := hooks(Config{}, 0, func(try int) (int, error) { return map[bool]int{true: 500, false: 200}[try%3 == 1], nil })
		for i := range 20 {
			w.Subscriptions("c", i, nobody)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		last := -1
		for _, e := range r.events() {
			var got struct {
				N int `json:"subscription_count"`
			}
			if err := json.Unmarshal([]byte(e), &got); err != nil || got.N < last || got.N > last+1 {
				t.Fatalf("%d after %d", got.N, last)
			}
			last = got.N
		}
		if last != 19 {
			t.Errorf("the last is %d", last)
		}
	})
}

func TestWebhookFilter(t *testing.T) {
	tests := []struct {
		name          string
		conf          Config
		event, channe string
		want          bool
	}{
		{"all", Config{}, typeOccupied, "c", true},
		{"a type", Config{EventTypes: []string{typeVacated, typeOccupied}}, typeOccupied, "c", true},
		{"another type", Config{EventTypes: []string{typeVacated}}, typeOccupied, "c", false},
		{"a prefix", Config{ChannelPrefix: "presence-"}, typeOccupied, "presence-c", true},
		{"another prefix", Config{ChannelPrefix: "presence-"}, typeOccupied, "private-c", false},
		{"a suffix", Config{ChannelSuffix: "-x"}, typeOccupied, "c-x", true},
		{"another suffix", Config{ChannelSuffix: "-x"}, typeOccupied, "c-xy", false},
		{"a pattern", Config{ChannelRegexp: `^room-\d+$`}, typeOccupied, "room-12", true},
		{"another pattern", Config{ChannelRegexp: `^room-\d+$`}, typeOccupied, "room-x", false},
	}
	for _, tt := range tests {
		if got := newFilter(tt.conf).wants(tt.event, tt.channe); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestPanicInALane costs the events that were being sent: they are counted, and those behind
// them are sent.
func TestPanicInALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, counts := hooks(Config{}, 0, func(try int) (int, error) {
			if try == 1 {
				panic("asked to")
			}
			return 200, nil
		})
		w.Occupied("c", nobody)
		w.CacheMiss("c", nobody)
		time.Sleep(time.Minute)
		synctest.Wait()
		if c := counts.all(); c["webhook dropped panic"] != 1 || c["webhook sent"] != 1 {
			t.Errorf("counts %v", c)
		}
		if len(r.bodies) != 2 || !strings.Contains(r.bodies[1], "cache_miss") {
			t.Errorf("sent %v", r.bodies)
		}
		if ep := w.endpoints[0]; ep.queue.all != (load{}) {
			t.Errorf("%+v is left", ep.queue.all)
		}
		w.Occupied("d", nobody)
		if err := w.Close(context.Background()); err != nil || counts.all()["webhook sent"] != 2 {
			t.Errorf("the end: %v, counts %v", err, counts.all())
		}
	})
}
