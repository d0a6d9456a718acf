package doctor

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"poosh/server/doctor"
)

// A trial is a proxy that does one thing wrong.
type trial struct {
	proxy, name string
	wrong       func(l *layout, s *station)
	want        string
	certificate string // none without TLS
	mended      bool   // what is advised for the proxy mends it
	path        string // that clients are told, in front of /socket.io/
	pushSocket  bool   // the proxy is in front of that protocol's port
	args        []string
}

const wrongXFF = "proxy_set_header X-Forwarded-For"

var trials = []trial{
	// It takes longest, so it begins first.
	{proxy: "haproxy", name: "answers held back", want: "buffering", mended: true, wrong: func(l *layout, s *station) {
		l.add("global", "lua-load "+s.pki.file("hold.lua"))
		l.add("backend", "http-response lua.hold")
	}},

	// So do those who wait in vain.
	{proxy: "nginx", name: "streams held back", want: "buffering", mended: true, wrong: func(l *layout, _ *station) {
		l.add("location", "proxy_ignore_headers X-Accel-Buffering;")
	}},
	{proxy: "caddy", name: "streams held back", want: "buffering", wrong: func(l *layout, s *station) { // of WebSockets it would break all
		l.add("site", "@stream path /events", "reverse_proxy @stream "+s.first.Addr()+" {\nbuffer_responses\n}")
	}},
	{proxy: "caddy", name: "streams that may not be long", want: "stream-cut", mended: true, args: []string{"--patience", "20s"}, wrong: func(l *layout, _ *station) {
		l.add("servers", "timeouts {\nwrite 12s\n}")
	}},
	{proxy: "haproxy", name: "streams that may not be silent", want: "idle-timeout", wrong: func(l *layout, s *station) {
		l.add("frontend", "use_backend streams if { path /events }")
		// An answer that has no length is a tunnel, to haproxy.
		l.add("backend", "backend streams", "timeout server 3s", "timeout tunnel 3s", "server poosh "+s.first.Addr())
	}},

	{proxy: "nginx", name: "streams compressed", want: "compressed", mended: true, wrong: func(l *layout, _ *station) {
		l.add("location", "gzip on;", "gzip_types text/event-stream;")
	}},
	{proxy: "haproxy", name: "streams that are text", want: "stream-type", mended: true, wrong: func(l *layout, _ *station) {
		l.add("backend", "http-response set-header Content-Type text/plain if { res.hdr(content-type) -m beg text/event-stream }")
	}},
	{proxy: "nginx", name: "no streams", want: "stream-not-passed", mended: true, args: []string{"--events"}, wrong: func(l *layout, _ *station) {
		l.add("server", "location = /events { return 404; }")
	}},
	{proxy: "haproxy", name: "devices do not register", pushSocket: true, want: "api-not-passed", mended: true, wrong: func(l *layout, _ *station) {
		l.add("backend", "http-request return status 404 if { path_beg /api/ }")
	}},
	{proxy: "nginx", name: "devices are nobody", pushSocket: true, want: "authorization-stripped", mended: true, wrong: func(l *layout, _ *station) {
		l.add("location", `proxy_set_header Authorization "";`)
	}},
	{proxy: "apache", name: "devices without WebSockets", pushSocket: true, want: "no-upgrade", mended: true, wrong: func(l *layout, _ *station) {
		l.add("VirtualHost", "RequestHeader unset Upgrade")
	}},

	{proxy: "nginx", name: "no upgrade", want: "no-upgrade", mended: true, wrong: func(l *layout, _ *station) {
		l.drop("location", "proxy_http_version", "proxy_set_header Upgrade", "proxy_set_header Connection")
	}},
	{proxy: "nginx", name: "HTTP/1.0", want: "http-1.0", mended: true, wrong: func(l *layout, _ *station) { l.drop("location", "proxy_http_version") }},
	{proxy: "nginx", name: "short timeout", want: "idle-timeout", mended: true, wrong: func(l *layout, _ *station) {
		l.drop("location", "proxy_read_timeout")
		l.add("location", "proxy_read_timeout 3s;")
	}},
	{proxy: "nginx", name: "small bodies", want: "body-limit", mended: true, wrong: func(l *layout, _ *station) { l.add("location", "client_max_body_size 8k;") }},
	{proxy: "nginx", name: "cache", want: "cached", mended: true, wrong: func(l *layout, _ *station) {
		l.add("location", "proxy_cache zone;", "proxy_cache_valid 200 1m;", "proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;")
	}},
	{proxy: "nginx", name: "a page for everything", want: "other-content", mended: true, wrong: func(l *layout, _ *station) {
		l.add("location", `return 200 "<!doctype html><title>Welcome</title>";`)
	}},
	{proxy: "nginx", name: "path rewritten", want: "path-rewritten", mended: true, wrong: func(l *layout, _ *station) { l.add("location", "rewrite ^/socket.io/(.*)$ /$1 break;") }},
	{proxy: "nginx", name: "no POST", want: "post-refused", mended: true, wrong: func(l *layout, _ *station) { l.add("location", "limit_except GET OPTIONS { deny all; }") }},
	{proxy: "nginx", name: "redirect", want: "redirect", mended: true, wrong: func(l *layout, _ *station) { l.add("server", "return 301 https://push.example.com$request_uri;") }},
	{proxy: "nginx", name: "addresses that are made up", want: "forwarded-forged", mended: true, wrong: func(l *layout, _ *station) {
		l.drop("location", wrongXFF)
		l.add("location", wrongXFF+" $forwarded;")
	}},
	{proxy: "nginx", name: "no cookies", want: "cookies-stripped", mended: true, wrong: func(l *layout, _ *station) { l.add("location", "proxy_hide_header Set-Cookie;") }},
	{proxy: "nginx", name: "incomplete chain", certificate: "alone", want: "certificate-chain", mended: true},
	{proxy: "nginx", name: "certificate of nobody", certificate: "self", want: "certificate-untrusted", mended: true},
	{proxy: "nginx", name: "nobody behind", want: "upstream-down", wrong: func(l *layout, _ *station) {
		l.drop("location", "proxy_pass")
		l.add("location", "proxy_pass http://127.0.0.1:9;")
	}, mended: true},

	{proxy: "nginx", name: "path not passed", want: "path-not-passed", mended: true, wrong: func(l *layout, _ *station) { l.add("location", "return 404;") }},

	// The server knows nothing of a path before its own.
	{proxy: "nginx", name: "redirect behind a path", path: "/push", want: "redirect", mended: true, wrong: func(l *layout, _ *station) { l.add("server", "return 301 https://push.example.com$request_uri;") }},
	{proxy: "nginx", name: "path in front is kept", path: "/push", want: "path-rewritten", mended: true},
	{proxy: "haproxy", name: "path in front is kept", path: "/push", want: "path-rewritten", mended: true},
	{proxy: "caddy", name: "path in front is kept", path: "/push", want: "path-rewritten", mended: true},
	{proxy: "apache", name: "path in front is kept", path: "/push", want: "path-rewritten", mended: true},

	{proxy: "haproxy", name: "no TLS", certificate: "good", want: "tls", mended: true, wrong: func(l *layout, _ *station) {
		l.drop("frontend", "bind")
		l.add("frontend", "bind 127.0.0.1:PORT")
	}},
	{proxy: "haproxy", name: "TLS alone", certificate: "good", want: "no-answer", wrong: func(l *layout, _ *station) { l.tls = false }}, // the doctor is sent to http://
	{proxy: "haproxy", name: "redirect", want: "redirect", mended: true, wrong: func(l *layout, _ *station) {
		l.add("frontend", "http-request redirect scheme https code 301")
	}},
	{proxy: "haproxy", name: "query lost", want: "query-lost", mended: true, wrong: func(l *layout, _ *station) { l.add("backend", "http-request set-uri %[path]") }},
	{proxy: "haproxy", name: "one of two is away", want: "unsteady", wrong: func(l *layout, _ *station) {
		l.add("backend", "balance roundrobin", "retries 0", "server gone 127.0.0.1:9")
	}},
	{proxy: "haproxy", name: "no change from polling", want: "upgrade-after-polling", mended: true, wrong: func(l *layout, _ *station) {
		l.add("backend", "http-request del-header Upgrade if { url_param(sid) -m found }")
	}},
	{proxy: "haproxy", name: "HTTP/2 that nobody serves", certificate: "good", want: "http2", mended: true, wrong: func(l *layout, s *station) {
		l.drop("frontend", "bind")
		l.add("frontend", "bind 127.0.0.1:PORT ssl crt "+s.pki.file("good.both")+" alpn h2,http/1.1", "http-request deny if { req.ver 2.0 }")
	}},
	{proxy: "haproxy", name: "expired", certificate: "expired", want: "certificate-expired", mended: true},
	{proxy: "haproxy", name: "two processes", want: "not-sticky", mended: true, wrong: func(l *layout, s *station) {
		l.add("backend", "balance roundrobin", "server other "+s.second.Addr())
	}},
	{proxy: "haproxy", name: "headers doubled", want: "cross-origin-doubled", mended: true, wrong: func(l *layout, _ *station) {
		l.add("backend", `http-response add-header Access-Control-Allow-Origin "*"`)
	}},
	{proxy: "haproxy", name: "short timeout", want: "idle-timeout", mended: true, wrong: func(l *layout, _ *station) {
		l.drop("defaults", "timeout server", "timeout tunnel")
		l.add("defaults", "timeout server 3s", "timeout tunnel 3s")
	}},
	{proxy: "haproxy", name: "no address", want: "forwarded-missing", mended: true, wrong: func(l *layout, _ *station) { l.drop("frontend", "http-request set-header") }},
	{proxy: "haproxy", name: "not trusted", want: "proxy-not-trusted", wrong: func(l *layout, _ *station) { l.add("backend", "source 127.0.0.5") }},
	{proxy: "haproxy", name: "no connection is kept", want: "keep-alive", mended: true, wrong: func(l *layout, _ *station) { l.add("defaults", "option httpclose") }},
	{proxy: "haproxy", name: "small bodies", want: "body-limit", mended: true, wrong: func(l *layout, _ *station) {
		l.add("frontend", "http-request deny deny_status 413 if { req.hdr_val(content-length) gt 8192 }")
	}},
	{proxy: "haproxy", name: "another time", want: "clock", wrong: func(l *layout, _ *station) {
		l.add("backend", `http-response set-header Date "Thu, 01 Jan 2026 00:00:00 GMT"`)
	}},

	{proxy: "caddy", name: "soon", certificate: "soon", want: "certificate-soon"},
	{proxy: "caddy", name: "compressed", want: "compressed", mended: true, wrong: func(l *layout, _ *station) {
		l.add("site", "encode {\ngzip\nminimum_length 1\nmatch {\nheader Content-Type *\n}\n}")
	}},
	{proxy: "caddy", name: "wrong address", want: "forwarded-wrong", mended: true, wrong: func(l *layout, _ *station) { l.add("reverse_proxy", "header_up X-Forwarded-For 127.0.0.77") }},
	{proxy: "caddy", name: "short timeout", want: "idle-timeout", mended: true, wrong: func(l *layout, _ *station) {
		l.add("reverse_proxy", "transport http {\nresponse_header_timeout 3s\n}")
	}},
	{proxy: "caddy", name: "no upgrade", want: "no-upgrade", mended: true, wrong: func(l *layout, _ *station) { l.add("reverse_proxy", "header_up -Upgrade", "header_up -Connection") }},
	{proxy: "caddy", name: "path stripped", want: "path-rewritten", mended: true, wrong: func(l *layout, _ *station) { l.add("site", "uri strip_prefix /socket.io") }},
	{proxy: "caddy", name: "no password", want: "proxy-refuses", mended: true, wrong: func(l *layout, _ *station) { l.add("site", "respond 401") }},

	{proxy: "caddy", name: "polls are lost", want: "poll-lost", mended: true, wrong: func(l *layout, _ *station) {
		l.add("site", "@poll {\nmethod GET\nquery sid=*\n}", "respond @poll 204")
	}},
	{proxy: "caddy", name: "scripts that are text", want: "jsonp", mended: true, wrong: func(l *layout, _ *station) { l.add("site", "header Content-Type text/plain") }},

	{proxy: "apache", name: "WebSockets of somebody else", want: "websocket-broken", mended: true, wrong: func(l *layout, s *station) {
		l.add("VirtualHost", "RewriteEngine on", "RewriteCond %{HTTP:Upgrade} =websocket [NC]", fmt.Sprintf("RewriteRule .* ws://127.0.0.1:%d/app/key [P]", s.pusher))
	}},
	{proxy: "apache", name: "heartbeats eaten", want: "heartbeat-lost", mended: true, wrong: func(l *layout, _ *station) {
		l.add("VirtualHost", "SetOutputFilter SUBSTITUTE", "Substitute s/^2$/6/")
	}},
	{proxy: "apache", name: "path not passed", want: "path-not-passed", mended: true, wrong: func(l *layout, s *station) {
		l.drop("VirtualHost", "ProxyPass")
		l.add("VirtualHost", "ProxyPass /push/ http://"+s.first.Addr()+"/ upgrade=websocket timeout=120")
	}},
	{proxy: "apache", name: "two processes", want: "not-sticky", wrong: func(l *layout, s *station) { l.balance(s.first.Addr(), s.second.Addr()) }},
	{proxy: "apache", name: "no upgrade", want: "no-upgrade", mended: true, wrong: func(l *layout, s *station) {
		l.drop("VirtualHost", "ProxyPass")
		l.add("VirtualHost", "ProxyPass / http://"+s.first.Addr()+"/")
	}},
	{proxy: "apache", name: "no preflight", want: "preflight", mended: true, wrong: func(l *layout, _ *station) {
		l.add("Location", "<LimitExcept GET POST>\nRequire all denied\n</LimitExcept>")
	}},
	{proxy: "apache", name: "headers eaten", want: "cross-origin", mended: true, wrong: func(l *layout, _ *station) { l.add("VirtualHost", "Header unset Access-Control-Allow-Origin") }},
	{proxy: "apache", name: "no address", want: "forwarded-missing", mended: true, wrong: func(l *layout, _ *station) { l.add("VirtualHost", "ProxyAddHeaders Off") }},
	{proxy: "apache", name: "short timeout", want: "idle-timeout", mended: true, wrong: func(l *layout, s *station) {
		l.drop("VirtualHost", "ProxyPass")
		l.add("VirtualHost", "ProxyPass / http://"+s.first.Addr()+"/ upgrade=websocket timeout=3", "ProxyTimeout 3")
	}},
	{proxy: "apache", name: "HTTP/1.0", want: "no-upgrade", mended: true, wrong: func(l *layout, _ *station) { l.add("VirtualHost", "SetEnv force-proxy-request-1.0 1") }},
	{proxy: "apache", name: "another name", certificate: "other", want: "certificate-name", mended: true},
	{proxy: "apache", name: "certificate that is not good yet", certificate: "early", want: "certificate-early"},
}

// atOnce is how many proxies and doctors run at a time: they mostly wait.
const atOnce = 10

// together runs a function for each of a number, some at a time, and reports their errors
// by name.
func together(t *testing.T, n int, name func(int) string, do func(int) error) {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for i := range n {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			began := time.Now()
			errs[i] = do(i)
			t.Logf("%s took %s", name(i), time.Since(began).Round(time.Millisecond))
		})
	}
	all.Wait()
	for i, err := range errs {
		t.Run(name(i), func(t *testing.T) {
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Each fault is named, and no other; and with the lines that are advised there is none.
func TestBrokenProxies(t *testing.T) {
	s := startStation(t, "")
	base := t.TempDir()
	together(t, len(trials), func(i int) string { return trials[i].proxy + " " + trials[i].name }, func(i int) error {
		tr := &trials[i]
		dir := fmt.Sprint(base, "/", i)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		l := newLayout(s, tr.proxy, tr.certificate)
		if tr.pushSocket {
			l = layoutOf(s.pki, fmt.Sprint("127.0.0.1:", s.pushSocket), tr.proxy, tr.certificate)
		}
		if tr.wrong != nil {
			tr.wrong(l, s)
		}
		faults, err := tr.examine(t, l, s, dir, []string{tr.want})
		if err != nil || !tr.mended {
			return err
		}
		mend := slices.IndexFunc(faults[0].Advice, func(m doctor.Mend) bool { return m.Proxy == tr.proxy })
		if mend < 0 {
			return errors.New("there is no advice for this proxy")
		}
		if err := l.mend(faults[0].Advice[mend]); err != nil {
			return err
		}
		if _, err := tr.examine(t, l, s, dir, nil); err != nil {
			return fmt.Errorf("with the advice %q: %w", faults[0].Advice[mend], err)
		}
		return nil
	})
}

func (tr *trial) examine(t *testing.T, l *layout, s *station, dir string, want []string) ([]doctor.Fault, error) {
	p, port, err := anywhere(t, func(port int) (*proxy, error) { return l.start(dir, port) })
	if err != nil {
		return nil, err
	}
	defer p.stop()
	scheme := "http"
	if l.tls {
		scheme = "https"
	}
	at := fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, port, tr.path)
	if tr.pushSocket {
		return s.finds(want, "--push-socket", at, s.first.URL())
	}
	return s.finds(want, append(slices.Clone(tr.args), at)...)
}
