package cluster

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"poosh/server/setting"
)

// Config is what an operator may choose. Fields that are zero mean the defaults of
// [Config.Settings].
type Config struct {
	Redis    Engine // zero for a process that is alone
	Prefix   string // in front of every key and channel
	WhenDown WhenDown
	Addr     string // where other nodes reach this one; empty for a free port
	Secret   string // of what nodes ask each other; empty for one that the engine keeps

	Lease      time.Duration // how long a node counts as there that says nothing
	Timeout    time.Duration // of one command
	Backlog    int           // bytes that the engine keeps of a sixteenth of the rooms for who is cut off; negative for none
	QueueBytes int           // that wait, for the engine and from it
}

// WhenDown says what becomes of a send while the engine is away.
type WhenDown uint8

// The choices.
const (
	Refuse WhenDown = iota // the sender is told, and tries again
	Local                  // it reaches the clients of this process alone
)

// On reports whether there is to be a cluster.
func (c *Config) On() bool { return !c.Redis.IsZero() }

// Settings declares what c is filled with.
func (c *Config) Settings() *setting.Group {
	return &setting.Group{
		Title: "Cluster",
		On:    c.On,
		Check: c.check,
		Warn:  func() []string { return setting.WeakSecret("CLUSTER_SECRET", c.Secret) },
		Settings: []setting.Setting{
			{Name: "CLUSTER_REDIS", Help: "Redis 7 or Valkey through which several nodes act as one, such as redis://user:password@host:6379; redis-sentinel://host,host/NAME for Sentinels; unset, this process is alone",
				Value: setting.Of(&c.Redis, ParseEngine), Secret: true},
			{Name: "CLUSTER_PREFIX", Default: "poosh", Help: "What the names of all keys and channels begin with; clusters on one Redis need different ones",
				Value: setting.Of(&c.Prefix, parsePrefix)},
			{Name: "CLUSTER_WHEN_DOWN", Default: "refuse", Help: "What becomes of a send while Redis is away: refuse answers 503, local reaches the clients of this node alone",
				Value: setting.Choice(&c.WhenDown, []string{"refuse", "local"}, []WhenDown{Refuse, Local})},
			{Name: "CLUSTER_ADDR", Help: "host:port where other nodes reach this one, which it listens on; unset, a free port at the address by which it reaches Redis",
				Value: setting.Of(&c.Addr, parseAddr)},
			{Name: "CLUSTER_SECRET", Help: "Secret that nodes sign with what they ask each other, at least 16 characters; unset, one that is made once and kept in Redis",
				Value: setting.Of(&c.Secret, parseSecret), Secret: true},
			{Name: "CLUSTER_LEASE", Default: "10s", Help: "How long a node that says nothing counts as there; it says something four times as often",
				Value: setting.Span(&c.Lease, 3*time.Second, 5*time.Minute)},
			{Name: "CLUSTER_TIMEOUT", Default: "2s", Help: "How long Redis may take for an answer, and a send wait for Redis; at the start it may take five times that until it is there",
				Value: setting.Span(&c.Timeout, 100*time.Millisecond, time.Minute)},
			{Name: "CLUSTER_BACKLOG", Default: "4MiB", Help: "Bytes of events that Redis keeps of each sixteenth of the rooms for nodes that are cut off, which have to close clients if they missed more; or off",
				Value: setting.Of(&c.Backlog, parseBacklog)},
			{Name: "CLUSTER_QUEUE_BYTES", Default: "32MiB", Help: "Bytes of events that wait for Redis, and as many that come from it, before senders are refused or the node starts afresh",
				Value: setting.Size(&c.QueueBytes, "1MiB", "1GiB")},
		},
	}
}

func (c *Config) check(m *setting.Mistakes) {
	// A node that is given up has none of its publications in doubt any more.
	if c.Lease < 2*c.Timeout && !m.Has("CLUSTER_LEASE", "CLUSTER_TIMEOUT") {
		m.Add("CLUSTER_LEASE", "is %s: want at least twice CLUSTER_TIMEOUT, which is %s", setting.SpanText(c.Lease), setting.SpanText(c.Timeout))
	}
	if c.On() || m.Has("CLUSTER_REDIS") {
		return
	}
	if c.Secret != "" && !m.Has("CLUSTER_SECRET") {
		m.Add("CLUSTER_SECRET", "is set without CLUSTER_REDIS: want that too")
	}
	if c.Addr != "" && !m.Has("CLUSTER_ADDR") {
		m.Add("CLUSTER_ADDR", "is set without CLUSTER_REDIS: want that too")
	}
}

// parsePrefix takes no braces: the prefix stands in a hash tag.
func parsePrefix(text string) (string, error) {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	if len(text) == 0 || len(text) > 32 || strings.Trim(text, chars) != "" {
		return "", errors.New("want 1 to 32 letters, digits, hyphens, underscores and dots")
	}
	return text, nil
}

func parseAddr(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	n, wrong := strconv.ParseUint(port, 10, 16)
	if err != nil || wrong != nil || n == 0 || host == "" {
		return "", errors.New("want host:port, such as 10.0.0.5:7000")
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "", errors.New("want an address that other nodes can reach, not that of all interfaces")
	}
	return text, nil
}

func parseBacklog(text string) (n int, err error) {
	if strings.EqualFold(text, "off") {
		return -1, nil
	}
	if setting.Size(&n, "64KiB", "1GiB").Set(text) != nil {
		return 0, errors.New("want a size from 64KiB to 1GiB, in bytes or with KB, MB, GB, KiB, MiB or GiB, or off")
	}
	return n, nil
}

func parseSecret(text string) (string, error) {
	if len(text) < 16 {
		return "", errors.New("is too short: want at least 16 characters")
	}
	return text, nil
}
