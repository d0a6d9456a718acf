package server

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/pusher/pushertest"
)

// scraped are the numbers of a scrape, by name with labels.
type scraped map[string]float64

var sampleLine = regexp.MustCompile(`(?m)^([a-z_]+(?:\{.*\})?) (\S+)$`)

func (r *running) scrape(t *testing.T) scraped {
	t.Helper()
	w := httptest.NewRecorder()
	r.MetricsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	numbers := make(scraped)
	for _, m := range sampleLine.FindAllStringSubmatch(w.Body.String(), -1) {
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatalf("%s: %v", m[0], err)
		}
		numbers[m[1]] = n
	}
	if w.Code != http.StatusOK || len(numbers) < 100 {
		t.Fatalf("status %d, %d numbers", w.Code, len(numbers))
	}
	return numbers
}

// sum adds what has a name, whatever its labels, if they have all of these in them.
func (s scraped) sum(name string, with ...string) (total float64) {
	for line, n := range s {
		of, labels, _ := strings.Cut(line, "{")
		matches := of == name
		for _, w := range with {
			matches = matches && strings.Contains(labels, w)
		}
		if matches {
			total += n
		}
	}
	return total
}

// A visitor is a client of the churn, with what it is in.
type visitor struct {
	ws     *websocket.Conn
	in     map[string]bool // of Pusher
	rooms  map[string]bool // of Poosh
	device int             // of the Push Socket Protocol, that it authorized as; -1 for none
}

// A crowd churns: it keeps what must be true.
type crowd struct {
	*running
	t                       *testing.T
	pusher, socktopus, push string // ports of dialects

	socket  []*visitor // of Poosh
	pushers []*visitor // of Pusher
	pollers []*poller  // of Poosh and of the Push Socket Protocol
	members []*visitor // of Socktopus
	mail    []*visitor // of the Push Socket Protocol
	devices []device
	streams []*listening
	silent  []net.Conn // half-open: connected, and nothing was said
	came    int
}

func (c *crowd) dial(url string) *visitor {
	c.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	go func() { // ends with the connection
		for {
			if _, _, err := ws.ReadMessage(); err != nil {
				return
			}
		}
	}()
	c.came++
	return &visitor{ws: ws, in: make(map[string]bool), rooms: make(map[string]bool), device: -1}
}

func (v *visitor) say(text string) { _ = v.ws.WriteMessage(websocket.TextMessage, []byte(text)) }

// end ends a client in one of the ways in which they end.
func (v *visitor) end(how int) {
	switch how % 3 {
	case 0:
		_ = v.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
		_ = v.ws.Close()
	case 1:
		_ = v.ws.NetConn().Close()
	case 2: // reset
		_ = v.ws.NetConn().(*net.TCPConn).SetLinger(0)
		_ = v.ws.NetConn().Close()
	}
}

// channels are of every kind that needs no signature.
var channels = []string{"a", "b", "c", "cache-a", "cache-b"}

// step does one random thing.
func (c *crowd) step(random *rand.Rand) {
	pick := func(list []*visitor) *visitor { return list[random.IntN(len(list))] }
	switch n := random.IntN(18); {
	case n == 16 && len(c.streams) < 20:
		c.streams = append(c.streams, c.listen(random))
	case n == 17 && len(c.streams) > 0:
		c.streams[0].end(random.IntN(2))
		c.streams = c.streams[1:]
	case n >= 12:
		c.stepElsewhere(random)
	case n == 0 && len(c.socket) < 40:
		v := c.dial("ws://" + c.client + "/socket.io/?EIO=3&transport=websocket")
		c.socket = append(c.socket, v)
	case n == 1 && len(c.pushers) < 40:
		c.pushers = append(c.pushers, c.dial("ws://"+c.pusher+"/app/"+pushertest.Key+"?protocol=7"))
	case n == 2 && len(c.socket) > 0:
		c.socket = drop(random, c.socket)
	case n == 3 && len(c.pushers) > 0:
		c.pushers = drop(random, c.pushers)
	case n == 4 && len(c.silent) < 10:
		nc, err := net.Dial("tcp", []string{c.client, c.pusher, c.socktopus, c.push}[random.IntN(4)])
		if err != nil {
			c.t.Fatal(err)
		}
		c.silent = append(c.silent, nc)
	case n == 5 && len(c.silent) > 0:
		_ = c.silent[0].Close()
		c.silent = c.silent[1:]
	case n < 8 && len(c.socket) > 0:
		v, room := pick(c.socket), strconv.Itoa(random.IntN(20))
		v.say(`42["room","` + room + `"]`)
		v.rooms[room] = true
	case len(c.pushers) > 0:
		v, channel := pick(c.pushers), channels[random.IntN(len(channels))]
		if v.in[channel] {
			v.say(`{"event":"pusher:unsubscribe","data":{"channel":"` + channel + `"}}`)
			delete(v.in, channel)
		} else {
			v.say(`{"event":"pusher:subscribe","data":{"channel":"` + channel + `"}}`)
			v.in[channel] = true
		}
	}
}

// ask returns what the Pusher API answers.
func (c *crowd) ask(path string, into any) {
	c.t.Helper()
	req, err := http.NewRequest("GET", "http://"+c.pusher+pushertest.Sign("GET", "/apps/"+pushertest.ID+path, nil, ""), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Close = true // or the connection would count
	resp, err := impatient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if err := json.Unmarshal(text, into); err != nil || resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%d %s", resp.StatusCode, text)
	}
}

// sockets counts what the kernel has of connections to the server's ports.
func (c *crowd) sockets() (n int) {
	c.t.Helper()
	text, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		c.t.Fatal(err)
	}
	ours := make(map[string]bool)
	for _, number := range c.portNumbers() {
		p, _ := strconv.Atoi(number)
		ours[fmt.Sprintf("%04X", p)] = true
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 9 && f[9] != "0" && f[3] != "0A" { // has a descriptor, and does not listen
			_, port, _ := strings.Cut(f[1], ":")
			if ours[port] {
				n++
			}
		}
	}
	return n
}

// wrong compares a scrape with what is known otherwise, and says what differs.
func (c *crowd) wrong() (list []string) {
	differs := func(what string, got, want float64) {
		if got != want {
			list = append(list, fmt.Sprintf("%s is %v, want %v", what, got, want))
		}
	}
	var api struct {
		Connections int
		Channels    map[string]any
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		c.t.Fatal(err)
	}
	s := c.scrape(c.t)
	websockets := len(c.socket) + len(c.pushers) + len(c.members) + len(c.mail)
	differs("open files", s.sum("poosh_open_files"), float64(len(files)-1))
	differs("connections", s.sum("poosh_connections"), float64(c.sockets()))
	differs("HTTP connections", s.sum("poosh_http_connections"), float64(len(c.silent)+len(c.pollers)+len(c.streams)))
	differs("connections on goroutines", s.sum("poosh_goroutine_connections"), 0)
	c.ask("/connections", &api)
	c.ask("/channels", &api)
	differs("connected, of Pusher's API", s.sum("poosh_connected", `app_id="`+pushertest.ID+`"`), float64(api.Connections))
	differs("active channels, of Pusher's API", s.sum("poosh_active_channels", `app_id="`+pushertest.ID+`"`), float64(len(api.Channels)))
	differs("channels", s.sum("poosh_pusher_channels"), float64(len(api.Channels)))

	in, rooms := make(map[string]bool), make(map[string]bool)
	subscribed := 0
	for _, v := range c.pushers {
		for channel := range v.in {
			in[channel] = true
			subscribed++
		}
	}
	entered := 0
	enter := func(in map[string]bool) {
		for room := range in {
			rooms[room] = true
			entered++
		}
	}
	for _, v := range c.socket {
		enter(v.rooms)
	}
	for _, p := range c.pollers {
		enter(p.rooms)
	}
	for _, l := range c.streams {
		enter(l.rooms)
	}
	differs("Pusher's clients", s.sum("poosh_connected", `app_id="`+pushertest.ID+`"`), float64(len(c.pushers)))
	differs("clients of Socket.IO", s.sum("poosh_connected", `app_id="poosh"`), float64(len(c.socket)+c.on(c.client)+len(c.streams)))
	differs("streams", s.sum("poosh_clients", `transport="sse"`), float64(len(c.streams)))
	differs("sessions", s.sum("poosh_sessions"), float64(len(c.socket)+c.on(c.client)))
	differs("clients of Socktopus", s.sum("poosh_socktopus_clients"), float64(len(c.members)))
	differs("clients of Socktopus by app", s.sum("poosh_connected", `app_id="demo"`), float64(len(c.members)))
	differs("sessions of the Push Socket Protocol", s.sum("poosh_push_socket_sessions"), float64(len(c.mail)+c.on(c.push)))
	differs("clients of the Push Socket Protocol", s.sum("poosh_connected", `app_id="pushsocket"`), float64(len(c.mail)+c.on(c.push)))
	differs("devices of the Push Socket Protocol", s.sum("poosh_push_socket_devices"), float64(c.authorized()))
	differs("WebSockets", s.sum("poosh_websockets"), float64(websockets))
	differs("bytes that wait", s.sum("poosh_outbox_bytes"), s.sum("poosh_unfetched_bytes"))
	for kind, prefix := range map[string]string{"cache": "cache-", "public": ""} {
		n := 0
		for channel := range in {
			if strings.HasPrefix(channel, "cache-") == (prefix != "") {
				n++
			}
		}
		differs(kind+" channels", s.sum("poosh_active_channels", `app_id="`+pushertest.ID+`"`, `channel_type="`+kind+`"`), float64(n))
	}
	differs("rooms", s.sum("poosh_active_channels", `app_id="poosh"`), float64(len(rooms)))
	for _, app := range []string{"demo", "pushsocket"} {
		of := `app_id="` + app + `"`
		differs("those who came and did not go, of "+app, s.sum("poosh_new_connections_total", of)-s.sum("poosh_new_disconnections_total", of), s.sum("poosh_connected", of))
	}
	for app, n := range map[string]int{pushertest.ID: subscribed, "poosh": entered} {
		of := `app_id="` + app + `"`
		differs("subscriptions of "+app, s.sum("poosh_channel_subscriptions_total", of)-s.sum("poosh_channel_unsubscriptions_total", of), float64(n))
		differs("those who came and did not go, of "+app, s.sum("poosh_new_connections_total", of)-s.sum("poosh_new_disconnections_total", of), s.sum("poosh_connected", of))
	}
	differs("who came", s.sum("poosh_new_connections_total"), float64(c.came))
	differs("who left, by reason", s.sum("poosh_closed_total"), float64(c.came-websockets-len(c.pollers)-len(c.streams)))
	return list
}

// After thousands of clients that come, go, are cut off, say nothing, subscribe and
// unsubscribe, every number is what the API answers, what the kernel has, and what the
// clients did.
func TestMetricsAreTrueAfterChurn(t *testing.T) {
	r := run(t, map[string]string{"PUSHER_APP_ID": pushertest.ID, "PUSHER_APP_KEY": pushertest.Key, "PUSHER_APP_SECRET": pushertest.Secret,
		"PUSHER_PORT": "0", "PUSHER_SUBSCRIBE_RATE": "off",
		"DEMO_SOCKTOPUS_SECRET": socktopusSecret, "SOCKTOPUS_PORT": "0",
		"PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": filepath.Join(t.TempDir(), "x.db"), "PUSH_SOCKET_AUTH_TIMEOUT": "1h", "PUSH_SOCKET_REQUESTS": "off",
		// Nobody answers pings, or sends any, and who says nothing stays.
		"PING_TIMEOUT": "1h", "PING_INTERVAL": "1h", "PUSHER_ACTIVITY_TIMEOUT": "1h", "SOCKTOPUS_READ_TIMEOUT": "1h", "HEADER_TIMEOUT": "1h", "IDLE_TIMEOUT": "1h"}, nil)
	addrs := r.Addrs()
	c := &crowd{running: r, t: t, pusher: addrs["PUSHER_PORT"].String(), socktopus: addrs["SOCKTOPUS_PORT"].String(), push: addrs["PUSH_SOCKET_PORT"].String()}
	c.register(5)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range 5 {
		for range 2000 {
			c.step(random)
		}
		var wrong []string
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			if wrong = c.wrong(); len(wrong) == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("round %d, after %v:\n%s", round, patience, strings.Join(wrong, "\n"))
			}
		}
	}
	if latest := r.closed.Latest(10); len(latest) != 10 || latest[0].Dialect == "" || !latest[0].Network.IsValid() || latest[0].ID == "" {
		t.Errorf("of those who left %+v is known", latest)
	}
	for _, v := range slices.Concat(c.socket, c.pushers, c.members, c.mail) {
		v.end(1)
	}
	for _, p := range c.pollers {
		p.end(1)
	}
	for _, l := range c.streams {
		l.end(1)
	}
	for _, nc := range c.silent {
		_ = nc.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}
