package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"poosh/server/logtest"
	"poosh/test/process"
)

// A proxy stands in front of all ports of a server that clients come to.
type proxy struct {
	ports map[int]int // of the proxy, by the server's
}

// proxied puts nginx and haproxy in front of the server.
func (f *fourfold) proxied(t *testing.T) {
	t.Helper()
	f.proxies = map[string]*proxy{
		"nginx":   f.putInFront(t, "nginx", f.nginxConfig, "nginx", "-p", "$dir", "-c", "$conf", "-e", "stderr"),
		"haproxy": f.putInFront(t, "haproxy", f.haproxyConfig, "haproxy", "-db", "-f", "$conf"),
	}
}

// putInFront starts a proxy, with $dir and $conf in its arguments filled in.
func (f *fourfold) putInFront(t *testing.T, name string, config func(dir string, ports map[int]int) string, command ...string) *proxy {
	t.Helper()
	dir, p := t.TempDir(), &proxy{make(map[int]int)}
	for _, port := range []int{f.clientPort, f.pusherPort, f.socktopusPort} {
		p.ports[port] = freePort(t)
	}
	conf := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(conf, []byte(config(dir, p.ports)), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range command {
		command[i] = strings.NewReplacer("$dir", dir, "$conf", conf).Replace(command[i])
	}
	said := &logtest.Buffer{}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = said, said
	if err := process.StartBound(cmd, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // for haproxy the end without waiting, for nginx too
		cmd.Wait()
	})
	for _, port := range p.ports {
		eventually(t, patience, name+" to listen", func() bool { return listening(port) }, said.String)
	}
	return p
}

// nginxConfig passes WebSockets and polls on as the site of the examples does.
func (f *fourfold) nginxConfig(dir string, ports map[int]int) string {
	var b strings.Builder
	b.WriteString("daemon off; master_process off; pid nginx.pid; error_log stderr warn;\nevents { worker_connections 4096; }\nhttp {\naccess_log off;\n" +
		"map $http_upgrade $connection_of { default upgrade; '' ''; }\n")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&b, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	for port, listen := range ports {
		fmt.Fprintf(&b, `server { listen %s; location / { proxy_pass %s; proxy_http_version 1.1; proxy_set_header Host $host;
proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_of; proxy_set_header X-Forwarded-For $remote_addr;
proxy_read_timeout 300s; proxy_send_timeout 300s; proxy_buffering off; } }
`, addr(listen), f.url(port))
	}
	return b.String() + "}\n"
}

// haproxyConfig is the shortest that passes WebSockets on.
func (f *fourfold) haproxyConfig(_ string, ports map[int]int) string {
	var b strings.Builder
	b.WriteString("global\n maxconn 4096\ndefaults\n mode http\n timeout connect 5s\n timeout client 300s\n timeout server 300s\n timeout tunnel 300s\n option forwardfor\n")
	backend := ""
	if f.trusts != nil {
		backend = " ssl verify none"
	}
	for port, listen := range ports {
		fmt.Fprintf(&b, "listen to_%d\n bind %s\n server poosh %s%s\n", port, addr(listen), addr(port), backend)
	}
	return b.String()
}
