package cluster

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/logtest"
	"poosh/test/process"
)

// A following command prints while it runs.
type following struct {
	cmd            *exec.Cmd
	stdout, stderr *logtest.Buffer
}

func (n *node) follow(t *testing.T, args ...string) *following {
	t.Helper()
	f := &following{n.command(args...), &logtest.Buffer{}, &logtest.Buffer{}}
	f.cmd.Stdout, f.cmd.Stderr = f.stdout, f.stderr
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.cmd.Process.Kill()
		_ = f.cmd.Wait()
	})
	return f
}

// says waits until standard error has a text.
func (f *following) says(t *testing.T, text string) {
	t.Helper()
	redistest.Until(t, "tail to say "+text, func() bool { return strings.Contains(f.stderr.String(), text) })
}

// A tailed send.
type tailed struct{ Node, Room, Event, Payload string }

func (f *following) sends(t *testing.T) (list []tailed) {
	t.Helper()
	for line := range strings.Lines(f.stdout.String()) {
		var s tailed
		if !strings.HasSuffix(line, "\n") {
			break
		}
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, s)
	}
	return list
}

// One tail shows what all nodes take, each send once and those of a node in their order, and says which
// node comes and goes.
func TestOperatorsTail(t *testing.T) {
	redis, list := three(t, "ADMIN_TOKEN="+adminToken)
	for _, n := range list {
		n.token = adminToken
	}
	names := namesOf(t, list)
	const each = 60
	f := list[0].follow(t, "tail", "--json", "--room", "r", "--payload")
	here := list[1].follow(t, "tail", "--room", "r", "--node", "this", "--count", strconv.Itoa(each))
	for _, name := range names {
		f.says(t, "node "+name+": what it takes is shown")
	}
	here.says(t, "node "+names[1]+": what it takes is shown")
	send := func(nodes ...*node) {
		t.Helper()
		var senders []*sender
		for i, n := range nodes {
			senders = append(senders, n.sends(fmt.Sprint("s", i), "r", each), n.sends("x", "another", 10))
		}
		for _, s := range senders {
			if s.wait(t); s.statuses[200] == 0 {
				t.Errorf("%v", s.statuses)
			}
		}
	}
	send(list...)
	redistest.Until(t, "all sends", func() bool { return len(f.sends(t)) >= 3*each })
	of := make(map[string][]string)
	for _, s := range f.sends(t) {
		of[s.Node] = append(of[s.Node], s.Payload)
		if s.Room != "r" {
			t.Errorf("shown, and not asked for: %+v", s)
		}
	}
	for i, name := range names {
		if got := of[name]; len(got) != each || !slices.IsSorted(got) || got[0] != fmt.Sprintf("s%d-0001", i) {
			t.Errorf("of node %d: %d, %v", i, len(got), got)
		}
	}
	if err := here.cmd.Wait(); err != nil || strings.Count(here.stdout.String(), " "+names[1]+" socket.io e to \"r\", ") != each || strings.Count(here.stdout.String(), ", for all nodes ") != each || strings.Contains(here.stdout.String(), names[0]) {
		t.Errorf("of one node: %v\n%s%s", err, here.stdout.String(), here.stderr.String())
	}

	list[2].Kill()
	f.says(t, "node "+names[2]+": what it takes is not shown: it ")
	f.says(t, "node "+names[2]+" is gone")
	newer := startNode(t, redis, "ADMIN_TOKEN="+adminToken)
	newer.token = adminToken
	name := namesOf(t, []*node{newer})[0]
	f.says(t, "node "+name+": what it takes is shown")
	before := len(f.sends(t))
	send(newer)
	redistest.Until(t, "sends of the new node", func() bool { return len(f.sends(t)) == before+each })
	list[1].Terminate()
	f.says(t, "node "+names[1]+" is gone")
	list[0].Terminate()
	f.says(t, "connecting again in")
}

func namesOf(t *testing.T, nodes []*node) (names []string) {
	t.Helper()
	for _, n := range nodes {
		redistest.Until(t, "an overview of "+fmt.Sprint(len(nodes)), func() bool {
			_, text := n.get(t, "/api/overview")
			var is struct {
				Cluster struct {
					Node  string
					Nodes []struct{ Name string }
				}
			}
			_ = json.Unmarshal([]byte(text), &is)
			if is.Cluster.Node == "" || len(is.Cluster.Nodes) < len(nodes) {
				return false
			}
			names = append(names, is.Cluster.Node)
			return true
		})
	}
	return names
}

// A node is ended by its name from another one, while clients behind a balancer without stickiness move
// and miss nothing; the second one by its own command, and the last stays.
func TestOperatorsDrain(t *testing.T) {
	_, list := three(t, "ADMIN_TOKEN="+adminToken, "HISTORY=5m", "DRAIN_DELAY=2s")
	for _, n := range list {
		n.token = adminToken
	}
	names := namesOf(t, list)
	url := haproxyWith(t, list, " check inter 200ms fall 1 rise 1", " option httpchk GET /ready\n retries 3\n option redispatch\n")
	w := &watcher{t: t, got: make(map[string][]string), ended: make(map[string]string), on: make(map[string]*node)}
	in := w.drive()
	for _, v := range versions {
		id := v.version + " by " + v.way
		w.on[id] = list[0]
		line, _ := json.Marshal(map[string]any{"op": "open", "id": id, "version": v.version, "way": v.way, "url": url,
			"listen": []string{"e", "here"}, "since": []string{"r"}, "quiet": true})
		if _, err := in.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
	}
	w.until("somebody is not there", func() bool {
		if _, _, _, err := list[0].send("r", "here", "here"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // between two tries
		return len(w.got) == len(versions)
	})
	s := list[0].sends("a", "r", 0)
	code, out, stderr := list[0].poosh(t, "drain", "--node="+names[1], "--wait", "--json")
	if code != 0 || !strings.HasPrefix(out, `{"status":"ended","node":"`+names[1]+`",`) {
		t.Errorf("%d %s%s", code, out, stderr)
	}
	select {
	case <-list[1].Exited():
	case <-time.After(process.Patience):
		t.Fatal("the node that was named has not ended")
	}
	redistest.Until(t, "the others to be two", func() bool { return list[0].metric(t, "poosh_cluster_nodes") == 2 })
	if code, _, stderr := list[0].poosh(t, "drain", "--node="+names[1]); code != 1 || !strings.Contains(stderr, "is not there") {
		t.Errorf("once more: %d %s", code, stderr)
	}
	if code, out, stderr := list[2].poosh(t, "drain", "--wait"); code != 0 {
		t.Errorf("%d %s%s", code, out, stderr)
	}
	before := s.sent.Load()
	redistest.Until(t, "sends", func() bool { return s.sent.Load() > before+50 })
	s.stop(t)
	w.agree(list[:1], s)
	if len(w.faults) > 0 {
		t.Errorf("faults: %v", w.faults)
	}
}
