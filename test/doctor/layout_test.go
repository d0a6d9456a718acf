package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"poosh/server/doctor"
)

// A layout is the configuration of a proxy by the blocks that advice names, each a list of
// lines. Every one is good until something is changed.
type layout struct {
	proxy  string
	pki    *authority
	tls    bool
	blocks map[string][]string
}

// add puts lines at the end of a block.
func (l *layout) add(where string, lines ...string) {
	l.blocks[where] = append(l.blocks[where], lines...)
}

// drop takes the lines away that begin with one of these.
func (l *layout) drop(where string, beginnings ...string) {
	l.blocks[where] = slices.DeleteFunc(l.blocks[where], func(line string) bool {
		return slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(line, b) })
	})
}

// within are the blocks that stand in another one.
var within = map[string]string{
	"nginx server": "location", "caddy site": "reverse_proxy", "apache VirtualHost": "Location",
}

// mend does what is advised: lines go from a block and from what stands in it.
func (l *layout) mend(m doctor.Mend) error {
	if _, ok := l.blocks[m.Where]; !ok {
		return fmt.Errorf("the advice is for a block %q, which a configuration of %s does not have", m.Where, l.proxy)
	}
	l.drop(m.Where, m.Remove...)
	if inner := within[l.proxy+" "+m.Where]; inner != "" {
		l.drop(inner, m.Remove...)
	}
	l.add(m.Where, m.Add...)
	return nil
}

// balancer is the block of Apache in which several servers stand.
const balancer = `Proxy "balancer://..."`

// balance has Apache choose among servers.
func (l *layout) balance(servers ...string) {
	l.blocks[balancer] = nil
	for i, at := range servers {
		l.add(balancer, fmt.Sprintf("BalancerMember http://%s route=%d upgrade=websocket timeout=120", at, i+1))
	}
	l.drop("VirtualHost", "ProxyPass")
	l.add("VirtualHost", "ProxyPass / balancer://poosh/")
}

// newLayout is a good configuration in front of the first server.
func newLayout(s *station, proxy, certificate string) *layout {
	return layoutOf(s.pki, s.first.Addr(), proxy, certificate)
}

// layoutOf is a good configuration in front of an address.
func layoutOf(pki *authority, to, proxy, certificate string) *layout {
	l := &layout{proxy: proxy, pki: pki, tls: certificate != ""}
	pem, key, both := pki.file(certificate+".pem"), pki.file(certificate+".key"), pki.file(certificate+".both")
	switch proxy {
	case "nginx":
		l.blocks = map[string][]string{
			"http": {"map $http_x_forwarded_for $forwarded { default $http_x_forwarded_for; '' $remote_addr; }",
				"limit_req_zone $remote_addr zone=few:1m rate=1r/s;"},
			"upstream": {"server " + to + ";"},
			"server":   {},
			"location": {"proxy_pass http://poosh;", "proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;",
				"proxy_set_header Connection $http_connection;", "proxy_set_header X-Forwarded-For $remote_addr;",
				"proxy_read_timeout 120s;", "proxy_send_timeout 120s;"},
		}
		if l.tls {
			l.add("server", "ssl_certificate "+pem+";", "ssl_certificate_key "+key+";")
		}
	case "haproxy":
		bind := "bind 127.0.0.1:PORT"
		if l.tls {
			bind += " ssl crt " + both
		}
		l.blocks = map[string][]string{
			"global":   {"maxconn 200"},
			"defaults": {"mode http", "timeout connect 5s", "timeout client 120s", "timeout server 120s", "timeout tunnel 120s"},
			"frontend": {bind, "http-request set-header X-Forwarded-For %[src]", "default_backend poosh"},
			"backend":  {"server poosh " + to},
		}
	case "caddy":
		l.blocks = map[string][]string{"servers": {}, "site": {"bind 127.0.0.1"}, "reverse_proxy": {}, "to": {to}}
		if l.tls {
			l.add("site", "tls "+pem+" "+key)
		}
	case "apache":
		l.blocks = map[string][]string{"server": {}, "Location": {}, "VirtualHost": {"ProxyPass / http://" + to + "/ upgrade=websocket timeout=120"}}
		if l.tls {
			l.add("VirtualHost", "SSLEngine on", "SSLCertificateFile "+pem, "SSLCertificateKeyFile "+key)
		}
	}
	return l
}

func (l *layout) block(name string) string { return strings.Join(l.blocks[name], "\n") + "\n" }

// start runs the proxy on a port.
func (l *layout) start(dir string, port int) (*proxy, error) {
	return startText(l.proxy, dir, l.text(dir, port), port)
}

// text is the whole configuration, for a port. What advice has for the usual places is
// where it is here.
func (l *layout) text(dir string, port int) string {
	here := []string{
		"bind :443", fmt.Sprint("bind 127.0.0.1:", port), "127.0.0.1:PORT", fmt.Sprint("127.0.0.1:", port),
	}
	for _, host := range []string{"127.0.0.1", "push.example.com"} {
		here = append(here, "/etc/letsencrypt/live/"+host+"/fullchain.pem", l.pki.file("good.pem"), "/etc/letsencrypt/live/"+host+"/privkey.pem", l.pki.file("good.key"),
			"/etc/haproxy/"+host+".pem", l.pki.file("good.both"))
	}
	return strings.NewReplacer(here...).Replace(l.sections(dir, port))
}

func (l *layout) sections(dir string, port int) string {
	switch l.proxy {
	case "nginx":
		ssl := ""
		if l.tls {
			ssl = " ssl"
		}
		return nginxHead(dir) + l.block("http") + "upstream poosh {\n" + l.block("upstream") + "}\nserver {\n" +
			fmt.Sprintf("listen 127.0.0.1:%d%s;\n", port, ssl) + l.block("server") + "location / {\n" + l.block("location") + "}\n}\n}\n"
	case "haproxy":
		return "global\n" + l.block("global") + "defaults\n" + l.block("defaults") + "cache kept\ntotal-max-size 4\n" +
			"frontend f\n" + l.block("frontend") + "backend poosh\n" + l.block("backend")
	case "caddy":
		scheme := "http"
		if l.tls {
			scheme = "https"
		}
		return "{\nadmin off\nauto_https off\nservers {\n" + l.block("servers") + "}\n}\n" +
			fmt.Sprintf("%s://127.0.0.1:%d {\n", scheme, port) + l.block("site") +
			"reverse_proxy " + strings.Join(l.blocks["to"], " ") + " {\n" + l.block("reverse_proxy") + "}\n}\n"
	case "apache":
		members := ""
		if _, ok := l.blocks[balancer]; ok {
			members = "<Proxy balancer://poosh>\n" + l.block(balancer) + "</Proxy>\n"
		}
		return apacheHead(dir, port) + l.block("server") + fmt.Sprintf("<VirtualHost 127.0.0.1:%d>\n", port) + members + l.block("VirtualHost") + "<Location />\n" + l.block("Location") + "</Location>\n</VirtualHost>\n"
	}
	panic("there is no proxy " + l.proxy)
}

// startText runs a proxy with a configuration.
func startText(name, dir, text string, ports ...int) (*proxy, error) {
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, err
	}
	var p *proxy
	var err error
	switch name {
	case "nginx":
		p, err = run(dir, ports, "nginx", "-p", dir, "-c", "conf", "-e", "stderr")
	case "haproxy":
		p, err = run(dir, ports, "haproxy", "-db", "-q", "-f", file)
	case "caddy":
		p, err = run(dir, ports, "caddy", "run", "--adapter", "caddyfile", "--config", file)
	case "apache":
		p, err = run(dir, ports, "apache2", "-DFOREGROUND", "-d", dir, "-f", file)
	}
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	return p, nil
}

// nginxHead is what stands before the sites of nginx.
func nginxHead(dir string) string {
	text := "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\nevents { worker_connections 256; }\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	return text + "proxy_cache_path " + dir + "/cache keys_zone=zone:1m;\n"
}

// apacheModules are what configurations need, those that are wrong as well.
var apacheModules = []string{"mpm_event", "authz_core", "authz_host", "authn_core", "allowmethods", "proxy", "proxy_http", "proxy_wstunnel",
	"proxy_balancer", "slotmem_shm", "lbmethod_byrequests", "headers", "env", "setenvif", "rewrite", "alias", "filter", "deflate",
	"substitute", "cache", "ssl", "socache_shmcb"}

// apacheHead is what stands before the sites of Apache.
func apacheHead(dir string, ports ...int) string {
	text := "ServerName localhost\nPidFile " + dir + "/pid\nErrorLog /dev/stderr\nLogLevel crit\nDefaultRuntimeDir " + dir + "\n"
	if os.Getuid() == 0 {
		text += "User www-data\nGroup www-data\n"
	}
	for _, m := range apacheModules {
		text += "LoadModule " + m + "_module /usr/lib/apache2/modules/mod_" + m + ".so\n"
	}
	text += "ThreadsPerChild 16\nServerLimit 2\nStartServers 1\nMaxRequestWorkers 32\n"
	for _, p := range ports {
		text += fmt.Sprintf("Listen 127.0.0.1:%d\n", p)
	}
	return text
}
