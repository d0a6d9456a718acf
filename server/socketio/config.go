package socketio

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"poosh/server/closed"
	"poosh/server/metric"
	"poosh/server/network"
	"poosh/server/setting"
)

// Config holds the settings of a Socket.IO server. Zero fields mean the defaults of
// [Config.Settings] and of package network, or those named here.
type Config struct {
	PingInterval time.Duration // 25 s and 60 s, as engine.io 1.5.1
	PingTimeout  time.Duration

	// UpgradeTimeout is how long a WebSocket has to take over from polling
	// after it opened.
	UpgradeTimeout time.Duration
	// ConnectTimeout is how long a client of protocol 4 has to ask for the default
	// namespace, and how long connecting it may take.
	ConnectTimeout time.Duration
	// UnfinishedTimeout is how long a polling session waits for the first
	// request after its handshake; 20 s, or ConnectTimeout if that is less.
	UnfinishedTimeout time.Duration

	MaxPayload int // bytes of one POST or one incoming message
	Outbox     int // what may wait for one client, as loop.Cost counts it

	// Unfetched is how much may wait for all polling clients that do not poll, as
	// loop.Cost counts it.
	Unfetched int64

	MaxSessions             int // in all
	MaxSessionsPerAddress   int
	MaxUnfinishedPerAddress int // polling sessions without a second request

	// Origins are the pages' origins whose requests are served, in the form of the
	// Origin header ("https://example.com"); "*", or an empty list, allows all. A
	// request without an Origin, as other programs send it, is served; one of the
	// JSONP transport, which has none, counts by its Referer.
	Origins []string

	// Recovery says which clients of protocol 4 get back what they were, where the handler
	// can give it; see [Returner].
	Recovery Recovery

	// Closed is told of sessions that begin and end, and Traffic of what clients say; nil
	// for nobody.
	Closed  *closed.Source
	Traffic *metric.Traffic

	// Begin, if set, is shown the request that a session begins with. What it returns is
	// [Session.Data] for Connected; it must keep nothing of the request that may be large.
	Begin func(*http.Request) any

	// Node names this process among several that clients may come to: it begins the ids of
	// sessions. Passer hands on what is for a session of another of them. Empty and nil in one
	// process alone.
	Node   string
	Passer Passer

	// ClientScript is what /socket.io/socket.io.js gives: an http or https
	// address to redirect to, or the path of a file.
	ClientScript string
}

// defaultScript is the file that the Node server gave out itself: socket.io.js of
// the npm package socket.io-client 1.3.5. jsDelivr serves the files of npm
// packages as they are and keeps a published version for good.
const defaultScript = "https://cdn.jsdelivr.net/npm/socket.io-client@1.3.5/socket.io.js"

// Settings describes the settings that fill c, which all dialects over Socket.IO
// share.
func (c *Config) Settings() *setting.Group {
	return &setting.Group{Title: "Socket.IO", Within: []setting.Bound{{Name: "MAX_PACKET_BYTES", Of: "INPUT_BYTES", Why: setting.OfInput}}, Settings: []setting.Setting{
		{Name: "PING_INTERVAL", Default: "25s", Help: "Time between two heartbeats",
			Value: setting.Span(&c.PingInterval, time.Second, time.Hour)},
		{Name: "PING_TIMEOUT", Default: "60s", Help: "Time a heartbeat may be late before its connection counts as gone",
			Value: setting.Span(&c.PingTimeout, time.Second, time.Hour)},
		{Name: "UPGRADE_TIMEOUT", Default: "10s", Changes: setting.OnReload, Help: "Time for a client to finish its change from polling to WebSocket",
			Value: setting.Span(&c.UpgradeTimeout, time.Second, time.Hour)},
		{Name: "CONNECT_TIMEOUT", Default: "45s", Help: "Time for a new session to join the namespace before it is closed",
			Value: setting.Span(&c.ConnectTimeout, time.Second, time.Hour)},
		{Name: "MAX_PACKET_BYTES", Default: "100KiB", Changes: setting.OnReload, Help: "Bytes of one message or POST from a client; more closes its connection",
			Value: setting.Size(&c.MaxPayload, "1KiB", "100MB")},
		{Name: "MAX_UNFINISHED_PER_ADDRESS", Default: "1000", Changes: setting.OnReload, Help: "Polling sessions that one address may open and not use",
			Value: setting.Count(&c.MaxUnfinishedPerAddress, 1, 1_000_000)},
		{Name: "SOCKETIO_RECOVERY", Default: "asked", Help: "With HISTORY, which clients of socket.io 4.6 and newer get connection state recovery: asked (those that say auth: {recovery: true} or query: {recovery: 1}), on (all of 3.x and 4.x; their handlers see one more argument) or off",
			Value: setting.Choice(&c.Recovery, []string{"asked", "on", "off"}, []Recovery{RecoveryAsked, RecoveryOn, RecoveryOff})},
		{Name: "CLIENT_SCRIPT", Default: defaultScript, Changes: setting.OnReload, Help: "What /socket.io/socket.io.js gives: an http(s) URL to redirect to, or a file to serve",
			Value: setting.Of(&c.ClientScript, parseScript)},
	}}
}

// Within returns c with the bounds that the ports of all dialects share.
func (c Config) Within(n network.Config) Config {
	c.Outbox, c.Unfetched = n.OutboxBytes, n.BacklogBytes
	c.MaxSessions, c.MaxSessionsPerAddress = n.MaxConnections, n.MaxConnectionsPerAddress
	return c
}

func (c Config) withDefaults() Config {
	setting.Fill(c.Settings().Settings)
	n := network.Defaults()
	c.UnfinishedTimeout = cmp.Or(c.UnfinishedTimeout, min(20*time.Second, c.ConnectTimeout))
	c.Outbox = cmp.Or(c.Outbox, n.OutboxBytes)
	c.Unfetched = cmp.Or(c.Unfetched, n.BacklogBytes)
	c.MaxSessions = cmp.Or(c.MaxSessions, n.MaxConnections)
	c.MaxSessionsPerAddress = cmp.Or(c.MaxSessionsPerAddress, n.MaxConnectionsPerAddress)
	return c
}

// maxScript bounds a file that is served as the client's script, in bytes.
const maxScript = 10 << 20

// parseScript reads CLIENT_SCRIPT: a URL that is redirected to or a file that is
// served.
func parseScript(text string) (string, error) {
	const wanted = "want an http or https address, or the path of a file"
	if strings.Contains(text, "://") {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
			return "", errors.New(wanted)
		}
		return u.String(), nil
	}
	f, err := os.Open(text)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return "", fmt.Errorf("%w: %s", err, wanted)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > maxScript {
		return "", errors.New("not a file of 1 byte to 10 MiB: " + wanted)
	}
	return text, nil
}
