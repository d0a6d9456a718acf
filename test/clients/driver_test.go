package clients_test

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

// A driver is the process of one client.
type driver struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	fault *logtest.Buffer
	done  chan struct{} // closed when its reports have ended

	mu      sync.Mutex
	news    chan struct{} // closed and made anew with each report
	reports []report
}

// A report is one thing that a client saw. The text of an event is JSON.
type report struct{ Saw, Text string }

// drive starts a client; task is what its program reads. The process ends with the
// test at the latest.
func drive(t *testing.T, k kind, task map[string]any) *driver {
	t.Helper()
	d := &driver{t: t, fault: &logtest.Buffer{}, done: make(chan struct{}), news: make(chan struct{})}
	text, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	d.cmd = exec.Command(k.command[0], append(k.command[1:len(k.command):len(k.command)], string(text))...)
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
	t.Cleanup(d.kill)
	return d
}

func (d *driver) read(out io.Reader) {
	defer close(d.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			r = report{"print", lines.Text()} // some clients print by themselves
		}
		d.mu.Lock()
		d.reports = append(d.reports, r)
		close(d.news)
		d.news = make(chan struct{})
		d.mu.Unlock()
	}
}

// kill ends a process that has not ended.
func (d *driver) kill() {
	_ = d.cmd.Process.Kill()
	<-d.done
	_ = d.cmd.Wait()
	if d.t.Failed() {
		d.t.Logf("the client saw:%s", d.story())
		if text := d.fault.String(); text != "" {
			d.t.Logf("the client printed:\n%.3000s", text)
		}
	}
}

// end closes the driver's input and waits until it has gone by itself.
func (d *driver) end() {
	d.t.Helper()
	_ = d.in.Close()
	select {
	case <-d.done:
	case <-time.After(patience):
		d.t.Errorf("the client's process did not end in %v", patience)
	}
}

// say gives the driver a command.
func (d *driver) say(command string) {
	d.t.Helper()
	if _, err := io.WriteString(d.in, command+"\n"); err != nil {
		d.t.Fatalf("the client's process is gone: %v\n%s", err, d.fault)
	}
}

// seen are the texts of what the client saw of a kind.
func (d *driver) seen(saw string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var texts []string
	for _, r := range d.reports {
		if r.Saw == saw {
			texts = append(texts, r.Text)
		}
	}
	return texts
}

// story is all that the client saw, for a test that fails.
func (d *driver) story() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b strings.Builder
	for _, r := range d.reports {
		fmt.Fprintf(&b, "\n  %s %.300s", r.Saw, r.Text)
	}
	return b.String()
}

// wait waits until the client has seen n of a kind and returns their texts.
func (d *driver) wait(saw string, n int) []string {
	d.t.Helper()
	late := time.After(patience)
	for {
		d.mu.Lock()
		news := d.news
		d.mu.Unlock()
		if found := d.seen(saw); len(found) >= n {
			return found
		}
		select {
		case <-news:
		case <-d.done:
			if found := d.seen(saw); len(found) >= n {
				return found
			}
			d.t.Fatalf("the client ended before %d of %s", n, saw)
		case <-late:
			d.t.Fatalf("waited %v for %d of %s", patience, n, saw)
		}
	}
}
