package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/logtest"
	"poosh/server/pushsocket/store/postgrestest"
	"poosh/test/process"
)

// soon is how long mail may take that another node stored: far less than until a mailbox is looked at
// for which nobody rang, which is 30 seconds at the least.
const soon = 20 * time.Second

// pushSocket starts three nodes that share a database, and what drives their devices.
func pushSocket(t *testing.T) (*redistest.Server, []*node, *drive) {
	t.Helper()
	db := postgrestest.Start(t, "fsync=off").Schema(t)
	redis, nodes := threeDialects(t, "PUSH_SOCKET_PORT", "PUSH_SOCKET_DB="+db, "PUSH_SOCKET_REQUESTS=off", "TRUSTED_PROXIES=127.0.0.0/8")
	return redis, nodes, startDrive(t, "../pushsocket")
}

// haproxy is a balancer without stickiness in front of nodes; its address is returned. server is more
// that it is told of each node, and more of all.
func haproxy(t *testing.T, nodes []*node) string { return haproxyWith(t, nodes, "", "") }

func haproxyWith(t *testing.T, nodes []*node, server, more string) string {
	t.Helper()
	return "http://" + haproxyAt(t, addrsOf(nodes), server, more)
}

// haproxyAt is one in front of some addresses; its own is returned.
func haproxyAt(t *testing.T, addrs []string, server, more string) string {
	t.Helper()
	addr := fmt.Sprint("127.0.0.1:", process.FreePort(t))
	conf := "global\n maxconn 4096\ndefaults\n mode http\n timeout connect 5s\n timeout client 300s\n timeout server 300s\n timeout tunnel 300s\n option forwardfor\nlisten poosh\n bind " + addr + "\n balance roundrobin\n" + more
	for i, at := range addrs {
		conf += fmt.Sprintf(" server n%d %s%s\n", i, at, server)
	}
	path := filepath.Join(t.TempDir(), "haproxy.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &logtest.Buffer{}
	cmd := exec.Command("haproxy", "-db", "-f", path)
	cmd.Stdout, cmd.Stderr = said, said
	if err := process.StartBound(cmd, syscall.SIGKILL); err != nil {
		t.Fatalf("haproxy: %v: apt-get install haproxy", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy:\n%s", said.String())
		}
	})
	redistest.Until(t, "haproxy", func() bool {
		return exec.Command("curl", "-s", "-o", os.DevNull, "http://"+addr).Run() == nil
	})
	return addr
}

// registers makes a device up, at a node.
func (d *drive) registers(device string, n *node) {
	d.t.Helper()
	d.do("register", "device", device, "url", n.URL())
	d.until(device+" to be registered", func() bool { return len(d.texts(device, "registered")) > 0 })
}

// connects has a device connect, and waits until it is authorized.
func (d *drive) connects(name, device, url, version, way string) {
	d.t.Helper()
	d.do("connect", "name", name, "device", device, "url", url, "version", version, "way", way, "confirm", true)
	d.until(name+" to be authorized", func() bool { return len(d.texts(name, "authorized")) > 0 })
}

// mails sends a device's mail to another one at a node, and returns whether it is stored.
func (d *drive) mails(n *node, from, to, text string) bool {
	d.t.Helper()
	d.do("mail", "name", text, "device", from, "to", to, "url", n.URL(), "text", text)
	d.until("an answer to "+text, func() bool { return len(d.texts(text, "answer")) > 0 })
	return strings.HasPrefix(d.texts(text, "answer")[0], `200 {"messagesQueued":1,`)
}

// stored is mails for mail that has to be.
func (d *drive) stored(n *node, from, to, text string) {
	d.t.Helper()
	if !d.mails(n, from, to, text) {
		d.t.Errorf("%s: %q", text, d.texts(text, "answer"))
	}
}

// comes waits until a connection has some mail, and looks whether that was soon.
func (d *drive) comes(name string, texts ...string) {
	d.t.Helper()
	if took := d.until(fmt.Sprint(texts, " at ", name), func() bool { return containsAll(d.texts(name, "message"), texts) }); took > soon {
		d.t.Errorf("%v took %v", texts, took)
	}
}

// Devices with every version of the client and in every way come through a balancer without
// stickiness, and mail that is sent at any node comes to each at once, in order and once.
func TestPushSocketMail(t *testing.T) {
	_, nodes, d := pushSocket(t)
	url := haproxy(t, nodes)
	d.registers("sender", nodes[0])
	var names []string
	for _, version := range []string{"1.3.4", "1.7.4", "2.5.0", "4.8.1"} {
		for _, way := range []string{"polling", "websocket", "upgrade"} {
			name := version + " by " + way
			d.registers("device "+name, nodes[len(names)%3])
			d.connects(name, "device "+name, url, version, way)
			names = append(names, name)
		}
	}
	want := make(map[string][]string)
	for i := range 6 {
		for _, name := range names {
			text := fmt.Sprint(i, " to ", name)
			d.stored(nodes[i%3], "sender", "device "+name, text)
			want[name] = append(want[name], text)
		}
	}
	for _, name := range names {
		d.comes(name, want[name]...)
		if got := d.texts(name, "message"); !slices.Equal(got, want[name]) {
			t.Errorf("%s has %q", name, got)
		}
	}
	d.unless("disconnect", names...)
	var polls []int // on which node a client is, is haproxy's choice
	carried := 0
	for _, n := range nodes {
		if got := n.metric(t, `poosh_cluster_passed_here_total{transport="polling"}`); got >= 10 {
			polls = append(polls, got)
		}
		carried += n.metric(t, `poosh_cluster_passed_here_total{transport="websocket"}`)
	}
	if len(polls) < 2 {
		t.Errorf("%d requests were passed on to nodes that had some", polls)
	}
	if carried == 0 {
		t.Error("no WebSocket was passed on")
	}
}

// The newest connection of a device has its mail, wherever it is; those before are silent until it has
// gone, and are the newest again then.
func TestPushSocketNewestConnection(t *testing.T) {
	_, nodes, d := pushSocket(t)
	d.registers("sender", nodes[2])
	d.registers("device", nodes[2])
	d.connects("first", "device", nodes[0].URL(), "4.8.1", "websocket")
	d.stored(nodes[2], "sender", "device", "m1")
	d.comes("first", "m1")
	d.connects("second", "device", nodes[1].URL(), "2.5.0", "polling")
	d.stored(nodes[2], "sender", "device", "m2")
	d.comes("second", "m2")
	d.connects("third", "device", nodes[2].URL(), "1.7.4", "upgrade")
	d.stored(nodes[0], "sender", "device", "m3")
	d.comes("third", "m3")
	// A newer one may have what was not confirmed yet; an older one nothing.
	if d.has("first", "message", "m2") || d.has("first", "message", "m3") || d.has("second", "message", "m3") {
		t.Errorf("older ones have %q and %q", d.texts("first", "message"), d.texts("second", "message"))
	}
	d.do("close", "name", "third")
	d.stored(nodes[2], "sender", "device", "m4")
	d.until("an earlier one to have it", func() bool { return d.has("first", "message", "m4") || d.has("second", "message", "m4") })
	d.unless("disconnect", "first", "second")
}

// A node with a device is killed: no mail that was stored is lost, a connection of the device to another
// node has it soon though it was silent, and a device that comes back to another node too. One that
// ends in order loses none either.
func TestPushSocketNodesEnd(t *testing.T) {
	_, nodes, d := pushSocket(t)
	d.registers("sender", nodes[0])
	d.registers("two", nodes[0])
	d.registers("lone", nodes[0])
	d.connects("silent", "two", nodes[0].URL(), "4.8.1", "websocket")
	d.connects("newest", "two", nodes[1].URL(), "4.8.1", "upgrade")
	d.connects("lone", "lone", nodes[1].URL(), "2.5.0", "websocket")
	d.stored(nodes[2], "sender", "two", "before")
	d.comes("newest", "before")
	nodes[1].Kill()
	killed := time.Now()
	d.stored(nodes[2], "sender", "lone", "for lone")
	var texts []string
	for i := 0; !d.has("silent", "message", "two 0"); i++ { // which rings, and puts no look off
		texts = append(texts, fmt.Sprint("two ", i))
		d.stored(nodes[2*(i%2)], "sender", "two", texts[i])
		if time.Since(killed) > process.Patience {
			t.Fatal("the silent connection has nothing")
		}
		time.Sleep(50 * time.Millisecond) // between two senders
	}
	took := time.Since(killed)
	t.Logf("the silent connection has the device %v after the kill, with a lease of %v", took, lease)
	if took > lease+soon/2 {
		t.Errorf("it took %v", took)
	}
	d.comes("silent", texts...)
	d.connects("lone again", "lone", nodes[2].URL(), "2.5.0", "websocket")
	d.comes("lone again", "for lone")
	d.unless("disconnect", "silent", "lone again")

	stop, done := make(chan struct{}), make(chan []string)
	go func() { // ends with stop
		var all []string
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- all
				return
			default:
			}
			if text := fmt.Sprint("until the end ", i); d.mails(nodes[2], "sender", "two", text) {
				all = append(all, text)
			}
		}
	}()
	d.until("mail", func() bool { return d.has("silent", "message", "until the end 5") })
	nodes[2].Terminate()
	close(stop)
	all := <-done
	d.comes("silent", all...)
	d.connects("lone once more", "lone", nodes[0].URL(), "2.5.0", "websocket")
	d.stored(nodes[0], "sender", "lone", "at the last node")
	d.comes("lone once more", "at the last node")
	d.unless("disconnect", "silent")
	t.Logf("%d mails until the end of the node that took them", len(all))
}

// Redis goes away and comes back empty: senders are told, and who was removed meanwhile is told so when
// Redis is back. The same for nodes that are cut off alone, whose devices have their mail as soon as
// they are back. Nobody is disconnected.
func TestPushSocketRedisAway(t *testing.T) {
	redis, nodes, d := pushSocket(t)
	d.registers("sender", nodes[1])
	d.registers("device", nodes[0])
	for _, removed := range []string{"r1", "r2", "r3"} {
		d.registers(removed, nodes[0])
		d.connects(removed+"'s", removed, nodes[0].URL(), "2.5.0", "websocket")
	}
	d.connects("device's", "device", nodes[0].URL(), "4.8.1", "polling")
	removes := func(device string) {
		t.Helper()
		d.do("remove", "name", "removal of "+device, "device", device, "url", nodes[1].URL())
		d.until("the removal", func() bool { return d.has("removal of "+device, "answer", "200 OK") })
	}
	told := func(device string) {
		t.Helper()
		took := d.until("who was removed to be told", func() bool { return d.has(device+"'s", "refused", "revoked") })
		t.Logf("%s is told after %v", device, took)
		if took > soon {
			t.Errorf("%s is told after %v", device, took)
		}
	}
	redis.Kill()
	for _, n := range nodes {
		redistest.Until(t, "/ready to say so", func() bool { status, _ := n.get(t, "/ready"); return status == 503 })
	}
	for i, n := range nodes {
		text := fmt.Sprint("refused ", i)
		if d.mails(n, "sender", "device", text) || !strings.HasPrefix(d.texts(text, "answer")[0], `503 {"error":"`) {
			t.Errorf("%s: %q", text, d.texts(text, "answer"))
		}
	}
	removes("r1")
	redis.Run()
	told("r1")
	d.until("mail to be taken again", func() bool { return d.mails(nodes[2], "sender", "device", "afterwards") })
	d.comes("device's", "afterwards")

	nodes[0].wire.Cut() // where the devices are
	d.stored(nodes[2], "sender", "device", "to who is cut off")
	removes("r2")
	nodes[0].wire.Heal()
	d.comes("device's", "to who is cut off")
	told("r2")
	nodes[1].wire.Cut() // whom senders ask, and who may not know yet
	taken := d.mails(nodes[1], "sender", "device", "from who is cut off")
	removes("r3")
	nodes[1].wire.Heal()
	if told("r3"); taken {
		d.comes("device's", "from who is cut off")
	}
	t.Logf("taken by who is cut off: %v", taken)
	redis.Do("FLUSHALL")
	d.connects("newer", "device", nodes[1].URL(), "4.8.1", "websocket")
	// Until the first node has found that Redis has forgotten, both push. Nothing says that something does not
	// come: the older one is silent when it has none of three in a row.
	round, began := 0, time.Now()
	var last []string
	alone := func() bool {
		round++
		text := fmt.Sprint("for the newer ", round)
		d.stored(nodes[2], "sender", "device", text)
		d.comes("newer", text)
		time.Sleep(200 * time.Millisecond)
		if last = append(last, text); len(last) > 3 {
			last = last[1:]
		}
		return len(last) == 3 && !slices.ContainsFunc(last, func(text string) bool { return d.has("device's", "message", text) })
	}
	d.until("the older connection to be silent", alone)
	if took := time.Since(began); took > soon/2 {
		t.Errorf("the older connection is silent after %v", took)
	}
	for range 3 {
		if !alone() {
			t.Error("the older connection has mail again")
		}
	}
	d.unless("disconnect", "device's", "newer")
}
