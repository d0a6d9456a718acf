package echo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"poosh/server/dialect"
	"poosh/server/echo/api"
	"poosh/server/echo/authorize"
	"poosh/server/hub"
	"poosh/server/hub/history"
	"poosh/server/intake"
	"poosh/server/metric"
	"poosh/server/network"
	"poosh/server/route"
	"poosh/server/setting"
	"poosh/server/socketio"
)

// portSetting names the one port.
const portSetting = "ECHO_PORT"

// appID is what metrics call the one application.
const appID = dialectName

// settings are what an operator may choose of the dialect.
type settings struct {
	Port       int
	Redis      intake.Address // turns the dialect on
	MaxMessage int
	Config     Config
	Updates    bool // the application is told who is in presence channels

	network *network.Config  // what all ports share
	sockets *socketio.Config // what all dialects over Socket.IO share
	history *history.Config  // what is kept, if anything
}

// Declare returns the dialect of laravel-echo with socket.io: clients and an HTTP API on one
// port, and events of a Redis. What the configurations hold when it is started is what counts.
func Declare(n *network.Config, sockets *socketio.Config, kept *history.Config) *dialect.Dialect {
	s := &settings{network: n, sockets: sockets, history: kept}
	return &dialect.Dialect{
		Name:     dialectName,
		Settings: s.group(),
		Options:  s,
		On:       s.on,
		Outbox:   s.outbox,
		Kept: func() []dialect.Kept {
			if !kept.On() {
				return nil
			}
			return []dialect.Kept{{App: App, Age: kept.Age, Bytes: kept.Bytes, Events: kept.Events}}
		},
		Ports: []dialect.Port{{Setting: portSetting, Number: &s.Port, Visitors: dialect.Clients | dialect.Senders,
			Where: where, ClientPath: socketio.Path, Ready: true}},
		Reach: s.reach,
		Start: s.start,
	}
}

// on reports whether there is a Redis.
func (s *settings) on() bool { return !s.Redis.IsZero() }

// fill gives what is not set its default, for a Config made by hand.
func (s *settings) fill() { setting.Fill(s.group().Settings) }

// outbox is room for the most that a client is told in one piece.
func (s *settings) outbox() int {
	if !s.on() {
		return 0
	}
	return max(s.largestList(), s.largestEvent())
}

// largestList is the list of a full presence channel, as long as it may be.
func (s *settings) largestList() int {
	return s.Config.MaxMembers*(s.Config.MaxMemberBytes+1) + dialect.FrameBytes
}

// largestEvent is the longest message of Redis as clients get it.
func (s *settings) largestEvent() int {
	return dialect.Growth*s.MaxMessage + s.Config.MaxChannelBytes + dialect.FrameBytes
}

// scarce is what cannot be had in full.
var scarce = []setting.Bound{
	{Name: "ECHO_MAX_CHANNELS", Of: "ROOM_BYTES", Each: func() int64 { return channelCost }, Why: "one address may have so many in its share of ROOM_BYTES: raise ROOM_BYTES"},
}

func (s *settings) group() *setting.Group {
	c, a := &s.Config, &s.Config.Authorize
	return &setting.Group{Title: "Laravel Echo", Check: s.check, Warn: s.warn, Within: scarce, Origins: []string{"ECHO_ORIGINS"}, Settings: []setting.Setting{
		{Name: "ECHO_REDIS", Help: "Redis that Laravel broadcasts to with BROADCAST_CONNECTION=redis, such as redis://127.0.0.1:6379; setting it turns the dialect of laravel-echo-server on",
			Value: setting.Of(&s.Redis, intake.ParseAddress), Secret: true},
		{Name: portSetting, Default: "6001", Help: "Port of clients of laravel-echo with broadcaster socket.io, and of the HTTP API of laravel-echo-server; another one where PUSHER_PORT is 6001 too",
			Value: setting.Port(&s.Port)},
		{Name: "ECHO_PREFIX", Default: "laravel_database_,laravel-database-", Help: "What Laravel puts before the names of channels in Redis (database.redis.options.prefix, REDIS_PREFIX), with commas between; * for channels without any, which is every message of that Redis that looks like an event",
			Value: setting.Of(&c.Prefixes, parsePrefixes)},
		{Name: "ECHO_AUTH_URL", Changes: setting.OnReloadSet, Help: "Address of the application that says who may join private and presence channels, such as https://example.com/broadcasting/auth; unset, nobody may",
			Value: setting.Of(&a.URL, parseURL)},
		{Name: "ECHO_AUTH_TIMEOUT", Changes: setting.OnReload, Default: setting.SpanText(authorize.Timeout), Help: "Time for its answer",
			Value: setting.Span(&a.Timeout, 100*time.Millisecond, 5*time.Minute)},
		{Name: "ECHO_AUTH_CONCURRENCY", Changes: setting.OnReload, Default: fmt.Sprint(authorize.Running), Help: "Requests to it that run at once",
			Value: setting.Count(&a.Running, 1, 10_000)},
		{Name: "ECHO_AUTH_QUEUE", Changes: setting.OnReload, Default: fmt.Sprint(authorize.Waiting), Help: "Requests to it that wait for their turn; more are answered subscription_error with 503",
			Value: setting.Count(&a.Waiting, 1, 1_000_000)},
		{Name: "ECHO_AUTH_MAX_BYTES", Changes: setting.OnReload, Default: setting.SizeText(authorize.MaxAnswer), Help: "Bytes of one of its answers; a larger one is a no",
			Value: setting.Size(&a.MaxAnswer, "1KiB", "16MiB")},
		{Name: "ECHO_ORIGINS", Changes: setting.OnReload, Default: "*", Help: "Origins of pages that may connect, such as https://example.com, with commas between; * for all",
			Value: setting.Origins(&c.SocketIO.Origins)},
		{Name: "ECHO_KEYS", Changes: setting.OnReload, Secret: true, Help: "Apps of the HTTP API as ID:KEY with commas between, as laravel-echo-server's client:add made them; unset, there is no API",
			Value: setting.Of(&c.API.Apps, parseApps)},
		{Name: "ECHO_API_ORIGIN", Changes: setting.OnReload, Help: "Origin of pages that may use the HTTP API from a browser, or *; unset, none",
			Value: setting.Text(&c.API.CORS.Origin)},
		{Name: "ECHO_PRESENCE_GRACE", Changes: setting.OnReload, Default: "5s", Help: "Time for which a member of a presence channel stays one whose connection is cut, so that a page that connects anew leaves nobody; 0s for none",
			Value: setting.Of(&c.Grace, parseGrace)},
		{Name: "ECHO_PUBLISH_PRESENCE", Default: "off", Help: "on publishes in that Redis, to PresenceChannelUpdated, who is in a presence channel whenever that changes, as laravel-echo-server did with publishPresence",
			Value: setting.Switch(&s.Updates)},
		{Name: "ECHO_DATA_SOCKET", Default: "drop", Help: "The member socket of an event's data, in which Laravel repeats the id of the sender's connection for all to see: drop or keep it",
			Value: setting.Choice(&c.KeepSocket, []string{"drop", "keep"}, []bool{false, true})},
		{Name: "ECHO_MAX_CHANNELS", Changes: setting.OnReload, Default: "200", Help: "Channels of one connection; one more is answered subscription_error with 429",
			Value: setting.Count(&c.MaxChannels, 1, 1_000_000)},
		{Name: "ECHO_MAX_CHANNEL_BYTES", Default: "512", Help: "Bytes of a channel's name; a longer one is ignored",
			Value: setting.Size(&c.MaxChannelBytes, "16", "64KiB")},
		{Name: "ECHO_MAX_MEMBERS", Changes: setting.OnReload, Default: "1000", Help: "Users in one presence channel; one more is answered subscription_error with 503",
			Value: setting.Count(&c.MaxMembers, 1, 100_000)},
		{Name: "ECHO_MAX_MEMBER_BYTES", Changes: setting.OnReload, Default: "1KiB", Help: "Bytes of what a user is for the others in a presence channel, user_info and ids; more is answered subscription_error with 413",
			Value: setting.Size(&c.MaxMemberBytes, "128", "64KiB")},
		{Name: "ECHO_CLIENT_EVENT_RATE", Changes: setting.OnReload, Default: "10/1s", Help: "Client events (whispers) of one connection in a time, or off for no limit; more are dropped",
			Value: setting.Rate(&c.Whispers, "10/1s")},
		{Name: "ECHO_MAX_MESSAGE_BYTES", Default: "256KiB", Help: "Bytes of one message of Redis; a larger one is dropped",
			Value: setting.Size(&s.MaxMessage, "1KiB", "64MiB")},
	}}
}

func parseURL(text string) (string, error) { return text, authorize.CheckURL(text) }

// parsePrefixes reads ECHO_PREFIX.
func parsePrefixes(text string) (list []string, err error) {
	for _, p := range strings.Split(text, ",") {
		if p = strings.TrimSpace(p); p != "" {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		err = errors.New("want prefixes with commas between, or *")
	}
	return list, err
}

// parseApps reads ECHO_KEYS.
func parseApps(text string) (list []api.App, err error) {
	for _, word := range setting.Words(text) {
		id, key, ok := strings.Cut(word, ":")
		if !ok || id == "" || key == "" {
			return nil, errors.New("is not good: want ID:KEY, with commas between several")
		}
		list = append(list, api.App{ID: id, Key: key})
	}
	return list, nil
}

// parseGrace reads ECHO_PRESENCE_GRACE. No time at all is another value than none that is set.
func parseGrace(text string) (grace time.Duration, err error) {
	if err = setting.Span(&grace, 0, time.Minute).Set(text); err == nil && grace == 0 {
		grace = -1
	}
	return grace, err
}

func (s *settings) check(m *setting.Mistakes) {
	if out := s.network.OutboxBytes; s.on() && out < s.largestEvent() && !m.Has("OUTBOX_BYTES", "ECHO_MAX_MESSAGE_BYTES") {
		m.Add("OUTBOX_BYTES", "is %d: want at least %d, so that one event of ECHO_MAX_MESSAGE_BYTES fits", out, s.largestEvent())
	}
	if name := s.Config.MaxChannelBytes + dialect.FrameBytes; s.on() && s.sockets.MaxPayload < name && !m.Has("MAX_PACKET_BYTES", "ECHO_MAX_CHANNEL_BYTES") {
		m.Add("MAX_PACKET_BYTES", "is %d: want at least %d, so that a channel's name of ECHO_MAX_CHANNEL_BYTES fits", s.sockets.MaxPayload, name)
	}
}

func (s *settings) warn() (lines []string) {
	if !s.on() {
		return nil
	}
	if s.Config.Authorize.URL == "" {
		lines = append(lines, "ECHO_AUTH_URL is not set: nobody gets into private and presence channels; want the application's address, such as https://example.com/broadcasting/auth")
	}
	for _, p := range s.Config.Prefixes {
		if p == anyPrefix {
			lines = append(lines, "ECHO_PREFIX has *: every message of that Redis that looks like an event becomes one, whoever published it, in whichever database; want Laravel's prefix where it has one")
		}
	}
	return lines
}

// reach looks whether the Redis answers.
func (s *settings) reach(ctx context.Context) error {
	return intake.Reach(ctx, "ECHO_REDIS", s.Redis, newReader(&s.Config).patterns(intake.EscapePattern), nil)
}

// within is the configuration with what ports share.
func (s *settings) within(n network.Config) Config {
	cfg := s.Config
	cfg.SocketIO = s.sockets.Within(n)
	cfg.SocketIO.Origins = s.Config.SocketIO.Origins
	if c := &cfg.API.CORS; c.Origin != "" {
		c.Methods, c.Headers = "GET, POST", "Origin, Content-Type, X-Auth-Token, X-Requested-With, Accept, Authorization, X-CSRF-TOKEN, X-Socket-Id"
	}
	cfg.Away, cfg.AwayBytes = s.history.Age, s.history.Sessions
	return cfg
}

// start wires the clients, the HTTP API, and what comes from Redis.
func (s *settings) start(h *dialect.Host) (*dialect.Running, error) {
	cfg := s.within(h.Network)
	cfg.Process = Process{Gate: h.Gate, Begun: h.Begun, Sends: h.Sends, Rooms: h.Rooms,
		Desk: h.Desk, Census: h.Census, Bus: h.Bus, Once: h.Once, Subscribe: h.Subscribe}
	if s.Updates {
		cfg.Updates = s.Redis
	}
	traffic := new(metric.Traffic)
	cfg.SocketIO.Closed, cfg.SocketIO.Traffic = h.Closed.Source(dialectName, appID), traffic
	if h.Delivered != nil {
		h.Delivered(App, func(p *hub.Publication, took int) { traffic.Delivered(len(p.Data), took) })
	}
	cfg.SocketIO.Node = h.Node.Name
	if h.Node.Passer != nil {
		cfg.SocketIO.Passer = h.Node.Passer(portSetting)
	}
	d := New(cfg, h.Hub, h.WebSockets, h.Log)
	reads, err := d.read(s.Redis, s.MaxMessage)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ECHO_REDIS: %w", err), d.Shutdown(context.Background()))
	}
	return &dialect.Running{
		Reload: func(options any, n network.Config) (func(), error) {
			next := options.(*settings).within(n)
			return func() { d.change(next) }, nil
		},
		Routes: map[string]*route.Router{portSetting: d.mount(h.Health)},
		Leave:  func() []dialect.Leaver { return dialect.Leavers(d.sockets.Leave()) },
		// Behind the gate's end nothing of what was read would be published.
		EndSenders: reads.Stop,
		Shutdown:   d.Shutdown,
		Save:       d.states.Save,
		Restore:    d.states.Restore,
		Ready:      reads.Ready,
		Kick:       d.kick,
		Polling: func() dialect.Polling {
			st := d.sockets.Stats()
			return dialect.Polling{Queued: st.Queued, Slow: st.Slow}
		},
		Metrics: func() []metric.Reading { return append(d.metrics(), reads.Readings()...) },
		Apps:    d.numbers,
		Sign:    d.fill,
	}, nil
}
