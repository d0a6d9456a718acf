package cluster

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Engine is where Redis or Valkey is: one, several of a Redis Cluster, or Sentinels that
// know. Its zero value is none.
type Engine struct {
	addresses []string // host:port
	tls       bool
	user      string
	password  string
	db        int

	master           string // what Sentinels call the primary; empty without them
	sentinelUser     string // for the Sentinels themselves
	sentinelPassword string
}

// IsZero reports whether there is none.
func (e Engine) IsZero() bool { return len(e.addresses) == 0 }

// Hosts are the addresses that it is given by, as host:port: with Sentinels theirs.
func (e Engine) Hosts() []string { return slices.Clone(e.addresses) }

// At is one of several servers that each do for what is wanted, as any of a Redis Cluster does for
// messages: the first, the next, and the first again behind the last. Sentinels stay as they are.
func (e Engine) At(turn int) Engine {
	if e.master == "" {
		e.addresses = e.addresses[turn%len(e.addresses):][:1]
	}
	return e
}

// Servers is how many different ones At has.
func (e Engine) Servers() int {
	if e.master != "" {
		return 1
	}
	return len(e.addresses)
}

// Toward returns the address by which this machine reaches the first of them, which tells nothing
// of whether it is there.
func (e Engine) Toward() (net.IP, error) {
	c, err := net.DialTimeout("udp", e.addresses[0], 5*time.Second) // sends nothing
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP, nil
}

// String is where the engine is, with no secret in it.
func (e Engine) String() string {
	text := "redis"
	if e.tls {
		text += "s"
	}
	if e.master != "" {
		text += "-sentinel"
	}
	text += "://" + strings.Join(e.addresses, ",")
	if e.master != "" {
		text += "/" + e.master
	}
	if e.db != 0 {
		text += "/" + strconv.Itoa(e.db)
	}
	return text
}

// The schemes: with TLS or without, a server or Sentinels.
var schemes = map[string]struct{ tls, sentinel bool }{
	"redis": {}, "rediss": {tls: true}, "valkey": {}, "valkeys": {tls: true},
	"redis-sentinel": {sentinel: true}, "rediss-sentinel": {tls: true, sentinel: true},
}

var errEngine = errors.New("want redis://host:6379, rediss:// for TLS, several addresses of a Redis Cluster with commas between, or redis-sentinel://host:26379,host:26379/NAME; in front of the first address user:password@ where that is wanted, with %40 for @ and the like")

// ParseEngine reads the URL of an engine:
//
//	redis[s]://[[user]:password@]host[:port][,host[:port]...][/database]
//	redis[s]-sentinel://[[user]:password@]host[:port][,...]/master[/database][?user=...&password=...]
//
// User and password are those of the servers; the query has those of the Sentinels. No error has
// a part of text in it: there are passwords in that.
//
// Why our own: url.Parse takes no list of hosts and shows the password in its errors, and
// rueidis.ParseURL knows no Sentinels.
func ParseEngine(text string) (Engine, error) {
	var e Engine
	scheme, rest, found := strings.Cut(text, "://")
	kind, known := schemes[strings.ToLower(scheme)]
	if !found || !known {
		return Engine{}, errEngine
	}
	e.tls = kind.tls
	rest, query, _ := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		var ok bool
		if e.user, e.password, ok = userinfo(rest[:at]); !ok {
			return Engine{}, errors.New("has a user or password that cannot be read: want user:password@ or :password@, with %40 for @, %2F for /, %3F for ? and %25 for %")
		}
		rest = rest[at+1:]
	}
	hosts, path, _ := strings.Cut(rest, "/")
	port := "6379"
	if kind.sentinel {
		port = "26379"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		address, ok := hostPort(strings.TrimSpace(host), port)
		if !ok {
			return Engine{}, errEngine
		}
		e.addresses = append(e.addresses, address)
	}
	if kind.sentinel {
		e.master, path, _ = strings.Cut(path, "/")
		if e.master == "" {
			return Engine{}, errors.New("names no primary: want redis-sentinel://host:26379/NAME, with the name by which the Sentinels know it")
		}
	}
	if err := e.options(path, query, kind.sentinel); err != nil {
		return Engine{}, err
	}
	return e, nil
}

// options reads the database and what stands in the query.
func (e *Engine) options(database, query string, sentinel bool) error {
	if database != "" {
		n, err := strconv.ParseUint(database, 10, 16)
		if err != nil {
			return errors.New("want a number of a database behind the last /, or nothing")
		}
		e.db = int(n)
	}
	if e.db != 0 && len(e.addresses) > 1 && !sentinel {
		return errors.New("names a database, and several addresses: a Redis Cluster has database 0 alone")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("has something behind ? that cannot be read: want user=...&password=... of the Sentinels, or nothing")
	}
	for name := range values {
		if !sentinel || name != "user" && name != "password" {
			return errors.New("has something behind ? that is not known: want user and password of Sentinels there, or nothing")
		}
	}
	e.sentinelUser, e.sentinelPassword = values.Get("user"), values.Get("password")
	return nil
}

func userinfo(text string) (user, password string, ok bool) {
	user, password, _ = strings.Cut(text, ":")
	user, err := url.PathUnescape(user)
	if err != nil {
		return "", "", false
	}
	password, err = url.PathUnescape(password)
	if err != nil || strings.ContainsAny(text, "/ ") {
		return "", "", false
	}
	return user, password, true
}

// hostPort is an address with its port, which is standard where none is named.
func hostPort(text, standard string) (address string, ok bool) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), standard
		if strings.Contains(host, ":") && (len(host) == len(text) || !isAddress(host)) {
			return "", false // an address of IPv6 wants brackets, or this is none
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" || strings.ContainsAny(host, "[]@/ \t\r\n\x00:") && !isAddress(host) {
		return "", false
	}
	return net.JoinHostPort(host, port), true
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}
