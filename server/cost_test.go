package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/overview"
)

// crowded is a server with the operators' port, and half so many clients of each of two
// dialects.
func crowded(t testing.TB, clients int) *running {
	t.Helper()
	r := run(t, map[string]string{"ADMIN_PORT": "0", "ADMIN_TOKEN": operatorsToken, "PUSHER_PORT": "0", "PUSHER_APP_ID": "1",
		"PUSHER_APP_KEY": pusherKey, "PUSHER_APP_SECRET": pusherSecret, "MAX_CONNECTIONS": "8000", "MAX_CONNECTIONS_PER_ADDRESS": "8000"}, nil)
	for i := range clients {
		url := "ws://" + r.client + "/socket.io/?EIO=3&transport=websocket"
		if i%2 == 0 {
			url = "ws://" + r.Addrs()["PUSHER_PORT"].String() + "/app/" + pusherKey + "?protocol=7"
		}
		ws, _, err := websocket.DefaultDialer.Dial(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ws.Close() })
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		sum := 0
		for _, k := range overview.Of(overview.Moment{At: time.Now(), Readings: r.seconds()}, overview.Moment{}).Connections.By {
			sum += k.Count
		}
		if sum == clients {
			return r
		}
		if time.Now().After(end) {
			t.Fatalf("%d clients are counted of %d", sum, clients)
		}
	}
}

// second is what is done once a second for all who watch.
func (r *running) second() []byte {
	now := time.Now()
	text, err := json.Marshal(overview.Of(overview.Moment{At: now, Readings: r.seconds()}, overview.Moment{}))
	if err != nil {
		panic(err)
	}
	return text
}

// What is made once a second takes no more memory with many clients than with few.
func TestASecondOfManyClients(t *testing.T) {
	cost := func(clients int) (allocations float64, bytes int) {
		r := crowded(t, clients)
		defer func() {
			r.stop()
			if err := r.wait(t); err != nil {
				t.Error(err)
			}
		}()
		return testing.AllocsPerRun(200, func() { bytes = len(r.second()) }), bytes
	}
	few, fewBytes := cost(10)
	many, manyBytes := cost(1500)
	// Others run meanwhile, and numbers have more digits.
	if many > few+20 || manyBytes > fewBytes+200 {
		t.Errorf("%v allocations and %d bytes with few, %v and %d with many", few, fewBytes, many, manyBytes)
	}
}

// BenchmarkSecond is what is done once a second, by how many clients there are.
func BenchmarkSecond(b *testing.B) {
	for _, clients := range []int{100, 4000} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			r := crowded(b, clients)
			b.ReportAllocs()
			before, _ := cpuSeconds()
			for b.Loop() {
				r.second()
			}
			after, _ := cpuSeconds()
			b.ReportMetric((after-before)*1e9/float64(b.N), "cpu-ns/op")
			b.StopTimer()
			r.stop()
			<-r.ended
		})
	}
}

// BenchmarkScrape is what a scrape costs beside its connection: reading the numbers, and all
// of it. Processor time is told beside that on the clock, which others have a share of.
func BenchmarkScrape(b *testing.B) {
	r := crowded(b, 100)
	whole, request := r.MetricsHandler(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
	for name, scrape := range map[string]func(){
		"readings": func() { r.metrics() },
		"whole":    func() { whole.ServeHTTP(httptest.NewRecorder(), request) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before, _ := cpuSeconds()
			for b.Loop() {
				scrape()
			}
			after, _ := cpuSeconds()
			b.ReportMetric((after-before)*1e9/float64(b.N), "cpu-ns/op")
		})
	}
	b.StopTimer()
	r.stop()
	<-r.ended
}

// The sums by kind follow those who go, however they do, and those who change to a
// WebSocket.
func TestKindsAreThoseOfWhoIsThere(t *testing.T) {
	o := operated(t, nil)
	by := func() (all int) {
		for _, k := range overview.Of(overview.Moment{At: time.Now(), Readings: o.seconds()}, overview.Moment{}).Connections.By {
			all += k.Count
		}
		return all
	}
	connected := func() (all int) {
		for _, a := range o.inspectedConnected() {
			all += a
		}
		return all
	}
	var list []*websocket.Conn
	for range 5 {
		ws, _ := o.subscribe(t, "c")
		list = append(list, ws, o.listen(t, "r"), o.four(t, "r"))
	}
	for i := range 5 {
		list = append(list, o.joinSocktopus(t, fmt.Sprint(i)))
	}
	o.joinSocktopus(t, "0") // takes the place of one that is there
	until(t, "all are counted", func() bool { return by() == 20 && connected() == 20 })
	for i, ws := range list {
		(&visitor{ws: ws}).end(i)
	}
	until(t, "those who have gone are not", func() bool { return by() == 1 && connected() == 1 })
}

// inspectedConnected are the clients of each application.
func (o *operator) inspectedConnected() (list []int) {
	for _, a := range o.apps() {
		list = append(list, a.Connected)
	}
	return list
}
