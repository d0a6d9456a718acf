package pusher_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/logtest"
)

// at is when it was seen, by the clock of whoever saw it, cut to milliseconds.
func (r report) at() time.Time { return time.UnixMilli(r.At) }

// A driver is the Node process of drive/drive.js: clients, and the npm library.
type driver struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	fault *logtest.Buffer
	done  chan struct{} // closed when its reports have ended

	mu      sync.Mutex
	news    chan struct{}       // closed and made anew with each report
	reports map[string][]report // by the client's id
	calls   int
}

// A report is one thing that a client saw.
type report struct {
	ID      string `json:"id"`
	Saw     string `json:"saw"`
	Name    string `json:"name"`
	Text    string `json:"text"`
	Channel string `json:"channel"`

	At int64 `json:"at"` // milliseconds since 1970; zero from who does not say
}

func drive(t *testing.T, s *server) *driver {
	t.Helper()
	d := &driver{t: t, fault: &logtest.Buffer{}, done: make(chan struct{}), news: make(chan struct{}), reports: make(map[string][]report)}
	d.cmd = exec.Command("node", "drive/drive.js", s.settings(nil))
	d.cmd.Stderr = d.fault
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go d.read(out) // ends with the process
	t.Cleanup(d.stop)
	d.wait("", "ready", "", "", 1)
	return d
}

func (d *driver) read(out io.Reader) {
	defer close(d.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			r = report{Saw: "fault", Text: lines.Text()}
		}
		d.mu.Lock()
		d.reports[r.ID] = append(d.reports[r.ID], r)
		close(d.news)
		d.news = make(chan struct{})
		d.mu.Unlock()
	}
}

func (d *driver) stop() {
	_ = d.in.Close()
	select {
	case <-d.done:
	case <-time.After(patience):
		_ = d.cmd.Process.Kill()
		<-d.done
		d.t.Error("the driver did not end")
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("the driver ended with %v:\n%s", err, d.fault)
	}
	for _, r := range d.reports[""] {
		if r.Saw == "fault" {
			d.t.Errorf("driver: %s\n%s", r.Text, d.fault)
		}
	}
}

// lives fails the test if the driver has ended, of which [driver.stop] tells why.
func (d *driver) lives() {
	d.t.Helper()
	select {
	case <-d.done:
		d.t.Fatal("the driver has ended")
	default:
	}
}

func (d *driver) do(cmd map[string]any) {
	d.t.Helper()
	if _, err := io.WriteString(d.in, marshal(cmd)+"\n"); err != nil {
		d.t.Fatalf("the driver is gone: %v\n%s", err, d.fault)
	}
}

// seen returns the reports of a client so far. An empty saw, name or channel
// stands for any.
func (d *driver) seen(id, saw, name, channel string) []report {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []report
	for _, r := range d.reports[id] {
		if (saw == "" || r.Saw == saw) && (name == "" || r.Name == name) && (channel == "" || r.Channel == channel) {
			found = append(found, r)
		}
	}
	return found
}

// wait waits for n such reports and returns them.
func (d *driver) wait(id, saw, name, channel string, n int) []report {
	d.t.Helper()
	late := time.After(patience)
	for {
		d.mu.Lock()
		news := d.news
		d.mu.Unlock()
		if found := d.seen(id, saw, name, channel); len(found) >= n {
			return found
		}
		if f := d.seen("", "fault", "", ""); len(f) > 0 {
			d.t.Fatalf("driver: %s", f[0].Text)
		}
		select {
		case <-news:
		case <-d.done:
			d.t.Fatalf("the driver ended:\n%s", d.fault)
		case <-late:
			var story strings.Builder
			for _, r := range d.seen(id, "", "", "") {
				fmt.Fprintf(&story, "\n  %s %s %s %.300s", r.Saw, r.Name, r.Channel, r.Text)
			}
			d.t.Fatalf("%s: waited in vain for %d of %s %s %s; it saw%s", id, n, saw, name, channel, story.String())
		}
	}
}

// A client is a pusher-js of some version.
type client struct {
	*driver
	id      string
	version string
}

// way says how a client runs.
type way struct {
	name    string
	version string
	browser bool
}

// ways are the versions of pusher-js, and a browser.
var ways = []way{{"4.4.0", "4", false}, {"7.6.0", "7", false}, {"8.6.0", "8", false}, {"8.6.0 in Chromium", "8", true}}

// between are the versions that are as 4 and 7 are, but for what the plugin changes.
var between = []way{{"5.1.1", "5", false}, {"6.0.3", "6", false}}

// open starts a client of a user; auth is how a version says whom to ask.
func (d *driver) open(s *server, w way, id, user string, more map[string]any) *client {
	d.t.Helper()
	options := map[string]any{
		"wsHost": "127.0.0.1", "wsPort": s.port, "httpHost": "127.0.0.1", "httpPort": s.port,
		"forceTLS": false, "encrypted": false, "enabledTransports": []string{"ws"}, "disableStats": true, "cluster": "mt1",
	}
	if w.version == "8" {
		options["channelAuthorization"] = map[string]any{"endpoint": "SITE/auth", "transport": "ajax", "params": map[string]any{"user": user}}
		options["userAuthentication"] = map[string]any{"endpoint": "SITE/user", "transport": "ajax", "params": map[string]any{"user": user, "watch": "2,3"}}
		delete(options, "encrypted")
	} else {
		options["authEndpoint"] = "SITE/auth"
		options["auth"] = map[string]any{"params": map[string]any{"user": user}}
		if w.version == "7" {
			options["userAuthentication"] = map[string]any{"endpoint": "SITE/user", "transport": "ajax", "params": map[string]any{"user": user, "watch": "2,3"}}
		}
	}
	cmd := map[string]any{"op": "open", "id": id, "version": w.version, "key": appKey, "browser": w.browser, "options": options}
	for k, v := range more {
		if k == "echo" || k == "resume" || k == "page" || k == "quiet" || k == "leaves" {
			cmd[k] = v
		} else {
			options[k] = v
		}
	}
	d.do(cmd)
	return &client{d, id, w.version}
}

// dial opens a client and waits until it is connected.
func (d *driver) dial(s *server, w way, id, user string) *client {
	d.t.Helper()
	c := d.open(s, w, id, user, nil)
	c.wait("connected", "", 1)
	return c
}

func (c *client) wait(saw, name string, n int) []report {
	c.t.Helper()
	return c.driver.wait(c.id, saw, name, "", n)
}

func (c *client) op(op string, more ...any) {
	c.t.Helper()
	cmd := map[string]any{"op": op, "id": c.id}
	for i := 0; i < len(more); i += 2 {
		cmd[more[i].(string)] = more[i+1]
	}
	c.do(cmd)
}

// join subscribes and waits until that is confirmed.
func (c *client) join(channels ...string) {
	c.t.Helper()
	for _, channel := range channels {
		c.op("subscribe", "channel", channel)
		c.driver.wait(c.id, "channel", "pusher:subscription_succeeded", channel, 1)
	}
}

// events waits for n events of a name and returns their data as JSON.
func (c *client) events(channel, name string, n int) []string {
	c.t.Helper()
	var texts []string
	for _, r := range c.driver.wait(c.id, "channel", name, channel, n) {
		texts = append(texts, r.Text)
	}
	return texts
}

// connections returns the socket ids that the client has had.
func (c *client) connections(n int) []string {
	c.t.Helper()
	var ids []string
	for _, r := range c.wait("connected", "", n) {
		ids = append(ids, r.Name)
	}
	return ids
}

// call has the npm library do something and returns its answer.
func (d *driver) call(name string, args ...any) report {
	d.t.Helper()
	d.calls++
	id := fmt.Sprint("call ", d.calls)
	d.do(map[string]any{"op": "call", "id": id, "call": name, "args": args})
	return d.wait(id, "reply", "", "", 1)[0]
}
