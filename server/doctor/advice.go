package doctor

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// An advice writes the lines that mend a fault, for one server.
type advice struct {
	host     string
	upstream string // where the proxy reaches the server
	path     string // in front of /socket.io/, with no slash at its end
	seconds  int    // that a connection may be silent
	bytes    int    // that a body may have
}

func newAdvice(at *url.URL, upstream string, t Timing) *advice {
	a := &advice{host: at.Hostname(), upstream: cmp.Or(upstream, "127.0.0.1:8000"), path: strings.TrimSuffix(at.Path, "/")}
	span := cmp.Or(t.Interval, 25*time.Second) + cmp.Or(t.Timeout, time.Minute)
	a.seconds = max(int((span+30*time.Second)/(30*time.Second))*30, 120) // longer, and round
	a.bytes = max(2*t.MaxPayload, 2<<20)
	return a
}

// The blocks that lines stand in.
const (
	inLocation = "location"
	inServer   = "server"
	inUpstream = "upstream"
	inBackend  = "backend"
	inFrontend = "frontend"
	inProxy    = "reverse_proxy"
	inSite     = "site"
	inHost     = "VirtualHost"
	inApache   = "Location"
)

// silent is for how long a connection may be silent, as proxies write it.
func (a *advice) silent() string { return fmt.Sprintf("%ds", a.seconds) }

func lines(list ...string) []string { return list }

func (a *advice) nginxPass() string { return "proxy_pass http://" + a.upstream + ";" }

// nginxPlace is where clients ask: with a path of the server's own all that is behind it.
func (a *advice) nginxPlace() string { return "location " + a.path + a.nginxWithin() }

// nginxWithin is what the server is asked for there.
func (a *advice) nginxWithin() string {
	if a.path != "" {
		return "/"
	}
	return "/socket.io/"
}

// nginxLocation is a block of its own for the server: of the one that it takes requests from
// it has nothing. It does not hand on what stands before /socket.io/.
func (a *advice) nginxLocation() string {
	return a.nginxBlock(a.nginxPlace(), a.nginxWithin(), "proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Connection $http_connection;")
}

func (a *advice) nginxBlock(place, path string, more ...string) string {
	list := append([]string{"proxy_pass http://" + a.upstream + path + ";", "proxy_http_version 1.1;"}, more...)
	list = append(list, "proxy_set_header X-Forwarded-For $remote_addr;", "proxy_read_timeout "+a.silent()+";")
	return place + " {\n\t" + strings.Join(list, "\n\t") + "\n}"
}

func (a *advice) apachePass() string {
	return fmt.Sprintf("ProxyPass %s/ http://%s/ upgrade=websocket timeout=%d", a.path, a.upstream, a.seconds)
}

func (a *advice) listen() []Mend {
	return []Mend{
		{"nginx", inServer, lines("listen [::]:443 ssl;"), nil},
		{"haproxy", inFrontend, lines("bind :::443 v4v6 ssl crt /etc/haproxy/" + a.host + ".pem"), nil},
		{"caddy", inSite, nil, lines("bind")},
		{"apache", "server", lines("Listen 443"), nil},
	}
}

func (a *advice) certificate() []Mend {
	return []Mend{
		{"nginx", inServer, lines("ssl_certificate /etc/letsencrypt/live/"+a.host+"/fullchain.pem;", "ssl_certificate_key /etc/letsencrypt/live/"+a.host+"/privkey.pem;"), lines("ssl_certificate")},
		{"haproxy", inFrontend, lines("bind :443 ssl crt /etc/haproxy/" + a.host + ".pem # fullchain.pem and privkey.pem in one file"), lines("bind")},
		{"caddy", inSite, nil, lines("tls")}, // it gets one by itself
		{"apache", inHost, lines("SSLCertificateFile /etc/letsencrypt/live/"+a.host+"/fullchain.pem", "SSLCertificateKeyFile /etc/letsencrypt/live/"+a.host+"/privkey.pem"), lines("SSLCertificateFile", "SSLCertificateKeyFile", "SSLCertificateChainFile")},
	}
}

func (a *advice) redirect() []Mend {
	return []Mend{
		{"nginx", inServer, lines(a.nginxLocation()), lines(a.nginxPlace(), "return 301", "return 302", "return 307", "return 308", "rewrite")},
		{"haproxy", inFrontend, nil, lines("http-request redirect", "redirect")},
		{"caddy", inSite, nil, lines("redir")},
		{"apache", inHost, nil, lines("Redirect", "RewriteRule")},
	}
}

// haproxyPaths are the lines by which haproxy passes another path on than the one that came.
var haproxyPaths = lines("http-request set-path", "http-request replace-path", "http-request set-query", "http-request set-uri", "http-request replace-uri", "http-request return", "server")

func (a *advice) pass() []Mend {
	if a.path != "" {
		return a.passBehindPath()
	}
	return []Mend{
		{"nginx", inLocation, lines(a.nginxPass()), lines("proxy_pass", "rewrite", "return", "root")},
		{"haproxy", inBackend, lines("server poosh " + a.upstream), haproxyPaths},
		{"caddy", inSite, lines("reverse_proxy " + a.upstream), lines("uri", "rewrite", "respond", "file_server", "handle_path", "root")},
		{"apache", inHost, lines(a.apachePass()), lines("ProxyPass", "RewriteRule", "DocumentRoot")},
	}
}

// passBehindPath is pass for a server that does not know of what stands before /socket.io/.
func (a *advice) passBehindPath() []Mend {
	return []Mend{
		{"nginx", inServer, lines(a.nginxLocation()), lines(a.nginxPlace(), "rewrite", "return")},
		{"haproxy", inBackend, lines("http-request replace-path ^"+regexp.QuoteMeta(a.path)+`(/.*) \1`, "server poosh "+a.upstream), haproxyPaths},
		{"caddy", inSite, lines("handle_path " + a.path + "/* {\n\treverse_proxy " + a.upstream + "\n}"), lines("uri", "rewrite", "handle_path")},
		{"apache", inHost, lines(a.apachePass()), lines("ProxyPass", "RewriteRule")},
	}
}

// passStream is pass for /events alone.
func (a *advice) passStream() []Mend {
	place := "location = " + a.path + "/events"
	list := a.pass()
	list[0] = Mend{"nginx", inServer, lines(a.nginxBlock(place, "/events", "proxy_buffering off;")), lines(place)}
	return list
}

func (a *advice) cache() []Mend {
	return []Mend{
		{"nginx", inLocation, lines("proxy_cache off;"), lines("proxy_cache", "proxy_ignore_headers")},
		{"haproxy", inBackend, nil, lines("http-request cache-use", "http-response cache-store", "http-response set-header Cache-Control", "http-response del-header Cache-Control")},
		{"caddy", inSite, nil, lines("cache")},
		{"apache", inHost, lines(`CacheDisable "` + a.path + `/socket.io/"`), lines("CacheEnable", "CacheIgnoreCacheControl")},
	}
}

func (a *advice) sticky() []Mend {
	return []Mend{
		{"nginx", inUpstream, lines("hash $remote_addr consistent;"), lines("least_conn", "random")},
		{"haproxy", inBackend, lines("balance source", "hash-type consistent"), lines("balance")},
		{"caddy", inProxy, lines("lb_policy ip_hash"), lines("lb_policy")},
		{"apache", `Proxy "balancer://..."`, lines(`Header add Set-Cookie "POOSH_ROUTE=.%{BALANCER_WORKER_ROUTE}e; Path=/; HttpOnly" env=BALANCER_ROUTE_CHANGED`, "ProxySet stickysession=POOSH_ROUTE", "# and a route at each member: BalancerMember http://"+a.upstream+" route=1"), nil},
	}
}

func (a *advice) post() []Mend {
	return []Mend{
		{"nginx", inLocation, nil, lines("limit_except", "deny", "auth_basic", "limit_req", "if ($request_method")},
		{"haproxy", inFrontend, nil, lines("http-request deny", "http-request auth", "http-request tarpit")},
		{"caddy", inSite, nil, lines("respond", "basicauth", "basic_auth", "method", "forward_auth")},
		{"apache", inApache, nil, lines("Require", "AllowMethods", "<Limit", "Auth")},
	}
}

func (a *advice) body() []Mend {
	return []Mend{
		{"nginx", inLocation, lines(fmt.Sprintf("client_max_body_size %dk;", (a.bytes+1023)/1024)), lines("client_max_body_size")},
		{"haproxy", inFrontend, nil, lines("http-request deny if { req.body_size", "http-request deny if { req.hdr(content-length)", "http-request deny deny_status 413")},
		{"caddy", inSite, lines(fmt.Sprintf("request_body {\n\tmax_size %d\n}", a.bytes)), lines("request_body")},
		{"apache", inHost, nil, lines("SecRequestBodyLimit", "RewriteCond %{HTTP:Content-Length}")},
	}
}

func (a *advice) upgrade() []Mend {
	return []Mend{
		{"nginx", inLocation, lines("proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;", "proxy_set_header Connection $http_connection;"), lines("proxy_http_version", "proxy_set_header Upgrade", "proxy_set_header Connection")},
		{"haproxy", inBackend, lines("timeout tunnel " + a.silent()), lines("http-request del-header Upgrade", "http-request del-header Connection", "http-request set-header Connection", "http-request set-header Upgrade", "option httpclose")},
		{"caddy", inProxy, nil, lines("header_up -Upgrade", "header_up -Connection", "header_up Connection", "header_up Upgrade")},
		{"apache", inHost, lines(a.apachePass()), lines("ProxyPass", "RewriteRule", "RequestHeader unset Upgrade", "RequestHeader unset Connection", "SetEnv force-proxy-request-1.0")},
	}
}

func (a *advice) version() []Mend {
	return []Mend{
		{"nginx", inLocation, lines("proxy_http_version 1.1;"), lines("proxy_http_version")},
		{"haproxy", inBackend, nil, lines("http-request deny if HTTP_1.1")},
		{"caddy", inProxy, nil, lines("versions")},
		{"apache", inHost, nil, lines("SetEnv force-proxy-request-1.0", "SetEnv proxy-nokeepalive", "SetEnv downgrade-1.0")},
	}
}

func (a *advice) idle() []Mend {
	s := a.silent()
	return []Mend{
		{"nginx", inLocation, lines("proxy_read_timeout "+s+";", "proxy_send_timeout "+s+";"), lines("proxy_read_timeout", "proxy_send_timeout")},
		{"haproxy", "defaults", lines("timeout client "+s, "timeout server "+s, "timeout tunnel "+s), lines("timeout client ", "timeout server ", "timeout tunnel ")},
		{"caddy", inProxy, lines("transport http {\n\tresponse_header_timeout " + s + "\n}"), lines("response_header_timeout", "read_timeout", "write_timeout", "transport")},
		{"apache", inHost, lines(fmt.Sprintf("ProxyTimeout %d", a.seconds), a.apachePass()), lines("ProxyTimeout", "ProxyPass")},
	}
}

// cut is against bounds on the time of a whole answer. nginx and haproxy have none but on
// silence.
func (a *advice) cut() []Mend {
	s := a.silent()
	return []Mend{
		{"nginx", inLocation, lines("proxy_read_timeout "+s+";", "send_timeout "+s+";"), lines("proxy_read_timeout", "send_timeout", "limit_rate")},
		{"haproxy", "defaults", lines("timeout client "+s, "timeout server "+s, "timeout tunnel "+s), lines("timeout client ", "timeout server ", "timeout tunnel ")},
		{"caddy", "servers", lines("timeouts {\n\twrite 0\n}"), lines("timeouts")},
		{"apache", inHost, lines(fmt.Sprintf("ProxyTimeout %d", a.seconds), fmt.Sprintf("TimeOut %d", a.seconds)), lines("ProxyTimeout", "TimeOut")},
	}
}

func (a *advice) authorization() []Mend {
	return []Mend{
		{"nginx", inLocation, nil, lines("proxy_set_header Authorization", "auth_basic")},
		{"haproxy", inBackend, nil, lines("http-request del-header Authorization", "http-request set-header Authorization")},
		{"caddy", inProxy, nil, lines("header_up -Authorization", "header_up Authorization")},
		{"apache", inHost, nil, lines("RequestHeader unset Authorization", "RequestHeader set Authorization")},
	}
}

func (a *advice) buffering() []Mend {
	return []Mend{
		{"nginx", inLocation, lines("proxy_buffering off;"), lines("proxy_buffering", "limit_rate", "limit_req")},
		{"haproxy", inBackend, nil, lines("http-response lua.", "tcp-response inspect-delay", "tcp-response content", "tcp-request inspect-delay", "http-response wait-for-body", "filter bwlim-out")},
		{"caddy", inProxy, lines("flush_interval -1"), lines("buffer_responses", "response_buffers", "flush_interval")},
		{"apache", inHost, lines(a.apachePass() + " flushpackets=on"), lines("ProxyPass", "SetOutputFilter", "SetEnv rate-limit")},
	}
}

func (a *advice) headers() []Mend {
	return []Mend{
		{"nginx", inLocation, nil, lines("add_header Access-Control-", "add_header Content-Type", "proxy_hide_header Access-Control-", "sub_filter", "if ($request_method")},
		{"haproxy", inBackend, nil, lines("http-response set-header Access-Control-", "http-response add-header Access-Control-", "http-response del-header Access-Control-", "http-after-response set-header Access-Control-", "http-response set-header Content-Type")},
		{"caddy", inSite, nil, lines("header Access-Control-", "header +Access-Control-", "header -Access-Control-", "header Content-Type", "header_down")},
		{"apache", inHost, nil, lines("Header set Access-Control-", "Header add Access-Control-", "Header always set Access-Control-", "Header unset Access-Control-", "Header always add Access-Control-", "Header always unset Access-Control-", "Header set Content-Type")},
	}
}

func (a *advice) cookies() []Mend {
	return []Mend{
		{"nginx", inLocation, lines("proxy_pass_header Set-Cookie;"), lines("proxy_hide_header Set-Cookie", "proxy_ignore_headers Set-Cookie", `proxy_set_header Cookie ""`)},
		{"haproxy", inBackend, nil, lines("http-response del-header Set-Cookie", "http-request del-header Cookie")},
		{"caddy", inProxy, nil, lines("header_down -Set-Cookie", "header_up -Cookie")},
		{"apache", inHost, nil, lines("Header unset Set-Cookie", "Header always unset Set-Cookie", "RequestHeader unset Cookie")},
	}
}

func (a *advice) compression() []Mend {
	return []Mend{
		{"nginx", inLocation, lines("gzip off;"), lines("gzip")},
		{"haproxy", inBackend, nil, lines("compression")},
		{"caddy", inSite, nil, lines("encode")},
		{"apache", inHost, lines("SetEnv no-gzip 1", "SetEnv no-brotli 1"), lines("SetOutputFilter", "AddOutputFilterByType")},
	}
}

func (a *advice) keepAlive() []Mend {
	return []Mend{
		{"nginx", inServer, lines("keepalive_timeout 75s;"), lines("keepalive_timeout", "keepalive_requests")},
		{"haproxy", "defaults", lines("option http-keep-alive", "timeout http-keep-alive 75s"), lines("option httpclose", "option http-server-close", "timeout http-keep-alive")},
		{"caddy", "servers", lines("timeouts {\n\tidle 75s\n}"), lines("keepalive_interval", "timeouts")},
		{"apache", inHost, lines("KeepAlive On", "KeepAliveTimeout 75"), lines("KeepAlive", "SetEnv nokeepalive")},
	}
}

func (a *advice) http2() []Mend {
	return []Mend{
		{"nginx", inServer, lines("listen 443 ssl;"), lines("listen 443 ssl http2", "http2 on")},
		{"haproxy", inFrontend, lines("bind :443 ssl crt /etc/haproxy/" + a.host + ".pem alpn http/1.1"), lines("bind")},
		{"caddy", "servers", lines("protocols h1"), lines("protocols")},
		{"apache", inHost, lines("Protocols http/1.1"), lines("Protocols")},
	}
}

func (a *advice) forwarded() []Mend {
	return []Mend{
		{"nginx", inLocation, lines("proxy_set_header X-Forwarded-For $remote_addr;"), lines("proxy_set_header X-Forwarded-For")},
		{"haproxy", inFrontend, lines("http-request set-header X-Forwarded-For %[src]"), lines("http-request set-header X-Forwarded-For", "http-request add-header X-Forwarded-For", "http-request del-header X-Forwarded-For", "option forwardfor")},
		{"caddy", inProxy, lines("header_up X-Forwarded-For {remote_host}"), lines("header_up X-Forwarded-For", "header_up -X-Forwarded-For", "trusted_proxies")},
		{"apache", inHost, lines("ProxyAddHeaders On", "RequestHeader unset X-Forwarded-For early"), lines("ProxyAddHeaders", "RequestHeader set X-Forwarded-For", "RequestHeader unset X-Forwarded-For")},
	}
}
