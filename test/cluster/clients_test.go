package cluster

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/test/process"
)

// versions are those of socket.io-client, each with the way in which it connects.
var versions = []struct{ version, way string }{
	{"1.0.6", "websocket"}, {"1.2.1", "polling"}, {"1.3.4", "upgrade"}, {"1.3.7", "websocket"}, {"1.4.8", "websocket"}, {"1.5.1", "upgrade"},
	{"1.7.4", "polling"}, {"2.0.4", "upgrade"}, {"2.5.0", "websocket"}, {"3.1.3", "polling"}, {"4.0.1", "upgrade"}, {"4.5.4", "websocket"},
	{"4.6.2", "polling"}, {"4.8.1", "upgrade"},
}

// A watcher is everybody who listens, and what each has got.
type watcher struct {
	t *testing.T

	mu     sync.Mutex // guards what follows
	got    map[string][]string
	ended  map[string]string // who was disconnected, and why
	faults []string
	on     map[string]*node
}

// watch connects a client of each version, and a stream of events for each node, to a room. They
// are spread over the nodes. It returns once each has got something that was sent.
func watch(t *testing.T, nodes []*node, room string) *watcher {
	t.Helper()
	w := &watcher{t: t, got: make(map[string][]string), ended: make(map[string]string), on: make(map[string]*node)}
	in := w.drive()
	for i, v := range versions {
		n := nodes[i%len(nodes)]
		id := fmt.Sprintf("%s by %s", v.version, v.way)
		w.mu.Lock()
		w.on[id] = n
		w.mu.Unlock()
		line, err := json.Marshal(map[string]any{"op": "open", "id": id, "version": v.version, "way": v.way, "url": n.URL(),
			"listen": []string{"e", "here"}, "rooms": []string{room}, "quiet": true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range nodes {
		w.stream(fmt.Sprintf("stream %d", i+1), n, room)
	}
	w.until("somebody is not there", func() bool {
		if _, _, _, err := nodes[0].send(room, "here", "here"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // between two tries
		return len(w.got) == len(versions)+len(nodes)
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = make(map[string]string)
	return w
}

// drive starts what drives the clients of socket.io, which ends with the test.
func (w *watcher) drive() io.Writer {
	cmd := exec.Command("node", filepath.Join(clients, "drive", "node.js"))
	in, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends with the process
		defer close(done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			w.take(lines.Bytes())
		}
	}()
	w.t.Cleanup(func() {
		_ = in.Close()
		<-done
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("the clients: %v\n%s", err, errs.String())
		}
	})
	return in
}

// take notes what a client of socket.io reports.
func (w *watcher) take(line []byte) {
	var r struct{ ID, Saw, Name, Text string }
	err := json.Unmarshal(line, &r)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil || r.Saw == "fault":
		w.faults = append(w.faults, string(line))
	case r.Saw == "event":
		w.heard(r.ID, r.Text)
	case r.Saw == "disconnect":
		w.ended[r.ID] = r.Text
	}
}

// heard notes an event. mu is held.
func (w *watcher) heard(id, text string) {
	text, _, _ = strings.Cut(strings.Trim(text, `"[] `), `"`) // what is behind it is a position
	w.got[id] = append(w.got[id], text)
}

// stream has curl listen to a stream of events.
func (w *watcher) stream(id string, n *node, room string) {
	w.mu.Lock()
	w.on[id] = n
	w.mu.Unlock()
	cmd := exec.Command("curl", "-sN", n.URL()+"/events?room="+room)
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends with curl
		defer close(done)
		event := ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				event = name
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && !strings.HasPrefix(event, "poosh:") {
				w.mu.Lock()
				w.heard(id, data)
				w.mu.Unlock()
			}
		}
		w.mu.Lock()
		w.ended[id] = "the stream ended"
		w.mu.Unlock()
	}()
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
}

// until waits for something that is looked at with mu held, but for what it does itself.
func (w *watcher) until(what string, done func() bool) {
	w.t.Helper()
	for end := time.Now().Add(process.Patience); ; time.Sleep(20 * time.Millisecond) {
		w.mu.Lock()
		ok := done()
		w.mu.Unlock()
		if ok {
			return
		}
		if w.faulty() || time.Now().After(end) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for id, list := range w.got {
				w.t.Logf("%s: %d, the last %.60v", id, len(list), list[max(0, len(list)-2):])
			}
			w.t.Fatalf("%s: faults %v, ended %v", what, w.faults, w.ended)
		}
	}
}

// faulty reports whether the clients' process has a fault.
func (w *watcher) faulty() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.faults) > 0
}

// events are those of some senders that a client has got, in their order.
func events(list []string, senders ...*sender) (of []string) {
	for _, text := range list {
		if slices.ContainsFunc(senders, func(s *sender) bool { return strings.HasPrefix(text, s.name+"-") }) {
			of = append(of, text)
		}
	}
	return of
}

// agree waits until everybody who is on one of some nodes has all that senders were told is
// taken, and looks whether each has it once, all in one order, and that of each sender.
func (w *watcher) agree(nodes []*node, senders ...*sender) {
	w.t.Helper()
	var all, unsure []string
	for _, s := range senders {
		all, unsure = append(all, s.taken...), append(unsure, s.unsure...)
	}
	of := func(id string) bool { return slices.Contains(nodes, w.on[id]) }
	w.until("somebody lacks an event", func() bool {
		for id, list := range w.got {
			if has := events(list, senders...); of(id) && !containsAll(has, all) {
				return false
			}
		}
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	var first []string
	var who string
	for id, list := range w.got {
		if !of(id) {
			continue
		}
		has := events(list, senders...)
		if who == "" {
			first, who = has, id
		}
		if !slices.Equal(has, first) {
			w.t.Errorf("%s and %s have other orders: %s", who, id, difference(first, has))
		}
		for _, s := range senders {
			if own := events(has, s); !slices.IsSorted(own) || len(slices.Compact(slices.Clone(own))) != len(own) {
				w.t.Errorf("%s has those of %s out of order or twice", id, s.name)
			}
		}
		for _, text := range has {
			if !slices.Contains(all, text) && !slices.Contains(unsure, text) {
				w.t.Errorf("%s has %s, which was refused", id, text)
			}
		}
	}
	if who == "" || len(all) == 0 {
		w.t.Errorf("nobody was there, or nothing was sent: %q, %d", who, len(all))
	}
}

func containsAll(list, all []string) bool {
	has := make(map[string]bool, len(list))
	for _, text := range list {
		has[text] = true
	}
	for _, text := range all {
		if !has[text] {
			return false
		}
	}
	return true
}

// difference is where two lists part.
func difference(a, b []string) string {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("from %d of %d and %d on: %v and %v", i, len(a), len(b), a[i:min(i+3, len(a))], b[min(i, len(b)):min(i+3, len(b))])
		}
	}
	return "none"
}

// unharmed reports who on some nodes was disconnected.
func (w *watcher) unharmed(nodes []*node) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, why := range w.ended {
		if slices.Contains(nodes, w.on[id]) {
			w.t.Errorf("%s was disconnected: %s", id, why)
		}
	}
	if len(w.faults) > 0 {
		w.t.Errorf("faults: %v", w.faults)
	}
}
