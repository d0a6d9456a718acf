package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/logtest"
)

// A driver is a Node process that runs socket.io clients, in itself or in
// Chromium, and reports what they see.
type driver struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	fault *logtest.Buffer
	done  chan struct{} // closed when its reports have ended

	mu      sync.Mutex
	changed *sync.Cond // something was reported
	clients map[string]*client
	reports []report // those of no client
	closing bool
}

// A report is one thing that a client saw.
type report struct {
	ID        string `json:"id"`
	Saw       string `json:"saw"`
	Name      string `json:"name"`
	Text      string `json:"text"`
	SID       string `json:"sid"`
	Transport string `json:"transport"`

	at time.Time // it was read
}

// A client is one socket.io client somewhere in a driver.
type client struct {
	d       *driver
	id      string
	version string
	way     string
	rooms   []string // joined at every connect
	reports []report // guarded by d.mu
}

// An opening says how a client connects.
type opening struct {
	Op      string   `json:"op"`
	ID      string   `json:"id"`
	Version string   `json:"version"`
	Way     string   `json:"way"`
	URL     string   `json:"url"`
	Listen  []string `json:"listen"`
	Rooms   []string `json:"rooms"`
	Since   []string `json:"since,omitempty"` // rooms that it joins with the last position it has seen
	// Confirmed are rooms that it joins until it has the answer, and anew when it is not
	// who it was.
	Confirmed []string       `json:"confirmed,omitempty"`
	Quiet     bool           `json:"quiet,omitempty"` // packets are not reported beside events
	Options   map[string]any `json:"options,omitempty"`
	// AuthDelay is how many milliseconds a client of 3.x or 4.x waits before it asks
	// for the namespace.
	AuthDelay int `json:"authDelay,omitempty"`

	HTML   string `json:"html,omitempty"`   // a whole page instead of the usual one
	Search string `json:"search,omitempty"` // behind that page's address: &name=value
}

func newDriver(t *testing.T) *driver {
	d := &driver{t: t, clients: make(map[string]*client), fault: &logtest.Buffer{}, done: make(chan struct{})}
	d.changed = sync.NewCond(&d.mu)
	return d
}

// drive starts npm/drive/<script> and ends it with the test.
func drive(t *testing.T, script string) *driver {
	t.Helper()
	d := newDriver(t)
	d.cmd = exec.Command("node", filepath.Join("npm", "drive", script))
	d.cmd.Stderr = d.fault
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", script, err)
	}
	go d.read(out)
	t.Cleanup(d.stop)
	return d
}

// read takes the reports until the process ends.
func (d *driver) read(out io.Reader) {
	defer close(d.done)
	lines := bufio.NewReaderSize(out, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var r report
		if err := json.Unmarshal(line, &r); err != nil {
			r = report{Saw: "fault", Text: fmt.Sprintf("%v in %.200q", err, line)}
		}
		d.take(r)
	}
	d.mu.Lock()
	if !d.closing {
		d.reports = append(d.reports, report{Saw: "fault", Text: "the driver ended"})
	}
	d.changed.Broadcast()
	d.mu.Unlock()
}

// take notes a report.
func (d *driver) take(r report) {
	r.at = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.clients[r.ID]; c != nil {
		c.reports = append(c.reports, r)
	} else {
		d.reports = append(d.reports, r)
	}
	d.changed.Broadcast()
}

// stop closes the clients by ending the process.
func (d *driver) stop() {
	d.mu.Lock()
	d.closing = true
	d.mu.Unlock()
	d.in.Close()
	select {
	case <-d.done:
	case <-time.After(patience):
		d.cmd.Process.Kill()
		<-d.done
		d.t.Errorf("the driver did not end in %v", patience)
	}
	d.cmd.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.reports {
		if r.Saw == "fault" {
			d.t.Errorf("driver: %s\n%s", r.Text, d.fault.Tail())
		}
	}
}

func (d *driver) command(c any) {
	d.t.Helper()
	line, err := json.Marshal(c)
	if err == nil {
		_, err = d.in.Write(append(line, '\n'))
	}
	if err != nil {
		d.t.Fatalf("command to the driver: %v\n%s", err, d.fault.Tail())
	}
}

// open starts a client; its id in messages is made of its version and way.
func (d *driver) open(o opening) *client {
	d.t.Helper()
	c := d.register(o.Version, o.Way)
	o.Op, o.ID, c.rooms = "open", c.id, o.Rooms
	d.command(o)
	return c
}

// register makes a client whose reports are to come under its id.
func (d *driver) register(version, way string) *client {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &client{d: d, id: version + " " + way, version: version, way: way}
	for n := 2; d.clients[c.id] != nil; n++ {
		c.id = fmt.Sprintf("%s %s %d", version, way, n)
	}
	d.clients[c.id] = c
	return c
}

func (c *client) emit(args ...any) {
	c.d.t.Helper()
	c.d.command(map[string]any{"op": "emit", "id": c.id, "args": args})
}

func (c *client) close() {
	c.d.t.Helper()
	c.d.command(map[string]any{"op": "close", "id": c.id})
}

// leave takes a page away, as a visitor who closes the tab does.
func (c *client) leave() {
	c.d.t.Helper()
	c.d.command(map[string]any{"op": "leave", "id": c.id})
}

// reload loads a page anew, as its visitor does.
func (c *client) reload() {
	c.d.t.Helper()
	c.d.command(map[string]any{"op": "reload", "id": c.id})
}

// shows waits until the page of a client shows a text.
func (c *client) shows(t *testing.T, text string) {
	t.Helper()
	var page string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		asked := len(c.seen("text"))
		c.d.command(map[string]any{"op": "text", "id": c.id})
		texts := c.wait(t, "text", asked+1)
		if page = texts[len(texts)-1].Text; strings.Contains(page, text) {
			return
		}
	}
	t.Fatalf("%s: waited %v for the page to show %q, it shows %q", c.id, patience, text, page)
}

// seen returns the reports of one kind so far.
func (c *client) seen(saw string) []report {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	return c.seenLocked(saw)
}

func (c *client) seenLocked(saw string) []report {
	var found []report
	for _, r := range c.reports {
		if r.Saw == saw {
			found = append(found, r)
		}
	}
	return found
}

// wait waits until n reports of a kind are there and returns them.
func (c *client) wait(t *testing.T, saw string, n int) []report {
	t.Helper()
	return c.waitFor(t, fmt.Sprintf("%d of %q", n, saw), func() []report {
		if found := c.seenLocked(saw); len(found) >= n {
			return found
		}
		return nil
	})
}

// events waits until n events of a name have come and returns their arguments.
func (c *client) events(t *testing.T, name string, n int) []string {
	t.Helper()
	found := c.waitFor(t, fmt.Sprintf("%d events %q", n, name), func() []report {
		if found := c.named(name); len(found) >= n {
			return found
		}
		return nil
	})
	var texts []string
	for _, r := range found {
		texts = append(texts, r.Text)
	}
	return texts
}

// named is the events of a name so far; the driver's lock is held.
func (c *client) named(name string) []report {
	var found []report
	for _, r := range c.seenLocked("event") {
		if r.Name == name {
			found = append(found, r)
		}
	}
	return found
}

// waitFor waits until look, called with the lock held, returns something.
func (c *client) waitFor(t *testing.T, what string, look func() []report) []report {
	t.Helper()
	d := c.d
	late := false
	timer := time.AfterFunc(patience, func() {
		d.mu.Lock()
		late = true
		d.changed.Broadcast()
		d.mu.Unlock()
	})
	defer timer.Stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if found := look(); found != nil {
			return found
		}
		for _, r := range d.reports {
			if r.Saw == "fault" {
				t.Fatalf("client %s, waiting for %s: driver: %s", c.id, what, r.Text)
			}
		}
		if late {
			t.Fatalf("client %s: waited %v for %s; it saw %s", c.id, patience, what, c.story())
		}
		d.changed.Wait()
	}
}

// story tells in short what a client saw; the driver's lock is held.
func (c *client) story() string {
	var b strings.Builder
	for _, r := range c.reports {
		fmt.Fprintf(&b, "\n  %s %s %s %.120s", r.Saw, r.Name, r.Transport, r.Text)
	}
	if b.Len() == 0 {
		return "nothing"
	}
	text := b.String()
	return text[max(0, len(text)-4000):]
}
