package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/logtest"
	"poosh/test/process"
)

// Clients of every version and in every way come through balancers without stickiness to three
// nodes, so that most requests of a session come to another node than its own: none is
// refused, nothing is lost or comes twice, and everything is in order.
func TestAnyBalancer(t *testing.T) {
	redis := redistest.Start(t)
	var nodes []*server
	for range 3 {
		nodes = append(nodes, start(t, "CLUSTER_REDIS=redis://"+redis.Addr, "CLUSTER_TIMEOUT=5s", "SHUTDOWN_TIMEOUT=5s", "TRUSTED_PROXIES=127.0.0.0/8"))
	}
	node, pages := drive(t, "node.js"), drive(t, "browser.js")
	var all []*client
	through := make(map[*client]string)
	var streams []*eventStream // one at each node, of each balancer
	for name, port := range map[string]int{"nginx": throughNginx(t, nodes), "haproxy": throughHaproxy(t, nodes)} {
		open := func(d *driver, version, way string) {
			c := d.open(opening{Version: version, Way: way, URL: "http://" + addr(port), Listen: []string{"ready", "e"}, Rooms: []string{"r"}})
			all, through[c] = append(all, c), name
		}
		for _, version := range versions {
			for _, way := range []string{"polling", "websocket", "upgrade"} {
				open(node, version, way)
			}
		}
		for _, version := range []string{"1.0.6", "1.7.4", "2.5.0"} {
			open(pages, version, "jsonp")
		}
		open(pages, "1.3.4", "upgrade")
		open(pages, "4.8.1", "upgrade")
		for range nodes {
			streams = append(streams, streamThrough(t, port, "r"))
		}
	}
	for _, c := range all {
		c.wait(t, "connect", 1)
		if c.way == "upgrade" {
			c.wait(t, "upgrade", 1)
		}
	}
	for i, deadline := 0, time.Now().Add(patience); ; i++ { // until all have joined
		publish(t, nodes[i%3], "ready", i)
		missing := 0
		for _, c := range all {
			c.d.mu.Lock()
			if len(c.named("ready")) == 0 {
				missing++
			}
			c.d.mu.Unlock()
		}
		if missing == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d heard nothing", missing, len(all))
		}
		time.Sleep(20 * time.Millisecond)
	}
	const n = 200
	for i := range n {
		publish(t, nodes[i%3], "e", i)
	}
	for _, c := range all {
		for i, text := range c.events(t, "e", n) {
			if text != fmt.Sprintf("[%d]", i) {
				t.Errorf("%s through %s: event %d is %s", c.id, through[c], i, text)
				break
			}
		}
		for _, kind := range []string{"disconnect", "error"} {
			if seen := c.seen(kind); len(seen) > 0 {
				t.Errorf("%s through %s: %s %q", c.id, through[c], kind, seen[0].Text)
			}
		}
	}
	for i, s := range streams {
		for got := 0; got < n; {
			name, data, err := s.nextEvent(patience)
			if err != nil || name == "e" && data != strconv.Itoa(got) {
				t.Errorf("stream %d: event %d is %s %s, %v", i, got, name, data, err)
				break
			}
			if name == "e" {
				got++
			}
		}
	}
	for i, s := range nodes {
		answered, upgraded, failed := passedOn(t, s)
		if answered < 20 || upgraded < 1 || failed > 0 {
			t.Errorf("node %d passed %d requests and %d WebSockets on, and %d failed", i, answered, upgraded, failed)
		}
	}
	for _, c := range all {
		if c.d == pages {
			c.leave()
		} else {
			c.close()
		}
	}
}

// streamThrough is a stream of the events of a room by a balancer, from which they come.
func streamThrough(t *testing.T, port int, room string) *eventStream {
	t.Helper()
	c, err := net.Dial("tcp", addr(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s := &eventStream{rawSocket: &rawSocket{c, bufio.NewReaderSize(c, 1<<10)}, kind: streamKind{version: "1.1"}}
	if err := s.begin(room); err != nil {
		t.Fatalf("GET /events through a balancer: %v", err)
	}
	return s
}

// publish sends one numbered event by a node.
func publish(t *testing.T, s *server, event string, i int) {
	t.Helper()
	if a := s.post(t, body("r", event, strconv.Itoa(i)), token(strconv.Itoa(i))); a.status != 200 {
		t.Fatalf("POST /send: %d %q", a.status, a.body)
	}
}

var passedLine = regexp.MustCompile(`passed=.*?map\[([^\]]*)\]`)

// passedOn is what a node says of the requests that it passed on.
func passedOn(t *testing.T, s *server) (answered, upgraded, failed int) {
	t.Helper()
	before := strings.Count(s.log.String(), "msg=status")
	s.signal(syscall.SIGUSR1)
	eventually(t, patience, "the status", func() bool { return strings.Count(s.log.String(), "msg=status") > before }, s.log.String)
	text := s.log.String()
	m := passedLine.FindStringSubmatch(text[strings.LastIndex(text, "msg=status"):])
	if m == nil {
		t.Fatalf("nothing of what was passed on in %s", s.log.Tail())
	}
	for _, pair := range strings.Fields(m[1]) {
		name, number, _ := strings.Cut(pair, ":")
		n, _ := strconv.Atoi(number)
		switch name {
		case "answered":
			answered = n
		case "upgraded":
			upgraded = n
		case "failed", "full", "unknown":
			failed += n
		}
	}
	return answered, upgraded, failed
}

// throughNginx puts nginx in front of nodes, which each get the next request.
func throughNginx(t *testing.T, nodes []*server) int {
	t.Helper()
	listen := freePort(t)
	var b strings.Builder
	b.WriteString("map $http_upgrade $connection_of { default upgrade; '' ''; }\nupstream poosh {\n")
	for _, s := range nodes {
		fmt.Fprintf(&b, "server %s;\n", addr(s.clientPort))
	}
	fmt.Fprintf(&b, `}
server { listen %s; location / { proxy_pass http://poosh; proxy_http_version 1.1; proxy_set_header Host $host;
proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_of; proxy_set_header X-Forwarded-For $remote_addr;
proxy_read_timeout 300s; proxy_buffering off; } }
`, addr(listen))
	startNginx(t, t.TempDir(), b.String(), listen)
	return listen
}

// throughHaproxy is the same with haproxy.
func throughHaproxy(t *testing.T, nodes []*server) int {
	t.Helper()
	listen := freePort(t)
	var b strings.Builder
	fmt.Fprintf(&b, "global\n maxconn 4096\ndefaults\n mode http\n timeout connect 5s\n timeout client 300s\n timeout server 300s\n timeout tunnel 300s\n option forwardfor\nlisten poosh\n bind %s\n balance roundrobin\n", addr(listen))
	for i, s := range nodes {
		fmt.Fprintf(&b, " server n%d %s\n", i, addr(s.clientPort))
	}
	conf := filepath.Join(t.TempDir(), "haproxy.conf")
	if err := os.WriteFile(conf, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &logtest.Buffer{}
	cmd := exec.Command("haproxy", "-db", "-f", conf)
	cmd.Stdout, cmd.Stderr = said, said
	if err := process.StartBound(cmd, syscall.SIGKILL); err != nil {
		t.Fatalf("haproxy: %v: apt-get install haproxy", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	eventually(t, patience, "haproxy to listen", func() bool { return listening(listen) }, said.String)
	return listen
}
