package echo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

const (
	appKey = "0123456789abcdef0123456789abcdef"
	prefix = "laravel_database_"
)

// A server is the program with a Redis and an application.
type server struct {
	*process.Process
	redis *redistest.Server
	app   *application
	admin string // the URL of the operators' port, where there is one
}

// start starts all three.
func start(t *testing.T, more ...string) *server {
	t.Helper()
	s := &server{redis: redistest.Start(t), app: newApplication(t)}
	s.Process = process.Start(t, program, "ECHO_PORT", settings(s.redis, s.app.url, more...)...)
	showLog(t, s.Process)
	return s
}

func settings(redis *redistest.Server, auth string, more ...string) []string {
	return append([]string{"ECHO_REDIS=redis://" + redis.Addr, "ECHO_AUTH_URL=" + auth, "ECHO_KEYS=app:" + appKey, "GORACE=halt_on_error=0 atexit_sleep_ms=0"}, more...)
}

// showLog shows what a server has said if the test fails.
func showLog(t *testing.T, p *process.Process) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server at %s says\n%.6000s", p.Addr(), p.Log())
		}
	})
}

// A child is a program that is told lines and says lines.
type child struct {
	t     *testing.T
	name  string
	stdin io.WriteCloser
	lines chan string
}

func run(t *testing.T, name, what string, args ...string) *child {
	t.Helper()
	cmd := exec.Command(what, args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, name: name, stdin: stdin, lines: make(chan string, 100_000)}
	var reading sync.WaitGroup
	reading.Go(func() { // ends with the process
		defer close(c.lines)
		for in := bufio.NewReader(stdout); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			c.lines <- strings.TrimSuffix(line, "\n")
		}
	})
	t.Cleanup(func() {
		_ = stdin.Close()
		reading.Wait()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, &stderr)
		}
	})
	return c
}

func (c *child) tell(what any) {
	c.t.Helper()
	line, err := json.Marshal(what)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.stdin.Write(append(line, '\n')); err != nil {
		c.t.Fatalf("%s: %v", c.name, err)
	}
}

// within is the next line that comes in time; not ok for none.
func (c *child) within(limit time.Duration) (line string, ok bool) {
	c.t.Helper()
	select {
	case line, ok = <-c.lines:
		if !ok {
			c.t.Fatalf("%s has ended", c.name)
		}
		return line, true
	case <-time.After(limit):
		return "", false
	}
}

// A broadcaster publishes as Laravel does.
type broadcaster struct{ *child }

func newBroadcaster(t *testing.T, redis *redistest.Server, prefix string) *broadcaster {
	t.Helper()
	_, port, _ := strings.Cut(redis.Addr, ":")
	return &broadcaster{run(t, "php", "php", "broadcast.php", port, prefix)}
}

// A broadcast is an event of an application.
type broadcast struct {
	Channels []string `json:"channels"`
	Event    string   `json:"event"`
	Data     any      `json:"data"`
	Socket   *string  `json:"socket"`
	Old      bool     `json:"old"`
}

// send publishes an event and returns when Redis has it.
func (b *broadcaster) send(e broadcast) {
	b.t.Helper()
	b.tell(e)
	b.sent()
}

// sent returns when Redis has the next of the events that were told.
func (b *broadcaster) sent() {
	b.t.Helper()
	if line, ok := b.within(process.Patience); !ok || !strings.HasSuffix(line, ",null]") {
		b.t.Fatalf("phpredis says %s", line)
	}
}

// A page is one with Laravel Echo.
type page struct {
	*child
	id   string // of its socket, once it is connected
	here string // the last list of members
}

// open opens a page, whose user is the one of a number, and returns when it is connected.
func open(t *testing.T, url, echo, client string, user int, options ...string) *page {
	t.Helper()
	with := map[string]any{"transports": []string{"websocket"}, "auth": map[string]any{"headers": map[string]string{"Authorization": "Bearer " + strconv.Itoa(user)}}}
	for i := 0; i < len(options); i += 2 {
		with[options[i]] = json.RawMessage(options[i+1])
	}
	text, err := json.Marshal(with)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{child: run(t, fmt.Sprintf("page %d with %s and %s", user, echo, client), "node", "page.js", echo, client, url, string(text))}
	p.wants(`["ready"]`)
	p.connected()
	return p
}

// connected waits until it is.
func (p *page) connected() {
	p.t.Helper()
	line := p.next()
	for end := time.Now().Add(process.Patience); (strings.HasPrefix(line, `["failed",`) || line == `["disconnect"]`) && time.Now().Before(end); {
		line = p.next()
	}
	var said []string
	if json.Unmarshal([]byte(line), &said) != nil || len(said) != 2 || said[0] != "connect" || said[1] == "" {
		p.t.Fatalf("%s: %s, want it to connect", p.name, line)
	}
	p.id = said[1]
}

const probe = ".probe"

// next is the next thing that happens, but for probes, and for a list of members that it has
// already: a page that is given back what it was in, and subscribes anew, gets one for each.
func (p *page) next() string {
	p.t.Helper()
	for {
		line, ok := p.within(process.Patience)
		switch {
		case !ok:
			p.t.Fatalf("%s hears nothing", p.name)
		case !strings.Contains(line, strconv.Quote(probe)) && !p.known(line):
			return line
		}
	}
}

// known reports whether a line is the list of members that came last, again.
func (p *page) known(line string) bool {
	if !strings.HasPrefix(line, `["here",`) {
		return false
	}
	was := p.here
	p.here = line
	return line == was
}

// wants compares the next things that happen.
func (p *page) wants(lines ...string) {
	p.t.Helper()
	for _, want := range lines {
		if got := p.next(); got != want {
			p.t.Fatalf("%s: %s\nwant %s", p.name, got, want)
		}
	}
}

// join has it be in a channel, and listen to events.
func (p *page) join(kind, name string, events ...string) {
	p.t.Helper()
	p.tell([]any{"join", kind, name, append(events, probe)})
}

// hears returns when it is in a channel: it hears what is broadcast there. name is as Echo has
// it, and channel as Laravel has.
func (p *page) hears(b *broadcaster, name, channel string) {
	p.t.Helper()
	for end, n := time.Now().Add(process.Patience), 1; ; n++ {
		b.send(broadcast{Channels: []string{channel}, Event: "probe", Data: map[string]any{"n": n}})
		for {
			line, ok := p.within(200 * time.Millisecond)
			if !ok {
				break
			}
			if strings.HasPrefix(line, `["event",`+strconv.Quote(name)+`,".probe",`) {
				return
			}
			if !strings.Contains(line, strconv.Quote(probe)) && !p.known(line) {
				p.t.Fatalf("%s: %s, want a probe in %s", p.name, line, name)
			}
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s is not in %s", p.name, channel)
		}
	}
}
