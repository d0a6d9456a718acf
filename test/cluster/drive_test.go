package cluster

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"poosh/test/process"
)

// A drive is a process of Node that has clients do what it is told, and reports what they see: drive.js
// of test/socktopus and test/pushsocket.
type drive struct {
	t  *testing.T
	in io.Writer

	mu   sync.Mutex // guards what follows
	seen map[string][]sight
}

// A sight is what a client saw.
type sight struct{ Saw, Text string }

// startDrive starts one in the directory of a test's clients. It ends with the test.
func startDrive(t *testing.T, dir string) *drive {
	t.Helper()
	cmd := exec.Command("node", "drive.js")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &drive{t: t, in: in, seen: make(map[string][]sight)}
	done := make(chan struct{})
	go func() { // ends with the process
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var r struct {
				Name string
				sight
			}
			err := json.Unmarshal(lines.Bytes(), &r)
			if err != nil {
				r.Name, r.Saw, r.Text = "the clients", "fault", lines.Text()
			}
			d.mu.Lock()
			d.seen[r.Name] = append(d.seen[r.Name], r.sight)
			d.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-done
		if err := cmd.Wait(); err != nil {
			t.Errorf("the clients: %v\n%s", err, errs.String())
		}
	})
	return d
}

// do tells the clients something; pairs are names and values.
func (d *drive) do(op string, pairs ...any) {
	d.t.Helper()
	what := map[string]any{"op": op}
	for i := 0; i < len(pairs); i += 2 {
		what[pairs[i].(string)] = pairs[i+1]
	}
	line, err := json.Marshal(what)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.in.Write(append(line, '\n')); err != nil {
		d.t.Fatal(err)
	}
}

// texts are what a client saw of a kind.
func (d *drive) texts(name, saw string) (texts []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.seen[name] {
		if s.Saw == saw {
			texts = append(texts, s.Text)
		}
	}
	return texts
}

// has reports whether a client saw something.
func (d *drive) has(name, saw, text string) bool { return slices.Contains(d.texts(name, saw), text) }

// until waits for something, and returns how long that took.
func (d *drive) until(what string, done func() bool) time.Duration {
	d.t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if done() {
			return time.Since(began)
		}
		if time.Since(began) > process.Patience {
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, name := range slices.Sorted(maps.Keys(d.seen)) {
				list := d.seen[name]
				d.t.Logf("%s saw %d, the last %.200v", name, len(list), list[max(0, len(list)-5):])
			}
			d.t.Fatalf("not within %v: %s", process.Patience, what)
		}
	}
}

// unless fails the test if one of some clients saw something.
func (d *drive) unless(saw string, names ...string) {
	d.t.Helper()
	for _, name := range names {
		if texts := d.texts(name, saw); len(texts) > 0 {
			d.t.Errorf("%s saw %s: %q", name, saw, texts)
		}
	}
}
