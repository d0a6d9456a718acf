package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/stalltest"
)

// endingTime is SHUTDOWN_TIMEOUT of these tests where the end needs it, and twice soon is
// where it does not.
const endingTime = 6 * time.Second

// A hang is something that does not end by itself when the server does.
type hang struct {
	name string
	// limit is how long the end may take with it: soon, or endingTime for what somebody
	// with a right to it still waits for.
	limit time.Duration
	begin func(e *ending)
	tls   bool // with TLS on the ports of clients
}

// What hangs costs itself alone: clients of every dialect are sent away as the
// protocol says, with what waited for them, webhooks are told, and the process exits
// well and in time.
func TestEndings(t *testing.T) {
	for _, h := range hangs() {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			timeout := endingTime
			if h.limit == soon {
				timeout = 2 * soon
			}
			e := newEnding(t, timeout, way{tls: h.tls})
			if h.begin != nil {
				h.begin(e)
			}
			for _, c := range append(e.living, &gathering{f: e.fourfold, d: pooshDialect(4), room: livingStreams}) {
				if err := c.publish(eventText(0, 1, 100)); err != nil {
					t.Fatal(err)
				}
			}
			began, stalled := time.Now(), stalltest.Watch(t)
			e.signal(syscall.SIGTERM)
			e.checkLiving()
			e.waitExit(patience)
			if took := time.Since(began) - stalled(); took > h.limit+time.Second {
				t.Errorf("the end took %v, want %v at most\n%s", took, h.limit, e.log.Tail())
			}
			for _, check := range e.after {
				check()
			}
			e.checkHooks()
			if code := e.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit code %d\n%s", code, e.log.Tail())
			}
			e.checkLog()
		})
	}
}

// An ending is a server with living clients of every dialect.
type ending struct {
	*fourfold
	t      *testing.T
	living []*gathering
	hooked *member    // the one client of an app with webhooks
	device *rawSocket // of Push Socket
	reads  []*eventStream
	hooks  *hookRecord // what a living endpoint was told
	after  []func()    // what is to be true at the end
}

// livingStreams is the room of an ending's streams.
const livingStreams = "living streams"

// hookedApp is an app with two webhooks: one that lives, and one that does not answer
// if the file says so.
func newEnding(t *testing.T, timeout time.Duration, w way) *ending {
	t.Helper()
	e := &ending{t: t, hooks: newHookRecord(t)}
	dir := t.TempDir()
	apps, script := filepath.Join(dir, "apps.json"), filepath.Join(dir, "script.js")
	dead := newSilentEndpoint(t)
	for path, text := range map[string]string{
		apps: `{"apps":[{"id":"` + pusherID + `","key":"` + pusherKey + `","secret":"` + pusherSecret + `"},
			{"id":"5","key":"hooked","secret":"another-secret-of-20","webhooks":[
			{"url":"` + dead + `","channel_prefix":"dead"},{"url":"` + e.hooks.url + `","channel_prefix":"living"}]}]}`,
		script: strings.Repeat("// a long script\n", 9<<20/17),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e.fourfold = w.start(t, "SHUTDOWN_TIMEOUT="+timeout.String(), "PUSHER_APPS="+apps,
		"PUSHER_APP_ID=", "PUSHER_APP_KEY=", "PUSHER_APP_SECRET=", "CLIENT_SCRIPT="+script)
	for _, d := range dialects() {
		k := kinds()[1]
		room := strings.ReplaceAll("living "+d.name, ", EIO ", "-")
		if d.name == "Pusher" {
			room = "living" // its names have no blanks
		}
		m, err := d.enter(e.fourfold, k, room)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		c := &gathering{f: e.fourfold, d: d, room: room, members: []*member{m}}
		c.settle(t)
		e.living = append(e.living, c)
	}
	e.reads = listeners(t, e.fourfold, livingStreams, 1)
	e.hooked = e.enterHooked("living")
	var err error
	if e.device, err = kinds()[1].open(e.fourfold, e.pushSocketPort, "/socket.io/?EIO=3&transport=websocket", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.device.Close() })
	if _, err := e.device.hearPrefix("40"); err != nil {
		t.Fatal(err)
	}
	return e
}

// enterHooked connects a client to the app with webhooks.
func (e *ending) enterHooked(channel string) *member {
	e.t.Helper()
	d := pusherDialect()
	d.target = func(string) string { return "/app/hooked?protocol=7" }
	m, err := d.enter(e.fourfold, kinds()[1], channel)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { m.Close() })
	return m
}

// checkLiving looks at how the clients are sent away.
func (e *ending) checkLiving() {
	e.t.Helper()
	var reading sync.WaitGroup
	for _, c := range e.living {
		for _, m := range c.members {
			reading.Go(func() {
				y := newTally(c.d)
				if err := m.readToEnd(y, patience, c.d.closes); err != nil || len(y.last) > 1 || y.count != 1 {
					e.t.Errorf("%s: %d events, %v", c.d.name, y.count, err)
				}
			})
		}
	}
	for what, m := range map[string]*member{"the app with webhooks": e.hooked, "Push Socket": {rawSocket: e.device}} {
		reading.Go(func() {
			code := map[bool]int{true: 4200, false: noCloseFrame}[m == e.hooked]
			if err := m.readToEnd(newTally(pusherDialect()), patience, code); err != nil {
				e.t.Errorf("%s: %v", what, err)
			}
		})
	}
	for _, s := range e.reads {
		reading.Go(func() {
			y := streamTally()
			if err := s.readToEnd(y, patience, "server shutdown"); err != nil || y.count != 1 {
				e.t.Errorf("/events, %s: %d events, %v", s.kind.name, y.count, err)
			}
			s.Close()
		})
	}
	reading.Wait()
}

// checkHooks looks at what the living endpoint was told.
func (e *ending) checkHooks() {
	e.t.Helper()
	want := []string{`{"name":"channel_occupied","channel":"living"}`, `{"name":"channel_vacated","channel":"living"}`}
	if got := e.hooks.all(); strings.Join(got, " ") != strings.Join(want, " ") {
		e.t.Errorf("the living webhook was told %s, want %s", got, want)
	}
}

// A hookRecord is a webhook endpoint that notes what it is told.
type hookRecord struct {
	url  string
	mu   sync.Mutex // guards told
	told []string
}

func newHookRecord(t *testing.T) *hookRecord {
	h := &hookRecord{}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Events []json.RawMessage }
		err := json.NewDecoder(r.Body).Decode(&body)
		h.mu.Lock()
		defer h.mu.Unlock()
		if err != nil {
			h.told = append(h.told, err.Error())
		}
		for _, event := range body.Events {
			h.told = append(h.told, string(event))
		}
	}))
	t.Cleanup(site.Close)
	h.url = site.URL
	return h
}

func (h *hookRecord) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.told...)
}

// newSilentEndpoint is a webhook endpoint that reads and never answers.
func newSilentEndpoint(t *testing.T) string {
	over := make(chan struct{})
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-over
	}))
	t.Cleanup(func() {
		close(over)
		site.Close()
	})
	return site.URL
}

// ports are those of the server by what they are called.
func (f *fourfold) ports() map[string]int {
	return map[string]int{"CLIENT_PORT": f.clientPort, "SERVER_PORT": f.serverPort, "PUSHER_PORT": f.pusherPort,
		"SOCKTOPUS_PORT": f.socktopusPort, "PUSH_SOCKET_PORT": f.pushSocketPort}
}

// The paths that senders and pollers post to, by port.
var posted = map[string]string{
	"CLIENT_PORT": "/socket.io/?EIO=3&transport=polling&sid=nobodys", "SERVER_PORT": "/send",
	"PUSHER_PORT": "/apps/" + pusherID + "/events", "SOCKTOPUS_PORT": "/send", "PUSH_SOCKET_PORT": "/api/v1/message/",
}

// announced is a request whose body does not come, but for its beginning.
func announced(path string, length int, begins string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: e2e.example\r\nContent-Type: application/json\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, strings.Repeat("0123456789", 4), length, begins)
}

// halfEvent is half of a request that would be taken if it were whole, where a signature is in
// the head or in the body.
func halfEvent(port string, length int) string {
	path, body := posted[port], `{"secretName":"`+socktopusName+`","secret":"`+socktopusSecret+`","messages":[{"recipient":"1","content":"`+strings.Repeat("x", length)+`"}]}`
	if port == "PUSHER_PORT" {
		body = `{"name":"n","channel":"c","data":"` + strings.Repeat("x", min(length, 9000)) + `"` + strings.Repeat(" ", max(0, length-9000)) + `}`
		path += "?" + auth.SignPusherQuery(pusherKey, pusherSecret, http.MethodPost, path, []byte(body), time.Now())
	}
	return announced(path, len(body), body[:len(body)/2])
}
