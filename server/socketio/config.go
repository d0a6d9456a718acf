package socketio

import "time"

// Config holds the settings of a Socket.IO server. Zero fields mean the
// defaults named here.
type Config struct {
	PingInterval time.Duration // 25 s, as engine.io 1.5.1
	PingTimeout  time.Duration // 60 s, as engine.io 1.5.1

	// UpgradeTimeout is how long a WebSocket has to take over from polling
	// after it opened; 10 s.
	UpgradeTimeout time.Duration
	// ConnectTimeout is how long a client of protocol 4 has to ask for the default
	// namespace, and how long connecting it may take; 45 s.
	ConnectTimeout time.Duration
	// UnfinishedTimeout is how long a polling session waits for the first
	// request after its handshake; 20 s, or ConnectTimeout if that is less.
	UnfinishedTimeout time.Duration

	MaxPayload int // bytes of one POST or one incoming message; 100 KiB
	Outbox     int // what may wait for one client, as loop.Cost counts it; 1 MiB

	// Unfetched is how much may wait for all polling clients that do not poll, as
	// loop.Cost counts it; 512 MiB.
	Unfetched int64

	MaxSessions             int // in all; 100,000
	MaxSessionsPerAddress   int // 10,000
	MaxUnfinishedPerAddress int // polling sessions without a second request; 1,000

	// Origins are the pages' origins whose requests are served, in the form of the
	// Origin header ("https://example.com"); "*", or an empty list, allows all. A
	// request without an Origin, as other programs send it, is served; one of the
	// JSONP transport, which has none, counts by its Referer.
	Origins []string

	// ClientScript is what /socket.io/socket.io.js gives: an http or https
	// address to redirect to, or the path of a file. Empty: 404.
	ClientScript string
}

func (c Config) withDefaults() Config {
	def(&c.PingInterval, 25*time.Second)
	def(&c.PingTimeout, 60*time.Second)
	def(&c.UpgradeTimeout, 10*time.Second)
	def(&c.ConnectTimeout, 45*time.Second)
	def(&c.UnfinishedTimeout, min(20*time.Second, c.ConnectTimeout))
	def(&c.MaxPayload, 100<<10)
	def(&c.Outbox, 1<<20)
	def(&c.Unfetched, 512<<20)
	def(&c.MaxSessions, 100_000)
	def(&c.MaxSessionsPerAddress, 10_000)
	def(&c.MaxUnfinishedPerAddress, 1_000)
	return c
}

func def[T comparable](v *T, value T) {
	if *v == *new(T) {
		*v = value
	}
}
