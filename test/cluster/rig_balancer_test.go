//go:build unix

package cluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/logtest"
	"poosh/test/process"
)

// A door is a port of all nodes, with balancers in front of it.
type door struct {
	r     *rig
	port  func(*rigNode) int
	check string // how haproxy looks whether a node is there; empty for by a connection
	turn  atomic.Int64
}

// rigBalancers are what stands between real clients and a door, by the name that -rig.balancer has: the
// address for clients. The rig's own hands connections out, the others requests: each goes to the next node.
var rigBalancers = map[string]func(*door) string{
	"own":   func(d *door) string { return fmt.Sprint("127.0.0.1:", process.Serve(d.r.t, d.balance).Port) },
	"nginx": func(d *door) string { return nginx(d.r.t, d.addrs()) },
	"haproxy": func(d *door) string {
		return haproxyAt(d.r.t, d.addrs(), " check inter 500ms fall 1 rise 1", d.check+" timeout check 5s\n retries 3\n option redispatch\n")
	},
}

// rigMixed has some clients of each way by each of these.
var rigMixed = []string{"own", "nginx", "haproxy"}

// balance hands a connection to the next node that takes it.
func (d *door) balance(f *process.Front, conn net.Conn) {
	for range d.r.nodes {
		n := d.r.nodes[int(d.turn.Add(1))%len(d.r.nodes)]
		if up, err := net.Dial("tcp", n.at(d.port(n))); err == nil {
			f.Join(conn, up)
			return
		}
	}
}

func (d *door) addrs() (list []string) {
	for _, n := range d.r.nodes {
		list = append(list, n.at(d.port(n)))
	}
	return list
}

// readiness has haproxy ask the port of clients.
const readiness = " option httpchk GET /ready\n"

// fronts are the addresses of the balancers in front of a port, which clients have in turns.
func (r *rig) fronts(check string, port func(*rigNode) int) (addrs []string) {
	names := []string{r.balancer}
	if r.balancer == "mixed" {
		names = rigMixed
	}
	for _, name := range names {
		start := rigBalancers[name]
		if start == nil {
			r.t.Fatalf("-rig.balancer %q is none of own, nginx, haproxy and mixed", name)
		}
		addrs = append(addrs, start(&door{r: r, port: port, check: check}))
	}
	return addrs
}

// addrsOf are the addresses of nodes' own ports.
func addrsOf(nodes []*node) (list []string) {
	for _, n := range nodes {
		list = append(list, n.Addr())
	}
	return list
}

// nginx is a balancer in front of some addresses that has each request go to the next one; its own is returned.
func nginx(t *testing.T, addrs []string) string {
	t.Helper()
	dir, addr := t.TempDir(), fmt.Sprint("127.0.0.1:", process.FreePort(t))
	conf := "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\nevents { worker_connections 1024; }\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		conf += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	conf += "map $http_upgrade $connection_of { default upgrade; '' ''; }\nupstream poosh {\n"
	for _, at := range addrs {
		conf += "server " + at + " fail_timeout=1s;\n"
	}
	conf += "}\nserver { listen " + addr + `; location / { proxy_pass http://poosh; proxy_http_version 1.1; proxy_set_header Host $host;
proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_of; proxy_set_header X-Forwarded-For $remote_addr;
proxy_read_timeout 300s; proxy_buffering off; } }
}
`
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &logtest.Buffer{}
	cmd := exec.Command("nginx", "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	cmd.Stdout, cmd.Stderr = said, said
	if err := process.StartBound(cmd, syscall.SIGKILL); err != nil {
		t.Fatalf("nginx: %v: apt-get install nginx-light", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			text := said.String()
			t.Logf("nginx:\n%s", strings.TrimSpace(text[max(0, len(text)-4000):]))
		}
	})
	redistest.Until(t, "nginx listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return addr
}
