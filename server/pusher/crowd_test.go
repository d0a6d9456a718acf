package pusher

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/loop"
)

// TestStalledReader has one subscriber that reads nothing while events are
// published. It is closed at its bound, and the others do not notice.
func TestStalledReader(t *testing.T) {
	s := newSite(t, Config{})
	stalled, well := s.dial(), s.dial()
	stalled.join("c")
	well.join("c")
	_ = stalled.ws.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	data := strings.Repeat("x", 10_000)
	for i := range 3000 {
		s.d.apps[testID].publish("c", "e", jsonString([]byte(data)), "")
		if f := well.read(); len(f.text()) != len(data) {
			t.Fatalf("event %d: %.100s", i, f)
		}
		if st := s.loop.Stats(); st.Queued+st.Blocked > 3<<20 {
			t.Fatalf("%d bytes wait", st.Queued+st.Blocked)
		}
	}
	eventually(t, "the slow one to be closed", func() bool { return s.loop.Stats().Closed[loop.ErrSlow] == 1 })
	well.quiet()
	if c, _ := s.hub.Count(s.d.apps[testID].hubName, "c"); c != 1 {
		t.Errorf("%d subscribers are left", c)
	}
}

// crowd connects n clients and subscribes each to a channel. Each counts the
// events that it reads until its connection ends.
func crowd(t testing.TB, s *site, n int, channel string, seen *atomic.Int64, others *atomic.Int64) (leave func()) {
	t.Helper()
	conns := make([]*websocket.Conn, n)
	dialer := websocket.Dialer{ReadBufferSize: 512, WriteBufferSize: 512, NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	var wg, readers sync.WaitGroup
	next := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range next {
				ws, _, err := dialer.Dial("ws"+strings.TrimPrefix(s.server.URL, "http")+"/app/"+testKey, nil)
				if err != nil {
					t.Error(err)
					continue
				}
				conns[i] = ws
				_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"pusher:subscribe","data":{"channel":"`+channel+`"}}`))
				for range 2 {
					if _, _, err := ws.ReadMessage(); err != nil {
						t.Error(err)
					}
				}
				readers.Go(func() { // ends with the connection
					for {
						_, data, err := ws.ReadMessage()
						if err != nil {
							return
						}
						if strings.HasPrefix(string(data), `{"event":"e"`) {
							seen.Add(1)
						} else {
							others.Add(1)
						}
					}
				})
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return func() {
		for _, ws := range conns {
			if ws != nil {
				_ = ws.Close()
			}
		}
		readers.Wait()
	}
}

// TestCrowd has 5,000 subscribers of one channel: each gets every event once, and
// is told of the number of subscribers now and then, not 5,000 times.
func TestCrowd(t *testing.T) {
	const clients, events = 5000, 20
	app := testApp()
	app.SubscriptionCount = true
	s := newSite(t, Config{Apps: []App{app}})
	var seen, others atomic.Int64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	leave := crowd(t, s, clients, "news", &seen, &others)
	runtime.ReadMemStats(&after)
	t.Logf("%d subscribed in %s; heap %d KB each, clients included", clients, time.Since(start).Round(time.Millisecond),
		(after.HeapInuse-before.HeapInuse)/clients/1024)
	if c, _ := s.hub.Count(s.d.apps[testID].hubName, "news"); c != clients {
		t.Fatalf("%d subscribers", c)
	}
	start = time.Now()
	for i := range events {
		s.trigger("news", "e", `{"n":`+strconv.Itoa(i)+`}`)
	}
	eventually(t, fmt.Sprint(clients*events, " deliveries"), func() bool { return seen.Load() >= clients*events })
	t.Logf("%d deliveries in %s", clients*events, time.Since(start).Round(time.Millisecond))
	leave()
	if got := seen.Load(); got != clients*events {
		t.Errorf("%d deliveries", got)
	}
	// One number for each of the first hundred, to those that were there; a few to all.
	if n := others.Load(); n > 100*countCrowd+20*clients {
		t.Errorf("%d other frames", n)
	}
	eventually(t, "all to be gone", func() bool { return s.d.Stats().Connections == 0 })
}

// TestDrain closes clients a few at a time, all with 4200, and takes no new ones.
func TestDrain(t *testing.T) {
	s := newSite(t, Config{})
	peers := make([]*peer, 40)
	for i := range peers {
		peers[i] = s.dial()
		peers[i].join("c")
	}
	s.trigger("c", "last", "1")
	done := make(chan error, 1)
	start := time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		done <- s.d.Shutdown(ctx)
	}()
	var first, last time.Duration
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(func() {
			_ = p.ws.SetReadDeadline(time.Now().Add(patience))
			_, data, err := p.ws.ReadMessage()
			if err != nil || !strings.Contains(string(data), "last") {
				t.Errorf("received %s, %v", data, err)
			}
			if err := farewell(p.ws); err != nil {
				t.Error(err)
			}
			at := time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			if first == 0 {
				first = at
			}
			first, last = min(first, at), max(last, at)
		})
	}
	wg.Wait()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if spread := last - first; spread < 50*time.Millisecond || spread > 3*time.Second {
		t.Errorf("closed between %s and %s", first, last)
	}
}

// TestComeAndGo opens, subscribes, signs in and cuts connections in every way;
// newSite then finds whether anything is left.
func TestComeAndGo(t *testing.T) {
	app := testApp()
	app.Watchlist, app.SubscriptionCount = true, true
	s := newSite(t, Config{Apps: []App{app}})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				p := s.dial()
				p.subscribe("presence-a", fmt.Sprintf(`{"user_id":%d}`, w))
				p.subscribe("b", "")
				p.signIn(fmt.Sprintf(`{"id":"%d","watchlist":["%d"]}`, w, (w+1)%8))
				p.subscribe("cache-c", "")
				switch i % 4 {
				case 0:
					_ = p.ws.NetConn().(*net.TCPConn).SetLinger(0)
				case 1:
					_ = p.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
				case 2:
					p.send(`{"event":"pusher:unsubscribe","data":{"channel":"b"}}`)
				}
				_ = p.ws.Close()
			}
		})
	}
	for i := range 200 {
		s.trigger("b", "e", strconv.Itoa(i))
		s.trigger("cache-c", "e", strconv.Itoa(i))
	}
	wg.Wait()
	eventually(t, "all to be gone", func() bool { return s.d.Stats().Connections == 0 })
}

// BenchmarkFanOut publishes to connections that share the process, from the
// request's door to the last read, and stops when all have read.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run("subs="+strconv.Itoa(n), func(b *testing.B) {
			s := newSite(b, Config{})
			var seen, others atomic.Int64
			leave := crowd(b, s, n, "news", &seen, &others)
			a, data := s.d.apps[testID], []byte(strings.Repeat("x", 100))
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				a.publish("news", "e", jsonString(data), "")
				for int64(i*n)-seen.Load() > int64(1000*n) { // do not outrun the outboxes
					runtime.Gosched()
				}
			}
			for want := int64(b.N * n); seen.Load() < want; {
				runtime.Gosched()
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/delivery")
			leave()
		})
	}
}

// BenchmarkSubscribe subscribes to a channel and leaves it, without a network.
func BenchmarkSubscribe(b *testing.B) {
	s := newSite(b, Config{})
	p := s.dial()
	c := s.d.apps[testID].all()[0]
	go func() { // ends with the connection
		for {
			if _, _, err := p.ws.ReadMessage(); err != nil {
				return
			}
		}
	}()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := c.enter("presence-a", kindOf("presence-a"), memberInfo{"1", emptyObject}); err != nil {
			b.Fatal(err)
		}
		c.leave("presence-a")
		for s.loop.Backlog() > 1<<19 {
			runtime.Gosched()
		}
	}
}
