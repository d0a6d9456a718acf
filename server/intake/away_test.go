package intake

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// quick has a reader find a dead connection soon, but take none for dead that a busy machine keeps waiting.
func quick(c *Config) { c.ping, c.timeout = 100*time.Millisecond, 5*time.Second }

func TestRedisRestarted(t *testing.T) {
	s := redistest.Start(t, "--requirepass", "hush")
	b := read(t, "redis://:hush@"+s.Addr, quick)
	publish := func(text string) {
		t.Helper()
		conn := dialRedis(t, s.Addr)
		conn.say("AUTH hush", "PUBLISH p:x "+text)
	}
	b.connected(0)
	publish("one")
	b.want("one")
	for n := range 3 {
		killed := time.Now()
		s.Kill()
		redistest.Until(t, "the reader sees it", func() bool { return b.number("test_redis_connected") == 0 })
		if err := b.reader.Ready(t.Context()); err != nil && time.Since(killed) < blip {
			t.Errorf("in a blip: %v", err)
		}
		s.Run()
		b.connected(float64(n + 1))
		publish("again")
		b.want("again")
	}
	log := b.log.String()
	if strings.Contains(log, "hush") {
		t.Errorf("the log has a secret:\n%s", log)
	}
	if lost, back := strings.Count(log, "level=ERROR"), strings.Count(log, "again"); lost != 3 || back != 3 {
		t.Errorf("it went %d times and came back %d times:\n%s", lost, back, log)
	}
}

// TestHalfOpen: a connection that nobody has closed, and on which nothing comes any more, is found.
func TestHalfOpen(t *testing.T) {
	s := redistest.Start(t)
	w := redistest.NewWire(t, s.Addr)
	b := read(t, "redis://"+w.Addr, quick)
	b.connected(0)
	w.Hold()
	redistest.Until(t, "the reader sees it", func() bool { return b.number("test_redis_connected") == 0 })
	redistest.Until(t, "it counts as degraded", func() bool { return b.reader.Ready(t.Context()) != nil })
	w.Cut()
	w.Heal()
	b.connected(1)
	s.Do("PUBLISH", "p:x", "back")
	b.want("back")
	if err := b.reader.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNotThereYet: it starts without its Redis, and reads once that is there.
func TestNotThereYet(t *testing.T) {
	s := redistest.Start(t)
	s.Kill()
	b := read(t, "redis://"+s.Addr, quick)
	redistest.Until(t, "it is in the log", func() bool { return b.log.Count("level=ERROR") == 1 })
	s.Run()
	b.connected(0)
	s.Do("PUBLISH", "p:x", "one")
	b.want("one")
}

func TestTooLarge(t *testing.T) {
	s := redistest.Start(t)
	b := read(t, "redis://"+s.Addr, func(c *Config) { c.MaxMessage = 100 })
	b.connected(0)
	for _, size := range []int{101, 100, 20 << 20, 99} {
		s.Do("PUBLISH", "p:x", strings.Repeat("x", size))
	}
	b.want(strings.Repeat("x", 100), strings.Repeat("x", 99))
	if n := b.number("test_redis_dropped_total", "too_large"); n != 2 {
		t.Errorf("%v were dropped", n)
	}
	if n := b.log.Count("dropped a message"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
}

// TestSlower: where handing out does not keep up, little is kept here; Redis keeps what it may, and cuts.
func TestSlower(t *testing.T) {
	s := redistest.Start(t, "--client-output-buffer-limit", "pubsub 8mb 8mb 0")
	wait := make(chan struct{})
	b := read(t, "redis://"+s.Addr, func(c *Config) {
		c.ping, c.timeout = 100*time.Millisecond, time.Second
		read := c.Read
		c.Read = func(m Message) ([]*hub.Publication, string) {
			<-wait
			return read(m)
		}
	})
	b.connected(0)
	payload := strings.Repeat("x", 1<<20-1)
	for range 10 {
		s.Do("PUBLISH", "p:x", payload)
	}
	redistest.Until(t, "the queue is full", b.reader.queue.waits)
	if n := b.number("test_redis_waiting_bytes"); n > queueBytes {
		t.Errorf("%v bytes wait", n)
	}
	// It is silent since it waits itself, which is no end of the connection.
	time.Sleep(2500 * time.Millisecond)
	if n := b.number("test_redis_gaps_total"); n != 0 {
		t.Errorf("%v gaps", n)
	}
	for range 40 {
		s.Do("PUBLISH", "p:x", payload)
	}
	if clients := s.Do("CLIENT", "LIST", "TYPE", "pubsub"); clients != "" {
		t.Errorf("Redis has not cut who does not read: %s", clients)
	}
	close(wait)
	b.connected(1)
	s.Do("PUBLISH", "p:x", "last")
	for n := 0; ; n++ {
		select {
		case got := <-b.came:
			if got == "last" {
				if n > 20 || n < 4 {
					t.Errorf("%d came", n)
				}
				return
			}
		case <-time.After(patience):
			t.Fatal("the last does not come")
		}
	}
}

func TestEscapePattern(t *testing.T) {
	s := redistest.Start(t)
	prefix := `a*b[c-d]?\e^`
	b := read(t, "redis://"+s.Addr, func(c *Config) { c.Patterns = []string{EscapePattern(prefix) + "*"} })
	b.connected(0)
	for _, channel := range []string{"axb", `a*b[c-d]?\e^x`, `aab[c-d]?\e^x`, `a*bcx\e^x`, `a*bdxe^`, `a*b[c-d]x\e^`} {
		s.Do("PUBLISH", channel, channel)
	}
	s.Do("PUBLISH", prefix, "end")
	b.want(`a*b[c-d]?\e^x`, "end")
}

// TestRedisClusterAsSource: any server of it has all messages, and another one does where one is gone.
func TestRedisClusterAsSource(t *testing.T) {
	servers := redistest.Cluster(t)
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.Addr)
	}
	b := read(t, "redis://"+strings.Join(addrs, ","), quick)
	b.connected(0)
	for _, s := range servers {
		s.Do("PUBLISH", "p:x", s.Addr)
		b.want(s.Addr)
	}
	servers[0].Kill()
	b.connected(1)
	servers[2].Do("PUBLISH", "p:x", "on")
	b.want("on")
}

func TestReach(t *testing.T) {
	s := redistest.Start(t, "--requirepass", "hush")
	conn := dialRedis(t, s.Addr)
	conn.say("AUTH hush", "ACL SETUSER reads on >hushed resetchannels &p:* -@all +@connection +psubscribe +subscribe")
	_, free := redistest.FreePort(t)
	for _, c := range []struct{ url, pattern, want string }{
		{"redis://:hush@" + s.Addr, "p:*", ""},
		{"redis://reads:hushed@" + s.Addr, "p:*", ""},
		{"redis://reads:hushed@" + s.Addr, "q:*", "SETTING: redis://" + s.Addr + " lets nobody"},
		{"redis://:hus@" + s.Addr, "p:*", "does not let"},
		{"redis://" + s.Addr, "p:*", "does not let"},
		{"redis://:hush@127.0.0.1:" + free, "p:*", "is not there"},
		{"redis://:hush@127.0.0.1:" + free + "," + s.Addr, "p:*", ""},
	} {
		at, err := ParseAddress(c.url)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err = Reach(ctx, "SETTING", at, []string{c.pattern}, nil)
		cancel()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.url, err)
		}
		if err != nil && strings.Contains(err.Error(), "hus") {
			t.Errorf("%v has a secret", err)
		}
	}
}

// redisConn is a connection of a test, in the simple form of the protocol.
type redisConn struct {
	t    *testing.T
	conn net.Conn
}

func dialRedis(t *testing.T, addr string) redisConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return redisConn{t, conn}
}

func (c redisConn) say(lines ...string) {
	c.t.Helper()
	answer := make([]byte, 1024)
	for _, line := range lines {
		fmt.Fprintf(c.conn, "%s\r\n", line)
		n, err := c.conn.Read(answer)
		if err != nil || n == 0 || answer[0] == '-' {
			c.t.Fatalf("%s: %s %v", line, answer[:n], err)
		}
	}
}
