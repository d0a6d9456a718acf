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

	"poosh/server/cluster/redistest"
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
