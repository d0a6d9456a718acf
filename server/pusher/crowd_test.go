package pusher_test

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
	"poosh/server/pusher"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/pushertest"
)

// TestStalledReader has one subscriber that reads nothing while events are
// published. It is closed at its bound, and the others do not notice.
func TestStalledReader(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	stalled, well := s.Dial(), s.Dial()
	stalled.Join("c")
	well.Join("c")
	_ = stalled.WS.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	data := strings.Repeat("x", 10_000)
	for i := range 3000 {
		s.App().Publish("c", "e", protocol.JSONString([]byte(data)), "")
		if f := well.Read(); len(f.Text()) != len(data) {
			t.Fatalf("event %d: %.100s", i, f)
		}
		if st := s.Loop.Stats(); st.Queued+st.Blocked > 3<<20 {
			t.Fatalf("%d bytes wait", st.Queued+st.Blocked)
		}
	}
	pushertest.Eventually(t, "the slow one to be closed", func() bool { return s.Loop.Stats().Closed[loop.ErrSlow] == 1 })
	well.Quiet()
	if c, _ := s.App().Count("c"); c != 1 {
		t.Errorf("%d subscribers are left", c)
	}
}

// crowd connects n clients and subscribes each to a channel. Each counts the
// events that it reads until its connection ends.
func crowd(t testing.TB, s *pushertest.Site, n int, channel string, seen *atomic.Int64, others *atomic.Int64) (leave func()) {
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
				ws, _, err := dialer.Dial("ws"+strings.TrimPrefix(s.Server.URL, "http")+"/app/"+pushertest.Key, nil)
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
	app := pushertest.App()
	app.SubscriptionCount = true
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	var seen, others atomic.Int64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	leave := crowd(t, s, clients, "news", &seen, &others)
	runtime.ReadMemStats(&after)
	t.Logf("%d subscribed in %s; heap %d KB each, clients included", clients, time.Since(start).Round(time.Millisecond),
		(after.HeapInuse-before.HeapInuse)/clients/1024)
	if c, _ := s.App().Count("news"); c != clients {
		t.Fatalf("%d subscribers", c)
	}
	start = time.Now()
	for i := range events {
		s.Trigger("news", "e", `{"n":`+strconv.Itoa(i)+`}`)
	}
	pushertest.Eventually(t, fmt.Sprint(clients*events, " deliveries"), func() bool { return seen.Load() >= clients*events })
	t.Logf("%d deliveries in %s", clients*events, time.Since(start).Round(time.Millisecond))
	leave()
	if got := seen.Load(); got != clients*events {
		t.Errorf("%d deliveries", got)
	}
	// One number for each of the first hundred, to those that were there; a few to all.
	if n := others.Load(); n > 100*100+20*clients {
		t.Errorf("%d other frames", n)
	}
	pushertest.Eventually(t, "all to be gone", func() bool { return s.Dialect.Stats().Connections == 0 })
}

// TestDrain closes all clients with 4200, behind what waits for them.
func TestDrain(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	peers := make([]*pushertest.Peer, 40)
	for i := range peers {
		peers[i] = s.Dial()
		peers[i].Join("c")
	}
	s.Trigger("c", "last", "1")
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		done <- s.Dialect.Shutdown(ctx)
	}()
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(func() {
			_ = p.WS.SetReadDeadline(time.Now().Add(pushertest.Patience))
			_, data, err := p.WS.ReadMessage()
			if err != nil || !strings.Contains(string(data), "last") {
				t.Errorf("received %s, %v", data, err)
			}
			if err := farewell(p.WS); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestComeAndGo opens, subscribes, signs in and cuts connections in every way;
// newSite then finds whether anything is left.
func TestComeAndGo(t *testing.T) {
	app := pushertest.App()
	app.Watchlist, app.SubscriptionCount = true, true
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				p := s.Dial()
				p.Subscribe("presence-a", fmt.Sprintf(`{"user_id":%d}`, w))
				p.Subscribe("b", "")
				p.SignIn(fmt.Sprintf(`{"id":"%d","watchlist":["%d"]}`, w, (w+1)%8))
				p.Subscribe("cache-c", "")
				switch i % 4 {
				case 0:
					_ = p.WS.NetConn().(*net.TCPConn).SetLinger(0)
				case 1:
					_ = p.WS.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(pushertest.Patience))
				case 2:
					p.Send(`{"event":"pusher:unsubscribe","data":{"channel":"b"}}`)
				}
				_ = p.WS.Close()
			}
		})
	}
	for i := range 200 {
		s.Trigger("b", "e", strconv.Itoa(i))
		s.Trigger("cache-c", "e", strconv.Itoa(i))
	}
	wg.Wait()
	pushertest.Eventually(t, "all to be gone", func() bool { return s.Dialect.Stats().Connections == 0 })
}

// BenchmarkFanOut publishes to connections that share the process, from the
// request's door to the last read, and stops when all have read.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run("subs="+strconv.Itoa(n), func(b *testing.B) {
			s := pushertest.New(b, pusher.Config{})
			var seen, others atomic.Int64
			leave := crowd(b, s, n, "news", &seen, &others)
			a, data := s.App(), []byte(strings.Repeat("x", 100))
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				a.Publish("news", "e", protocol.JSONString(data), "")
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
