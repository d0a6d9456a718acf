package emitter

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

const secret = "emitter secret 0123456789"

// A node is a process that reads events in a Redis.
type node struct {
	*process.Process // whose port is that of clients
	admin            int
}

func start(t *testing.T, redis *redistest.Server, more ...string) *node {
	t.Helper()
	n := &node{admin: process.FreePort(t)}
	n.Process = process.Start(t, program, "CLIENT_PORT", append([]string{
		"SERVER_PORT=" + strconv.Itoa(process.FreePort(t)), "SERVER_SECRET=" + secret, "ADMIN_PORT=" + strconv.Itoa(n.admin),
		"EMITTER_REDIS=redis://" + redis.Addr, "SHUTDOWN_TIMEOUT=10s", "GORACE=halt_on_error=0 atexit_sleep_ms=0"}, more...)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server:\n%.6000s", n.Log())
		}
	})
	n.reads(t)
	return n
}

// reads waits until the node has its subscription.
func (n *node) reads(t *testing.T) {
	t.Helper()
	redistest.Until(t, "the server reads from Redis", func() bool { return n.metric(t, "poosh_emitter_redis_connected") == 1 })
}

// metric is a number of the node; -1 where there is none.
func (n *node) metric(t *testing.T, name string) int {
	t.Helper()
	res, err := http.Get("http://127.0.0.1:" + strconv.Itoa(n.admin) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return process.Metric(t, string(text), name)
}

// A crowd is clients of every version on every transport, that are in the same rooms.
type crowd struct {
	t     *testing.T
	rooms []string
	input io.Closer
	done  chan struct{}

	mu   sync.Mutex // guards what follows
	saw  map[string][]string
	ids  map[string]string // of their sockets
	ends map[string]string // why they were disconnected
}

// listen starts clients, and waits until they are in their rooms: all have got an event of each.
func listen(t *testing.T, redis *redistest.Server, rooms []string, nodes ...*node) *crowd {
	t.Helper()
	names, _ := json.Marshal(rooms)
	args := []string{"listen.js", string(names)}
	for _, n := range nodes {
		args = append(args, n.URL())
	}
	c := &crowd{t: t, rooms: rooms, done: make(chan struct{}), saw: make(map[string][]string), ids: make(map[string]string), ends: make(map[string]string)}
	cmd := exec.Command("node", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.input, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with node
		defer close(c.done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			c.take(lines.Bytes())
		}
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		c.input.Close()
		<-c.done
	})
	redistest.Until(t, "all clients are there", func() bool { return c.count(c.ids) == 6*len(nodes) })
	for _, room := range append(slices.Clone(rooms), "") {
		redistest.Until(t, "all clients are in "+room, func() bool {
			publish(redis, room, "probe "+room)
			time.Sleep(20 * time.Millisecond)
			return c.all(func(list []string) bool { return slices.Contains(list, `["probe `+room+`"]`) })
		})
	}
	return c
}

func (c *crowd) take(line []byte) {
	var said struct {
		Client, Connected, Disconnected string
		Args                            json.RawMessage
	}
	if err := json.Unmarshal(line, &said); err != nil {
		c.t.Errorf("%s: %v", line, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case said.Args != nil:
		c.saw[said.Client] = append(c.saw[said.Client], string(said.Args))
	case said.Connected != "":
		c.ids[said.Client] = said.Connected
	default:
		c.ends[said.Client] = said.Disconnected
	}
}

func (c *crowd) count(of map[string]string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(of)
}

// all reports whether something is so of what each client saw.
func (c *crowd) all(is func(list []string) bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for client := range c.ids {
		if !is(c.saw[client]) {
			return false
		}
	}
	return true
}

// sees waits until all clients saw an event, and wants what they saw since to be a list, that with it.
func (c *crowd) sees(last string, want ...string) {
	c.t.Helper()
	for client, list := range c.until(last) {
		if !slices.Equal(list, append(slices.Clone(want), last)) {
			c.t.Errorf("%s in %v saw\n%s\nwant\n%s", client, c.rooms, strings.Join(list, "\n"), strings.Join(append(want, last), "\n"))
		}
	}
}

// until waits until all clients saw an event, and takes what each saw since, that with it.
func (c *crowd) until(last string) map[string][]string {
	c.t.Helper()
	redistest.Until(c.t, "all clients see "+last, func() bool { return c.all(func(list []string) bool { return slices.Contains(list, last) }) })
	c.mu.Lock()
	defer c.mu.Unlock()
	saw := c.saw
	c.saw = make(map[string][]string)
	for client, list := range saw {
		saw[client] = slices.DeleteFunc(list, func(s string) bool { return strings.HasPrefix(s, `["probe `) })
	}
	return saw
}

// unharmed wants nobody to have been disconnected.
func (c *crowd) unharmed() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ends) > 0 {
		c.t.Errorf("clients were disconnected: %v", c.ends)
	}
}

// publish publishes an event without arguments in the form of 0.x, to a room or to all.
func publish(redis *redistest.Server, room, event string) {
	redis.Do("PUBLISH", "socket.io#emitter", message(room, event))
}

// message is such an event.
func message(room, event string) string {
	rooms := "\x90"
	if room != "" {
		rooms = "\x91" + text(room)
	}
	return "\x92\x83" + text("type") + "\x02" + text("data") + "\x91" + text(event) + text("nsp") + text("/") +
		"\x82" + text("rooms") + rooms + text("flags") + "\x80"
}

// text is a text as msgpack.
func text(s string) string { return "\xd9" + string([]byte{byte(len(s))}) + s }

// An emission is rooms, excepted rooms, and arguments as emit.js reads them.
type emission = [3]any

func script(list ...emission) string {
	b, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func to(rooms ...string) []string { return append([]string{}, rooms...) }

// An emitter emits what a script says, and waits until Redis has it.
type emitter struct {
	name     string
	command  []string // port and script follow
	except   bool     // it knows that
	date     string   // what becomes of a date and of undefined; empty where it knows neither
	lists    bool     // buffers are texts, unless they are all that there is, and empty objects lists
	texts    bool     // it knows no other arguments
	shuffled bool     // the keys of objects have no order
}

var emitters = []emitter{
	{name: "socket.io-emitter 0.2.0", command: []string{"node", "emit.js", "0"}},
	{name: "socket.io-emitter 1.1.0", command: []string{"node", "emit.js", "1"}},
	{name: "socket.io-emitter 2.0.0", command: []string{"node", "emit.js", "2"}},
	{name: "socket.io-emitter 3.2.0", command: []string{"node", "emit.js", "3"}},
	{name: "redis-emitter 4.1.1", command: []string{"node", "emit.js", "4"}, except: true, date: `["date","2023-11-14T22:13:20.123Z",null,{}]`},
	{name: "redis-emitter 5.1.0", command: []string{"node", "emit.js", "5"}, except: true, date: `["date","2023-11-14T22:13:20.123Z",null,{}]`},
	{name: "Python", command: []string{python, "emit.py"}},
	{name: "PHP", command: []string{"php", "emit.php"}, lists: true},
	{name: "Go", command: []string{goEmitter}, except: true, date: `["date","2023-11-14T22:13:20.123Z",null,{"a":null}]`, shuffled: true},
	{name: "Rust", command: []string{rustEmitter}, texts: true},
}

// emitterOf is the one of a name.
func emitterOf(name string) *emitter {
	return &emitters[slices.IndexFunc(emitters, func(e emitter) bool { return e.name == name })]
}

func (e *emitter) emit(t *testing.T, redis *redistest.Server, list ...emission) {
	t.Helper()
	_, port, _ := strings.Cut(redis.Addr, ":")
	args := append(slices.Clone(e.command), port, script(list...))
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", e.name, err, out)
	}
}
