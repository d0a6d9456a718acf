// Package network holds what the ports of all dialects share: where they are
// listened on, how much may come there, and how long things may take.
package network

import (
	"net"
	"net/netip"
	"strconv"
	"time"

	"poosh/server/loop"
	"poosh/server/setting"
	"poosh/server/websocket"
)

// A Config is what the ports of all dialects share.
type Config struct {
	Host           string         // empty for all addresses, IPv4 and IPv6
	TrustedProxies []netip.Prefix // empty for none

	MaxConnections           int // sockets that clients have open
	MaxConnectionsPerAddress int

	MaxSenderConnections           int // sockets that senders have open
	MaxSenderConnectionsPerAddress int

	InputBytes   int64 // requests and messages that have not arrived whole
	RoomBytes    int64 // of the rooms that all connections are in
	OutboxBytes  int   // waiting for one connection; 0 leaves it to the dialects
	BacklogBytes int64 // waiting for all connections

	HeaderTimeout   time.Duration // for a request's head to arrive
	BodyTimeout     time.Duration // for a request's body to arrive
	IdleTimeout     time.Duration // between two requests
	WriteTimeout    time.Duration // for a socket to take something
	ShutdownTimeout time.Duration // for everything accepted to leave
	DrainDelay      time.Duration // of it: nothing but /ready says so
	DrainTime       time.Duration // of it: clients leave, and senders stay; 0 for clients last, and soon
}

// Defaults returns what holds where nothing is set.
func Defaults() Config {
	var c Config
	setting.Fill(c.Settings().Settings)
	return c
}

// Addr is where a port is listened on, in the form that net.Listen takes.
func (c *Config) Addr(port int) string {
	if port == setting.AnyPort {
		port = 0
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(port))
}

// Settings describes the settings that fill c.
func (c *Config) Settings() *setting.Group {
	return &setting.Group{Title: "Network", Check: c.check, Settings: []setting.Setting{
		{Name: "HOST", Help: "Address or host name to listen on; empty for all addresses, IPv4 and IPv6",
			Value: setting.Host(&c.Host)},
		{Name: "TRUSTED_PROXIES", Default: "127.0.0.0/8,::1", Help: "Proxies whose X-Forwarded-For is believed: addresses and networks with commas between, or none",
			Value: setting.Networks(&c.TrustedProxies)},
		{Name: "MAX_CONNECTIONS", Default: "100000", Changes: setting.OnReload, Help: "Connections that clients may have open at once; more are refused",
			Value: setting.Count(&c.MaxConnections, 1, 10_000_000)},
		{Name: "MAX_CONNECTIONS_PER_ADDRESS", Default: "10000", Changes: setting.OnReload, Help: "Connections that clients of one address may have open at once",
			Value: setting.Count(&c.MaxConnectionsPerAddress, 1, 10_000_000)},
		{Name: "MAX_SENDER_CONNECTIONS", Default: "2000", Changes: setting.OnReload, Help: "Connections that senders may have open at once, beside those of clients; for one more the one is closed that was silent longest",
			Value: setting.Count(&c.MaxSenderConnections, 1, 1_000_000)},
		{Name: "MAX_SENDER_CONNECTIONS_PER_ADDRESS", Default: "1000", Changes: setting.OnReload, Help: "Connections that senders of one address may have open at once",
			Value: setting.Count(&c.MaxSenderConnectionsPerAddress, 1, 1_000_000)},
		{Name: "INPUT_BYTES", Default: "64MiB", Changes: setting.OnReload, Help: "Bytes of messages and requests of clients that have not arrived whole, all together, and as many of senders; one address may have a fourth. An eighth is for addresses that hold little, another one, of that fourth too, for those who hold up to 16 KiB",
			Value: setting.Size(&c.InputBytes, "1MiB", "1024GiB")},
		{Name: "ROOM_BYTES", Default: "256MiB", Changes: setting.OnReload, Help: "Bytes that the rooms and public channels of all connections may take, a name and 300 for each room, 2,500 for each channel; whoever wants one above that is refused. One address may have a fourth, and eighths are kept as of INPUT_BYTES",
			Value: setting.Size(&c.RoomBytes, "1MiB", "1024GiB")},
		{Name: "OUTBOX_BYTES", Default: setting.SizeText(loop.DefaultOutbox), Changes: setting.OnReload, Help: "Bytes that may wait for one connection before it is closed as too slow; unset, at least 8 times MAX_BODY_BYTES",
			Value: setting.Size(&c.OutboxBytes, "1KiB", "1GiB")},
		{Name: "BACKLOG_BYTES", Default: setting.SizeText(loop.DefaultMaxBlocked), Help: "Bytes that may wait to be written before a send is answered 503; as many may wait for clients that take nothing before these are closed",
			Value: setting.Size(&c.BacklogBytes, "1MiB", "1024GiB")},
		{Name: "HEADER_TIMEOUT", Default: "10s", Help: "Time for the head of a request to arrive",
			Value: setting.Span(&c.HeaderTimeout, time.Second, time.Hour)},
		{Name: "BODY_TIMEOUT", Default: setting.SpanText(websocket.DefaultMessageTimeout), Help: "Time for the body of a request to arrive",
			Value: setting.Span(&c.BodyTimeout, time.Second, time.Hour)},
		{Name: "IDLE_TIMEOUT", Default: "75s", Help: "Time a kept-alive connection may wait for its next request",
			Value: setting.Span(&c.IdleTimeout, time.Second, time.Hour)},
		{Name: "WRITE_TIMEOUT", Default: setting.SpanText(loop.DefaultWriteTimeout), Help: "A connection that takes nothing of what waits for it for so long is closed",
			Value: setting.Span(&c.WriteTimeout, time.Second, time.Hour)},
		{Name: "SHUTDOWN_TIMEOUT", Default: "10s", Changes: setting.OnReload, Help: "Time for everything accepted to leave after SIGTERM or SIGINT, DRAIN_DELAY and DRAIN_TIME included",
			Value: setting.Span(&c.ShutdownTimeout, 100*time.Millisecond, time.Hour)},
		{Name: "DRAIN_DELAY", Changes: setting.OnReload, Help: "Time between /ready answering 503 and anybody being turned away: as long as a balancer takes to notice; unset, none",
			Value: setting.Span(&c.DrainDelay, 0, time.Hour)},
		{Name: "DRAIN_TIME", Changes: setting.OnReload, Help: "Time over which clients leave in an even stream, with senders served until the last has left: for when another process takes over meanwhile; unset, senders end first and clients leave at 200 a second or faster",
			Value: setting.Span(&c.DrainTime, 0, time.Hour)},
	}}
}

func (c *Config) check(m *setting.Mistakes) {
	if int64(c.OutboxBytes) > c.BacklogBytes && !m.Has("OUTBOX_BYTES", "BACKLOG_BYTES") {
		m.Add("BACKLOG_BYTES", "is %d: want at least OUTBOX_BYTES, which is %d", c.BacklogBytes, c.OutboxBytes)
	}
	// A fourth of the time is left for what waits to be written, and for the last answers.
	if least := (c.DrainDelay + c.DrainTime) * 4 / 3; least > c.ShutdownTimeout && !m.Has("DRAIN_DELAY", "DRAIN_TIME", "SHUTDOWN_TIMEOUT") {
		m.Add("SHUTDOWN_TIMEOUT", "is %s: want at least %s, which is DRAIN_DELAY and DRAIN_TIME and a third more",
			setting.SpanText(c.ShutdownTimeout), setting.SpanText((least + time.Second - 1).Truncate(time.Second)))
	}
}
