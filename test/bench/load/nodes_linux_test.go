package load

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestPublisherSendsToEachNodeInTurn(t *testing.T) {
	var mu sync.Mutex // guards heard
	var heard []int   // the node of each event, by its number
	node := func(number int) netip.AddrPort {
		return answering(t, func(body string) string {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, number)
			if len(heard) == 3 { // it ends a connection, and is given another
				return "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
			}
			return answerOK
		})
	}
	p := publishersOf(t, PublisherConfig{Addr: node(0), Also: []netip.AddrPort{node(1), node(2)}, Publishers: 1})
	if sent := p.Run(0, 7, 0); sent.Err != nil || sent.Events != 7 {
		t.Fatalf("%+v", sent)
	}
	if want := []int{0, 1, 2, 0, 1, 2, 0}; !slices.Equal(heard, want) {
		t.Errorf("events went to the nodes %v, not %v", heard, want)
	}
}

func TestCrowdIsAtTwoNodesUntilOneIsDead(t *testing.T) {
	var mu sync.Mutex // guards conns
	conns := make([][]net.Conn, 2)
	node := func(number int) netip.AddrPort {
		return serve(t, func(nc net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			io.WriteString(nc, upgraded)
			nc.Write(say("40"))
			hear(r)
			mu.Lock()
			defer mu.Unlock()
			conns[number] = append(conns[number], nc)
		})
	}
	first, second := node(0), node(1)
	c, err := NewCrowd(Config{Addr: first, Also: []netip.AddrPort{second}, Protocol: EIO3, PayloadSize: 150})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Connect(5, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if c.At(first) != 3 || c.At(second) != 2 {
		t.Errorf("%d and %d clients at the nodes, want 3 and 2", c.At(first), c.At(second))
	}
	c.Expect(0, 0, 1)
	both := func() bool { mu.Lock(); defer mu.Unlock(); return len(conns[0]) == 3 && len(conns[1]) == 2 }
	if _, err := c.Pump(5*time.Second, both); err != nil {
		t.Fatal(err)
	}
	for _, nc := range conns[1] {
		nc.Close()
	}
	c.Forsake(second)
	if _, err := c.Pump(100*time.Millisecond, func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	if c.At(first) != 3 || c.At(second) != 0 || c.Lost() != nil {
		t.Errorf("%d and %d clients at the nodes, %v", c.At(first), c.At(second), c.Lost())
	}
	conns[0][0].Close()
	if _, err := c.Pump(5*time.Second, func() bool { return c.Lost() != nil }); err != nil || c.Lost() == nil {
		t.Errorf("a connection that ends at a living node is not noticed: %v", err)
	}
}

// A client that polls elsewhere begins at its node and asks the next for all else.
func TestPollingElsewhere(t *testing.T) {
	var mu sync.Mutex // guards heard
	var heard []string
	node := func(name, answer string) netip.AddrPort {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, name+" "+r.Method+" "+r.URL.Query().Get("sid"))
			io.WriteString(w, answer)
		}))
		t.Cleanup(s.Close)
		return netip.MustParseAddrPort(s.Listener.Addr().String())
	}
	first, second := node("first", `0{"sid":"s1"}`), node("second", "ok")
	cfg := Config{Addr: first, Also: []netip.AddrPort{second}, Protocol: Poll3, PayloadSize: 150, Elsewhere: true}
	c, err := NewCrowd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Connect(1, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"first GET ", "second POST s1"}; len(heard) < 2 || !slices.Equal(heard[:2], want) {
		t.Errorf("requests %q, want them to begin with %q", heard, want)
	}
	cfg.Protocol = EIO3
	if _, err := NewCrowd(cfg); err == nil {
		t.Error("a client with one connection is taken that moves")
	}
}
