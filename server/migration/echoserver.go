package migration

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// echoServer reads laravel-echo-server.json, or its variables, and makes settings with which
// Laravel and pages go on as they are. Facts: laravel-echo-server 1.6.3, commit 967a11cc,
// src/echo-server.ts, src/server.ts, src/cli/cli.ts, src/channels, src/subscribers and README.md;
// and what ioredis 4 takes for databaseConfig.redis.
func echoServer() *source {
	return &source{
		name: "laravel-echo-server", product: "laravel-echo-server", version: "1.6.3",
		formats:   []format{formatJSON, formatEnv},
		rules:     echoServerRules(),
		variables: echoServerVariables,
		ours:      func(name string) bool { return strings.HasPrefix(name, "LARAVEL_ECHO_SERVER_") },
		finish:    echoServerFinish,
	}
}

const echoServerVariables = `
LARAVEL_ECHO_SERVER_AUTH_HOST authHost
LARAVEL_ECHO_SERVER_DEBUG devMode
LARAVEL_ECHO_SERVER_HOST host
LARAVEL_ECHO_SERVER_PORT port
LARAVEL_ECHO_SERVER_REDIS_HOST databaseConfig.redis.host
LARAVEL_ECHO_SERVER_REDIS_PORT databaseConfig.redis.port
LARAVEL_ECHO_SERVER_REDIS_PASSWORD databaseConfig.redis.password
LARAVEL_ECHO_SERVER_PROTO protocol
LARAVEL_ECHO_SERVER_SSL_CERT sslCertPath
LARAVEL_ECHO_SERVER_SSL_KEY sslKeyPath
LARAVEL_ECHO_SERVER_SSL_CHAIN sslCertChainPath
LARAVEL_ECHO_SERVER_SSL_PASS sslPassphrase
`

func echoServerRules() []rule {
	const (
		redis  = "databaseConfig.redis"
		memory = "members of presence channels are those who are connected: there is nothing to keep"
		option = "is an option of the client of Redis there, and Poosh's has none such"
	)
	return []rule{
		{keys: "authHost authEndpoint", take: partOf("ECHO_AUTH_URL")},
		{keys: "clients.*.appId clients.*.key", take: partOf("ECHO_KEYS")},
		{keys: "clients", says: "there is no HTTP API without keys"},
		{keys: redis + ": host port username password family sentinelPassword sentinelUsername name", take: partOf("ECHO_REDIS")},
		{keys: redis + ".sentinels.*: host port", take: partOf("ECHO_REDIS")},
		{keys: redis + ": sentinels tls tls.**", take: partOf("ECHO_REDIS")},
		{keys: redis + ".path", look: set, says: "a socket of Unix is no address that Poosh takes: set ECHO_REDIS by hand"},
		{keys: redis + ".db", says: "what is published is seen in all databases"},
		{keys: redis + ".keyPrefix", take: partOf("ECHO_PREFIX")},
		{keys: redis + " " + redis + ".**", says: option},
		{keys: "database databaseConfig.sqlite databaseConfig.sqlite.databasePath", says: memory},
		{keys: "databaseConfig.publishPresence", look: on, says: "set ECHO_PUBLISH_PRESENCE=on where the application listens to PresenceChannelUpdated", same: memory},
		{keys: "devMode", says: "LOG_LEVEL=debug"},
		{keys: "host", take: toSetting("HOST", words)},
		{keys: "port", take: toSetting("ECHO_PORT", count(1, 65535))},
		{keys: "protocol", says: "TLS_CERT and TLS_KEY are what makes it https"},
		{keys: "sslCertPath", take: partOf("TLS_CERT")},
		{keys: "sslKeyPath", take: partOf("TLS_KEY")},
		{keys: "sslCertChainPath", look: set, says: "append this file to that of TLS_CERT, which has the certificate and those between it and the authority"},
		{keys: "sslPassphrase", look: set, says: "a key with a passphrase is not read: take it off with openssl pkey"},
		{keys: "secureOptions", says: "TLS is 1.2 or newer"},
		{keys: "socketio.path", look: other("", "/socket.io", "/socket.io/"), says: "Poosh has Socket.IO at /socket.io/ alone", same: "is where it is here too"},
		{keys: "socketio socketio.**", says: "docs/settings.md has what there is to set of Socket.IO"},
		{keys: "subscribers.http", says: "events over HTTP are taken from who has one of ECHO_KEYS"},
		{keys: "subscribers.redis", look: off, says: "ECHO_REDIS is set all the same: without it nothing of laravel-echo is served", same: "ECHO_REDIS is that"},
		{keys: "subscribers", says: "both are there"},
		{keys: "headers headers.**", look: set, says: "answers have no other headers than Poosh's: a proxy in front adds them"},
		{keys: "apiOriginAllow.allowOrigin", take: partOf("ECHO_API_ORIGIN")},
		{keys: "apiOriginAllow: allowCors allowMethods allowHeaders", says: "ECHO_API_ORIGIN is what there is to set"},
	}
}

// partOf is for keys that mean something only together with others: echoServerFinish reads them
// from the draft. The report names the setting alone, since others may have a password.
func partOf(name string) taker {
	return func(_ *draft, e *entry) taken {
		switch e.value.(type) {
		case expression, unset:
			got := wrong(e.value, "a text")
			return taken{says: got.says, look: got.look}
		}
		if isEmpty(e.value) {
			return taken{}
		}
		return taken{as: name}
	}
}

// off has a person look at a switch that is off.
func off(v any) bool {
	b, ok := boolOf(v)
	return !isEmpty(v) && ok && !b
}

// echoServerFinish makes addresses and lists of what stands in several keys.
func echoServerFinish(d *draft) {
	d.set["ECHO_REDIS"] = d.echoRedis()
	d.echoPrefix()
	d.echoAuth()
	d.echoKeys()
	d.echoTLS()
	if origin := d.text("apiOriginAllow", "allowOrigin"); origin != "" && d.switched([]string{"apiOriginAllow", "allowCors"}, false) {
		d.set["ECHO_API_ORIGIN"] = origin
	}
	d.note("Laravel and pages change nothing: BROADCAST_CONNECTION=redis and broadcaster 'socket.io' stay. docs/laravel-echo.md has what is different; --from laravel-echo-server-to-pusher makes a server of Pusher's protocol in its place.")
}

// text is a text that was found at a path, or a number as one; empty for none.
func (d *draft) text(path ...string) string {
	text, _ := textOf(d.values[joined(path)])
	return strings.TrimSpace(text)
}

// look notes something that a person must look at.
func (d *draft) look(format string, args ...any) {
	d.note(format, args...)
	d.report.Look = true
}

// echoRedis is the address of Redis, or of the Sentinels that know it.
func (d *draft) echoRedis() string {
	at := func(more ...string) string { return d.text(append([]string{"databaseConfig", "redis"}, more...)...) }
	scheme := "redis"
	if tls := d.values[joined([]string{"databaseConfig", "redis", "tls"})]; tls != nil || d.names["databaseConfig.redis.tls"] || d.hasBelow("databaseConfig.redis.tls.") {
		scheme = "rediss"
		d.look("The certificate of Redis has to be one that this machine trusts: options of tls are not taken over.")
	}
	login := ""
	if user, password := at("username"), at("password"); user != "" || password != "" {
		login = url.QueryEscape(user) + ":" + url.QueryEscape(password) + "@"
		login = strings.ReplaceAll(login, "+", "%20")
	}
	var sentinels []string
	for i := 0; ; i++ {
		n := strconv.Itoa(i)
		host := at("sentinels", n, "host")
		if host == "" {
			break
		}
		sentinels = append(sentinels, d.hostAndPort(host, at("sentinels", n, "port"), "26379"))
	}
	if len(sentinels) == 0 {
		return scheme + "://" + login + d.hostAndPort(at("host"), at("port"), "6379")
	}
	if at("name") == "" {
		d.look("databaseConfig.redis.name is missing: the end of ECHO_REDIS is to be what the Sentinels call the primary, and is mymaster for now.")
	}
	address := scheme + "-sentinel://" + login + strings.Join(sentinels, ",") + "/" + url.PathEscape(cmp.Or(at("name"), "mymaster"))
	if user, password := at("sentinelUsername"), at("sentinelPassword"); password != "" {
		query := url.Values{"password": {password}}
		if user != "" {
			query.Set("user", user)
		}
		address += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	}
	return address
}

// hasBelow reports whether a key was found whose name begins so.
func (d *draft) hasBelow(prefix string) bool {
	for name := range d.names {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// hostName is what an address may have before its port.
var hostName = regexp.MustCompile(`^[A-Za-z0-9._:-]+$`)

// hostAndPort is an address, of this machine where it is not said.
func (d *draft) hostAndPort(host, port, usual string) string {
	host = strings.Trim(host, "[]")
	if host != "" && !hostName.MatchString(host) {
		d.look("A host of databaseConfig.redis is no name and no address: ECHO_REDIS has this machine in its place.")
		host = ""
	}
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		d.look("A port of databaseConfig.redis is none: ECHO_REDIS has %s in its place.", usual)
		port = ""
	}
	return net.JoinHostPort(cmp.Or(host, "127.0.0.1"), cmp.Or(port, usual))
}

// echoPrefix is what channels begin with in Redis. Without it there every message counted.
func (d *draft) echoPrefix() {
	prefix, _ := textOf(d.values[joined([]string{"databaseConfig", "redis", "keyPrefix"})])
	switch {
	case prefix == "":
		d.set["ECHO_PREFIX"] = "*"
		d.look("ECHO_PREFIX=*: without a keyPrefix every message of that Redis counts as an event, whoever publishes it. Where Laravel has a prefix (database.redis.options.prefix), set ECHO_PREFIX to it.")
	case strings.ContainsAny(prefix, ",") || strings.TrimSpace(prefix) != prefix || prefix == "*":
		d.look("databaseConfig.redis.keyPrefix has a comma or blanks, which ECHO_PREFIX cannot have: it is left out.")
	default:
		d.set["ECHO_PREFIX"] = prefix
	}
}

// echoAuth is the address that is asked who may join: the first of several hosts, since which one
// it was a page decided.
func (d *draft) echoAuth() {
	hosts, _ := textsOf(d.values[joined([]string{"authHost"})])
	hosts = slices.DeleteFunc(hosts, func(h string) bool { return h == "" })
	if len(hosts) == 0 {
		hosts = []string{"http://localhost"} // its default
	}
	if len(hosts) > 1 {
		d.look("authHost has %d hosts, of which the header Referer of a page chose one: Poosh asks one address alone, and ECHO_AUTH_URL has the first. Run one server for each application.", len(hosts))
	}
	path := d.text("authEndpoint")
	if path == "" {
		path = "/broadcasting/auth"
	}
	address := hosts[0]
	if u, err := url.Parse(address + path); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" || strings.Contains(address+path, "#") {
		d.look("authHost and authEndpoint are together no http or https address: ECHO_AUTH_URL is left out, and nobody gets into private channels. Set it by hand.")
		return
	}
	if strings.HasPrefix(address, "https:") {
		d.look("ECHO_AUTH_URL is https: the certificate of the application has to be one that this machine trusts, which laravel-echo-server did not look at. SSL_CERT_FILE names a file with another authority.")
	}
	d.set["ECHO_AUTH_URL"] = address + path // as they stand there, one behind the other
}

// echoKeys are the keys of the HTTP API.
func (d *draft) echoKeys() {
	var list []string
	for i := 0; ; i++ {
		n := strconv.Itoa(i)
		id, key := d.text("clients", n, "appId"), d.text("clients", n, "key")
		_, found := d.values[joined([]string{"clients", n, "appId"})]
		_, other := d.values[joined([]string{"clients", n, "key"})]
		switch {
		case !found && !other:
			if len(list) > 0 {
				d.set["ECHO_KEYS"] = strings.Join(list, ",")
			}
			return
		case id == "" || key == "" || strings.ContainsAny(id, ":, \t") || strings.ContainsAny(key, ", \t"):
			d.look("Client %d has no appId and key that ECHO_KEYS can have, without commas and blanks: it is left out.", i)
		default:
			list = append(list, fmt.Sprintf("%s:%s", id, key))
		}
	}
}

// echoTLS has files of a certificate count where the protocol says so.
func (d *draft) echoTLS() {
	cert, key := d.text("sslCertPath"), d.text("sslKeyPath")
	switch {
	case !strings.EqualFold(d.text("protocol"), "https"):
	case cert == "" || key == "":
		d.look("protocol is https, and sslCertPath or sslKeyPath is missing: there is no TLS until TLS_CERT and TLS_KEY are set.")
	default:
		d.set["TLS_CERT"], d.set["TLS_KEY"] = cert, key
		d.note("TLS_CERT and TLS_KEY are read by this server, from where it is started: whole paths are best. They count for all its ports.")
	}
}
