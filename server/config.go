package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// AnyPort, in a field that holds a port, means any free one. The addresses that
// were got are in the log, and in [Server.Addrs].
const AnyPort = -1

// A Config is everything that an operator may choose. A field's zero value means
// the default that [Settings] names. [FromEnv] makes one and checks it; one made
// by hand is not checked.
type Config struct {
	LogLevel  slog.Level // LOG_LEVEL: records below it are not written
	LogFormat string     // LOG_FORMAT: "text" or "json"

	Network  NetworkConfig  // what the ports of all dialects share
	SocketIO SocketIOConfig // what all dialects over socket.io share
	Poosh    PooshConfig
	Pusher   PusherConfig

	Socktopus  SocktopusConfig
	PushSocket PushSocketConfig
}

// A NetworkConfig holds what the ports of all dialects share.
type NetworkConfig struct {
	Host           string         // HOST: empty for all addresses, IPv4 and IPv6
	TrustedProxies []netip.Prefix // TRUSTED_PROXIES: nil for loopback, empty but not nil for none

	MaxConnections           int // MAX_CONNECTIONS: sockets that clients have open
	MaxConnectionsPerAddress int // MAX_CONNECTIONS_PER_ADDRESS

	MaxSenderConnections           int // MAX_SENDER_CONNECTIONS: sockets that senders have open
	MaxSenderConnectionsPerAddress int // MAX_SENDER_CONNECTIONS_PER_ADDRESS

	InputBytes   int64 // INPUT_BYTES: requests and messages that have not arrived whole
	RoomBytes    int64 // ROOM_BYTES: of the rooms that all connections are in
	OutboxBytes  int   // OUTBOX_BYTES: waiting for one connection
	BacklogBytes int64 // BACKLOG_BYTES: waiting for all connections

	HeaderTimeout   time.Duration // HEADER_TIMEOUT: for a request's head to arrive
	BodyTimeout     time.Duration // BODY_TIMEOUT: for a request's body to arrive
	IdleTimeout     time.Duration // IDLE_TIMEOUT: between two requests
	WriteTimeout    time.Duration // WRITE_TIMEOUT: for a socket to take something
	ShutdownTimeout time.Duration // SHUTDOWN_TIMEOUT: for everything accepted to leave
}

// Addr is where a port is listened on, in the form that net.Listen takes.
func (n NetworkConfig) Addr(port int) string {
	if port == AnyPort {
		port = 0
	}
	return net.JoinHostPort(n.Host, strconv.Itoa(port))
}

// groups is all settings, in the order in which a person wants to read them. A
// dialect adds its group here and its fields to Config.
var groups = []group{pooshSettings, pusherSettings, socktopusSettings, pushSocketSettings, socketIOSettings, networkSettings, logSettings}

var networkSettings = group{
	title: "Network",
	settings: []setting{
		{name: "HOST", help: "Address or host name to listen on; empty for all addresses, IPv4 and IPv6",
			field: host(func(c *Config) *string { return &c.Network.Host })},
		{name: "TRUSTED_PROXIES", def: "127.0.0.0/8,::1", help: "Proxies whose X-Forwarded-For is believed: addresses and networks with commas between, or none",
			field: networks(func(c *Config) *[]netip.Prefix { return &c.Network.TrustedProxies })},
		{name: "MAX_CONNECTIONS", def: "100000", help: "Connections that clients may have open at once; more are refused",
			field: count(func(c *Config) *int { return &c.Network.MaxConnections }, 1, 10_000_000)},
		{name: "MAX_CONNECTIONS_PER_ADDRESS", def: "10000", help: "Connections that clients of one address may have open at once",
			field: count(func(c *Config) *int { return &c.Network.MaxConnectionsPerAddress }, 1, 10_000_000)},
		{name: "MAX_SENDER_CONNECTIONS", def: "2000", help: "Connections that senders may have open at once, beside those of clients; for one more the one is closed that was silent longest",
			field: count(func(c *Config) *int { return &c.Network.MaxSenderConnections }, 1, 1_000_000)},
		{name: "MAX_SENDER_CONNECTIONS_PER_ADDRESS", def: "1000", help: "Connections that senders of one address may have open at once",
			field: count(func(c *Config) *int { return &c.Network.MaxSenderConnectionsPerAddress }, 1, 1_000_000)},
		{name: "INPUT_BYTES", def: "64MiB", help: "Bytes of messages and requests of clients that have not arrived whole, all together, and as many of senders; one address may have a fourth, and an eighth is for networks that have but little, and another one for those who hold up to 16 KiB",
			field: size(func(c *Config) *int64 { return &c.Network.InputBytes }, "1MiB", "1024GiB")},
		{name: "ROOM_BYTES", def: "256MiB", help: "Bytes that the rooms and public channels of all connections may take, a name and 300 for each room, 2,500 for each channel; whoever wants one above that is refused, and those of one address may have a fourth",
			field: size(func(c *Config) *int64 { return &c.Network.RoomBytes }, "1MiB", "1024GiB")},
		{name: "OUTBOX_BYTES", def: "1MiB", help: "Bytes that may wait for one connection before it is closed as too slow; unset, at least 8 times MAX_BODY_BYTES",
			field: size(func(c *Config) *int { return &c.Network.OutboxBytes }, "1KiB", "1GiB")},
		{name: "BACKLOG_BYTES", def: "512MiB", help: "Bytes that may wait to be written before a send is answered 503; as many may wait for clients that take nothing before these are closed",
			field: size(func(c *Config) *int64 { return &c.Network.BacklogBytes }, "1MiB", "1024GiB")},
		{name: "HEADER_TIMEOUT", def: "10s", help: "Time for the head of a request to arrive",
			field: span(func(c *Config) *time.Duration { return &c.Network.HeaderTimeout }, time.Second, time.Hour)},
		{name: "BODY_TIMEOUT", def: "30s", help: "Time for the body of a request to arrive",
			field: span(func(c *Config) *time.Duration { return &c.Network.BodyTimeout }, time.Second, time.Hour)},
		{name: "IDLE_TIMEOUT", def: "75s", help: "Time a kept-alive connection may wait for its next request",
			field: span(func(c *Config) *time.Duration { return &c.Network.IdleTimeout }, time.Second, time.Hour)},
		{name: "WRITE_TIMEOUT", def: "60s", help: "A connection that takes nothing of what waits for it for so long is closed",
			field: span(func(c *Config) *time.Duration { return &c.Network.WriteTimeout }, time.Second, time.Hour)},
		{name: "SHUTDOWN_TIMEOUT", def: "10s", help: "Time for everything accepted to leave after SIGTERM or SIGINT",
			field: span(func(c *Config) *time.Duration { return &c.Network.ShutdownTimeout }, 100*time.Millisecond, time.Hour)},
	},
	check: func(c *Config, m *mistakes) {
		if int64(c.Network.OutboxBytes) > c.Network.BacklogBytes && !m.has("OUTBOX_BYTES", "BACKLOG_BYTES") {
			m.add("BACKLOG_BYTES", "is %d: want at least OUTBOX_BYTES, which is %d", c.Network.BacklogBytes, c.Network.OutboxBytes)
		}
	},
}

var logSettings = group{
	title: "Log",
	settings: []setting{
		{name: "LOG_LEVEL", def: "info", help: "debug (a line for each send and connection), info, warn or error",
			field: choice(func(c *Config) *slog.Level { return &c.LogLevel }, []string{"debug", "info", "warn", "error"},
				[]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError})},
		{name: "LOG_FORMAT", def: "text", help: "text or json, written to standard error",
			field: choice(func(c *Config) *string { return &c.LogFormat }, []string{"text", "json"}, []string{"text", "json"})},
	},
}

// Settings lists every setting in the order in which a person wants to read them.
func Settings() []Setting {
	var list []Setting
	for _, g := range groups {
		for _, s := range g.settings {
			list = append(list, Setting{g.title, s.name, s.def, s.help})
		}
	}
	return list
}

// FromEnv makes a Config of the settings that lookup finds, with every default in
// place. Nobody else reads the environment. An empty value counts as unset, save
// for the ports, where the Node server refused it too; a name that no setting has
// is not looked at.
//
// The error has one line for each mistake, all of them: the setting, its value
// unless that is a secret, and what would be right.
//
// names are those that are set, for the settings whose name is a pattern; see
// [Names].
func FromEnv(lookup func(name string) (string, bool), names ...string) (Config, error) {
	var c Config
	var m mistakes
	for _, g := range groups {
		for _, s := range g.settings {
			raw, ok := lookup(s.name)
			text := strings.TrimSpace(raw)
			switch {
			case s.secret && raw != "":
				if err := s.field.set(&c, raw); err != nil {
					m.add(s.name, "%w", err)
				}
			case text != "":
				if err := s.field.set(&c, text); err != nil {
					m.add(s.name, "is %s: %w", shown(text), err)
				}
			case ok && s.emptyWrong:
				m.add(s.name, "is set but empty: %w; unset, it is %s", s.field.set(&c, text), s.def)
			}
		}
	}
	for _, g := range groups {
		if g.gather != nil {
			g.gather(&c, &m, lookup, names)
		}
	}
	if !slices.ContainsFunc(groups, func(g group) bool { return g.on != nil && g.on(&c) }) {
		m.add("SERVER_SECRET", "%s", missingSecret)
	}
	c = c.withDefaults()
	for _, g := range groups {
		if g.check != nil {
			g.check(&c, &m)
		}
	}
	if m.lines != nil {
		return Config{}, errors.Join(m.lines...)
	}
	return c, nil
}

// Warnings says what the settings have that is not wise, one line each: for the log
// at the start. No line shows a secret.
func (c Config) Warnings() []string {
	var lines []string
	for _, g := range groups {
		if g.warn != nil {
			lines = append(lines, g.warn(&c)...)
		}
	}
	return lines
}

// wiseSecret is the length in characters below which a secret is warned of.
const wiseSecret = 16

// shortSecret warns of a secret that may be guessed.
func shortSecret(name, value string) []string {
	if value == "" || utf8.RuneCountInString(value) >= wiseSecret {
		return nil
	}
	return []string{fmt.Sprintf("%s is short enough to be guessed: want at least %d characters, such as `openssl rand -hex 32` prints", name, wiseSecret)}
}

// withDefaults returns c with every zero field set to its default. [New] calls it,
// so that a Config made by hand names only what it changes.
func (c Config) withDefaults() Config {
	unset := c.Network.OutboxBytes == 0
	for _, g := range groups {
		for _, s := range g.settings {
			if s.def != "" && s.field.isZero(&c) {
				if err := s.field.set(&c, s.def); err != nil {
					panic(s.name + ": " + err.Error()) // a test sets every default
				}
			}
		}
	}
	if unset {
		// One event of the largest size must fit, also when it grows on its way.
		c.Network.OutboxBytes = max(c.Network.OutboxBytes, 8*c.Poosh.MaxBodyBytes)
	}
	return c
}

// mistakes gathers what is wrong with the environment, one line each and no more
// than one for a setting.
type mistakes struct {
	lines []error
	names []string
}

func (m *mistakes) add(name, format string, args ...any) {
	if slices.Contains(m.names, name) {
		return
	}
	m.names = append(m.names, name)
	m.lines = append(m.lines, fmt.Errorf(name+" "+format, args...))
}

// has reports whether one of the settings is known to be wrong, so that what is
// seen in the Config is not what the person wrote.
func (m *mistakes) has(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(m.names, n) })
}

// shown quotes a value for a message: on one line and not endless.
func shown(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		text = string(runes[:60]) + "..."
	}
	return strconv.Quote(text)
}
