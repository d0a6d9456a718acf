package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/logtest"
	"poosh/server/pushsocket/store/postgrestest"
	"poosh/test/process"
)

const (
	adminToken   = "operators of the cluster 0123456789"
	pusherSecret = "secret of the app 0123456789"
)

// An every node speaks all dialects.
type every struct {
	*node
	name                          string // as the others call it
	pusher, socktopus, pushSocket string // URLs
}

// threeOfAll starts three of them, and operators have a token.
func threeOfAll(t *testing.T, more ...string) (*redistest.Server, []*every) {
	t.Helper()
	redis, db := redistest.Start(t), postgrestest.Start(t, "fsync=off").Schema(t)
	list := make([]*every, 3)
	for i := range list {
		list[i] = startEvery(t, redis, append([]string{"PUSH_SOCKET_DB=" + db}, more...)...)
	}
	return redis, list
}

func startEvery(t *testing.T, redis *redistest.Server, more ...string) *every {
	t.Helper()
	n := &every{}
	env := append([]string{"ADMIN_TOKEN=" + adminToken, "PUSHER_APP_ID=1", "PUSHER_APP_KEY=key", "PUSHER_APP_SECRET=" + pusherSecret,
		"MYAPP_SOCKTOPUS_SECRET=" + socktopusSecret, "PUSH_SOCKET_REQUESTS=off"}, more...)
	for name, url := range map[string]*string{"PUSHER_PORT": &n.pusher, "SOCKTOPUS_PORT": &n.socktopus, "PUSH_SOCKET_PORT": &n.pushSocket} {
		if slices.Contains(env, name+"=") {
			continue // without it
		}
		port := process.FreePort(t)
		*url = fmt.Sprint("http://127.0.0.1:", port)
		env = append(env, name+"="+strconv.Itoa(port))
	}
	n.node = startNode(t, redis, env...)
	n.token = adminToken
	if slices.Contains(env, "ADMIN_TOKEN=") {
		n.token = ""
	}
	redistest.Until(t, "an overview", func() bool {
		_, text := n.get(t, "/api/overview")
		var is struct{ Cluster struct{ Node string } }
		_ = json.Unmarshal([]byte(text), &is)
		n.name = is.Cluster.Node
		return n.name != ""
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("node %s:\n%.6000s", n.name, n.Log())
		}
	})
	return n
}

func nodesOf(list []*every) (nodes []*node) {
	for _, n := range list {
		nodes = append(nodes, n.node)
	}
	return nodes
}

// command is a command of the program as an operator types it on the machine of a node.
func (n *node) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = os.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SERVER_SECRET=" + secret, "ADMIN_PORT=" + strconv.Itoa(n.admin), "ADMIN_TOKEN=" + n.token}
	if n.token == "" {
		cmd.Env = cmd.Env[:3]
	}
	return cmd
}

// poosh runs such a command.
func (n *node) poosh(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := n.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if strings.Contains(out.String()+errs.String(), adminToken) {
		t.Errorf("%v tells the token", args)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// kicked is what `poosh kick --json` prints.
type kicked struct {
	Kicked int
	Nodes  []struct {
		Node   string
		Kicked int
		Error  string
	}
}

// kick kicks at a node, and looks whether each node that answers tells what its own clients were.
func (n *every) kick(t *testing.T, wantCode int, args ...string) (k kicked, stderr string) {
	t.Helper()
	code, out, stderr := n.poosh(t, append([]string{"kick", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &k); err != nil || code != wantCode {
		t.Fatalf("kick %v: exit code %d, want %d: %s%s", args, code, wantCode, out, stderr)
	}
	sum := 0
	for _, at := range k.Nodes {
		sum += at.Kicked
	}
	if sum != k.Kicked || len(k.Nodes) > 0 && k.Nodes[0].Node != n.name && !strings.HasPrefix(args[0], "--node") {
		t.Errorf("kick %v: %+v", args, k)
	}
	return k, stderr
}

func (k *kicked) at(n *every) int {
	for _, at := range k.Nodes {
		if at.Node == n.name {
			return at.Kicked
		}
	}
	return -1
}

// countKicked is how many of a dialect count as kicked on a node.
func (n *every) countKicked(t *testing.T, dialect string) int {
	return n.metric(t, `poosh_closed_total{dialect="`+dialect+`",reason="kicked"}`)
}

// Clients of every dialect are closed on whatever nodes they are, by an operator of any of them; a node
// that is dead is named.
func TestOperatorsKick(t *testing.T) {
	redis, nodes := threeOfAll(t)
	a, b, c := nodes[0], nodes[1], nodes[2]
	w := watch(t, nodesOf(nodes), "r")
	in := w.drive()
	for i, n := range nodes {
		line, _ := json.Marshal(map[string]any{"op": "open", "id": fmt.Sprint("pusher ", i), "version": "pusher-js", "url": n.pusher,
			"options": map[string]any{"key": "key"}, "rooms": []string{"r"}})
		if _, err := in.Write(append(line, '\n')); err != nil {
			t.Fatal(err)
		}
		redistest.Until(t, "a client of Pusher", func() bool {
			_, text := n.get(t, "/api/rooms/one?dialect=pusher&app=1&room=r")
			return strings.Contains(text, `"connections":1`)
		})
	}
	tops := startDrive(t, "../socktopus")
	tops.do("join", "name", "one", "url", b.socktopus, "token", socktopusToken("one"))
	tops.do("join", "name", "two", "url", c.socktopus, "token", socktopusToken("two"))
	tops.synced("one", "two")
	devices := startDrive(t, "../pushsocket")
	for name, n := range map[string]*every{"phone": b, "tablet": c} {
		devices.do("register", "device", name, "url", n.pushSocket)
		devices.until(name+" to be registered", func() bool { return len(devices.texts(name, "registered")) > 0 })
		devices.connects(name, name, n.pushSocket, "4.8.1", "websocket")
	}

	t.Run("delivered", func(t *testing.T) {
		counts(t, nodes, map[string]int{"socket.io": len(versions) + 3, "pusher": 3, "socktopus": 1})
	})

	// One by its id, which another node has.
	if k, _ := a.kick(t, 0, "one"); k.Kicked != 1 || k.at(b) != 1 || len(k.Nodes) != 3 {
		t.Errorf("by id: %+v", k)
	}
	tops.ended("one")
	// Of one node, which is named from another one; nobody is there of the sort.
	if k, _ := a.kick(t, 5, "--node="+b.name, "--address", "127.0.0.1", "--dialect", "socktopus"); k.Kicked != 0 || len(k.Nodes) != 1 || k.at(b) != 0 {
		t.Errorf("of a node where nobody is: %+v", k)
	}
	// By address: all of a dialect, or of one node, by its address among the nodes.
	_, text := a.get(t, "/api/overview")
	var is struct {
		Cluster struct{ Nodes []struct{ Name, Addr string } }
	}
	if err := json.Unmarshal([]byte(text), &is); err != nil {
		t.Fatal(err)
	}
	for _, n := range is.Cluster.Nodes {
		if n.Name == c.name {
			if k, _ := b.kick(t, 0, "--node", n.Addr, "--address", "127.0.0.0/8", "--dialect", "push socket"); k.Kicked != 1 || k.at(c) != 1 {
				t.Errorf("of one node: %+v", k)
			}
		}
	}
	if k, _ := c.kick(t, 0, "--address", "127.0.0.1", "--dialect", "push socket"); k.Kicked != 1 || k.at(b) != 1 {
		t.Errorf("of one dialect: %+v", k)
	}
	// All of a room, in whatever dialect.
	k, _ := b.kick(t, 0, "--room", "r")
	if want := len(versions) + 3 + 3; k.Kicked != want { // streams of events, and Pusher
		t.Errorf("a room: %+v, want %d", k, want)
	}
	for _, n := range nodes {
		if k.at(n) < 4 {
			t.Errorf("a room: %+v", k)
		}
		redistest.Until(t, "all to be gone", func() bool {
			return n.countKicked(t, "socket.io")+n.countKicked(t, "pusher") == k.at(n)
		})
	}
	if code, out, stderr := a.poosh(t, "kick", "--room", "r"); code != 5 || out != fmt.Sprintf("0 closed\n  node %s: 0\n", a.name)+others(a, b, c) || !strings.Contains(stderr, "nobody was there") {
		t.Errorf("nobody: %d %q %q", code, out, stderr)
	}

	// A node without a token asks nobody else, and says so.
	lonely := startEvery(t, redis, "ADMIN_TOKEN=", "PUSH_SOCKET_PORT=")
	tops.do("join", "name", "three", "url", lonely.socktopus, "token", socktopusToken("three"))
	tops.synced("three")
	k, stderr := lonely.kick(t, 1, "--address", "127.0.0.1", "--dialect", "socktopus")
	if k.Kicked != 1 || strings.Count(stderr, "is not asked") != 3 {
		t.Errorf("without a token: %+v %s", k, stderr)
	}
	tops.ended("three")
	lonely.Terminate()

	// A node that is killed is named, and the others do what they are asked for.
	tops.do("join", "name", "four", "url", b.socktopus, "token", socktopusToken("four"))
	tops.synced("four", "two")
	c.Kill()
	k, stderr = a.kick(t, 1, "--address", "127.0.0.1", "--dialect", "socktopus")
	if k.at(b) != 1 || !strings.Contains(stderr, "node "+c.name+" ") {
		t.Errorf("a node is dead: %+v %s", k, stderr)
	}
	tops.ended("four")
	redistest.Until(t, "the others to know", func() bool { return a.metric(t, "poosh_cluster_nodes") == 2 })
	if k, _ := a.kick(t, 5, "--address", "127.0.0.1"); len(k.Nodes) != 2 {
		t.Errorf("a node is gone: %+v", k)
	}
}

// counts looks whether each node counts what it hands to its own clients, wherever that was sent.
func counts(t *testing.T, nodes []*every, each map[string]int) {
	sum := func(dialect string) (n int) {
		for _, of := range nodes {
			n += of.metric(t, `poosh_delivered_total{dialect="`+dialect+`"}`)
		}
		return n
	}
	forms := map[string]string{
		"socket.io": `"app":"poosh","secret":"` + secret + `","room":"r","event":"counted","payload":1`,
		"pusher":    `"app":"1","secret":"` + pusherSecret + `","room":"r","event":"counted","payload":"1"`,
		"socktopus": `"app":"myapp","secret":"` + socktopusSecret + `","room":"two","payload":"1"`,
	}
	for dialect, want := range each {
		before := sum(dialect)
		for _, n := range nodes {
			if status, text := n.post(t, "/api/send", `{"dialect":"`+dialect+`",`+forms[dialect]+`}`); status != 200 || !strings.Contains(text, `"status":200`) {
				t.Fatalf("%s: %d %s", dialect, status, text)
			}
		}
		want *= len(nodes)
		redistest.Until(t, fmt.Sprint(want, " copies of ", dialect), func() bool { return sum(dialect)-before >= want })
		if got := sum(dialect) - before; got != want {
			t.Errorf("%s: %d copies are counted, want %d", dialect, got, want)
		}
	}
}

// post asks the operators' port for something.
func (n *node) post(t *testing.T, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d%s", n.admin, path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+n.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// others are the lines of nodes that closed nobody, by name.
func others(here *every, list ...*every) (text string) {
	slices.SortFunc(list, func(a, b *every) int { return strings.Compare(a.name, b.name) })
	for _, n := range list {
		if n != here {
			text += fmt.Sprintf("  node %s: 0\n", n.name)
		}
	}
	return text
}

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
	if n := list[0].metric(t, "poosh_cluster_nodes"); n != 2 {
		t.Errorf("%d nodes", n)
	}
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
