//go:build unix

package cluster

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/logtest"
	"poosh/test/process"
)

// rigBalancers are what stands between clients of socket.io and the nodes, by the name that -rig.balancer has: the
// URL for clients. The rig's own hands connections out, the others requests: each goes to the next node.
var rigBalancers = map[string]func(*crowd) string{
	"own":   func(c *crowd) string { return fmt.Sprint("http://127.0.0.1:", process.Serve(c.r.t, c.balance).Port) },
	"nginx": func(c *crowd) string { return nginx(c.r.t, c.r.clientNodes()) },
	"haproxy": func(c *crowd) string {
		return haproxyWith(c.r.t, c.r.clientNodes(), " check inter 500ms fall 1 rise 1", " option httpchk GET /ready\n timeout check 5s\n retries 3\n option redispatch\n")
	},
}

// rigMixed has some clients of each way by each of these.
var rigMixed = []string{"own", "nginx", "haproxy"}

func (r *rig) clientNodes() (list []*node) {
	for _, n := range r.nodes {
		list = append(list, n.node)
	}
	return list
}

// fronts are the URLs of the balancers that clients have in turns.
func (c *crowd) fronts() (urls []string) {
	names := []string{c.r.balancer}
	if c.r.balancer == "mixed" {
		names = rigMixed
	}
	for _, name := range names {
		start := rigBalancers[name]
		if start == nil {
			c.r.t.Fatalf("-rig.balancer %q is none of own, nginx, haproxy and mixed", name)
		}
		urls = append(urls, start(c))
	}
	return urls
}

// nginx is a balancer in front of nodes that has each request go to the next one; its URL is returned.
func nginx(t *testing.T, nodes []*node) string {
	t.Helper()
	dir, addr := t.TempDir(), fmt.Sprint("127.0.0.1:", process.FreePort(t))
	conf := "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\nevents { worker_connections 1024; }\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		conf += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	conf += "map $http_upgrade $connection_of { default upgrade; '' ''; }\nupstream poosh {\n"
	for _, n := range nodes {
		conf += "server " + n.Addr() + " fail_timeout=1s;\n"
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
	return "http://" + addr
}
