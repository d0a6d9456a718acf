package pusher

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/server/dialect"
	"poosh/server/network"
	"poosh/server/pusher/app"
	"poosh/server/route"
	"poosh/server/setting"
)

// settings are what an operator may choose of the dialect.
type settings struct {
	Port int // of the API and of clients

	// App is the app of PUSHER_APP_ID, if that is set. Its limits and switches also
	// hold for apps of AppsFile that do not name their own.
	App      App
	AppsFile string // path of a file with apps
	listed   []App  // in that file

	Bridge     string // id of the app that shares its public channels
	WebhookURL string // of App

	Config Config // the rest; check makes its Apps of the above

	network *network.Config // what all ports share
}

// portSetting names the one port.
const portSetting = "PUSHER_PORT"

// Declare returns Pusher Channels: the API and the clients on one port, and a bridge
// between the public channels of one app and the rooms of another dialect. What n
// holds when it is checked and started is what counts.
func Declare(n *network.Config) *dialect.Dialect {
	s := &settings{network: n}
	return &dialect.Dialect{
		Name:     "pusher",
		Settings: s.group(),
		Options:  s,
		On:       s.on,
		Bridge:   s.bridge,
		Ports:    []dialect.Port{{Setting: portSetting, Number: &s.Port, Visitors: dialect.Clients | dialect.Senders, Where: Where, Ready: true}},
		Kept:     s.kept,
		Start:    s.start,

		Applications: s.applications,
	}
}

// on reports whether an app is named.
func (s *settings) on() bool {
	return s.App.ID != "" || s.App.Key != "" || s.App.Secret != "" || s.AppsFile != ""
}

// applications are all apps, those of the file after the one of the environment.
func (s *settings) applications() []dialect.Application {
	list := make([]dialect.Application, len(s.Config.Apps))
	for i, a := range s.Config.Apps {
		list[i] = dialect.Application{ID: a.ID, Key: a.Key, Secret: a.Secret, Off: a.Disabled()}
	}
	return list
}

// kept are the apps whose events are kept.
func (s *settings) kept() (list []dialect.Kept) {
	for _, a := range s.Config.Apps {
		if a = a.WithDefaults(); a.History > 0 {
			list = append(list, dialect.Kept{App: HubApp(a.ID), Age: time.Duration(a.History), Bytes: a.HistoryBytes, Events: a.HistoryEvents})
		}
	}
	return list
}

func (s *settings) bridge() *dialect.Bridge {
	if s.Bridge == "" {
		return nil
	}
	return &dialect.Bridge{App: HubApp(s.Bridge), Import: Import, Export: Export, Setting: "BRIDGE",
		Alone: fmt.Sprintf("is %s: Poosh is off, there is nothing to bridge; want SERVER_SECRET too", setting.Shown(s.Bridge))}
}

// within is what cannot be had in full.
var within = []setting.Bound{
	{Name: "PUSHER_MAX_BODY_BYTES", Of: "INPUT_BYTES", Why: setting.OfInput},
	{Name: "PUSHER_MAX_MESSAGE_BYTES", Of: "INPUT_BYTES", Why: setting.OfInput},
	{Name: "PUSHER_MAX_CHANNELS", Of: "ROOM_BYTES", Each: func() int64 { return 2500 }, Why: "one address may have so many in its share of ROOM_BYTES: raise ROOM_BYTES"},
	{Name: "PUSHER_MAX_EVENT_BYTES", Of: "PUSHER_MAX_BODY_BYTES", Why: "that is PUSHER_MAX_BODY_BYTES, in which an event comes: raise that"},
	{Name: "PUSHER_MAX_CONNECTIONS", Of: "MAX_CONNECTIONS", Why: "that is MAX_CONNECTIONS: raise that"},
}

// group describes the settings. The defaults of an app are the app's.
func (s *settings) group() *setting.Group {
	usual := App{}.WithDefaults()
	return &setting.Group{Title: "Pusher", Check: s.check, Warn: s.warn, Parts: s.parts, Within: within, Origins: []string{"PUSHER_ALLOWED_ORIGINS"}, Files: []setting.File{{Name: "PUSHER_APPS"}}, Settings: []setting.Setting{
		{Name: "PUSHER_APP_ID", Changes: setting.OnReload, Help: "Id of the app; setting it turns the Pusher dialect on",
			Value: setting.Text(&s.App.ID)},
		{Name: "PUSHER_APP_KEY", Changes: setting.OnReload, Help: "Key of the app, which its pages know",
			Value: setting.Text(&s.App.Key)},
		{Name: "PUSHER_APP_SECRET", Changes: setting.OnReload, Help: "Secret of the app, which its servers sign with; at least 8 characters, best 20 random ones",
			Value: setting.Text(&s.App.Secret), Secret: true},
		{Name: "PUSHER_APP_SECRET_PREVIOUS", Changes: setting.OnReload, Help: "The secret before PUSHER_APP_SECRET, which the app's servers may still sign with until they all have the new one; unset, none",
			Value: setting.Text(&s.App.PreviousSecret), Secret: true},
		{Name: "PUSHER_APPS", Changes: setting.OnReload, Help: "Path of a JSON file with several apps and their own limits; the limits below hold for what it does not name",
			Value: setting.Text(&s.AppsFile)},
		{Name: portSetting, Default: "6001", Help: "Port of the Pusher API and of Pusher clients",
			Value: setting.Port(&s.Port)},
		{Name: "PUSHER_PATH_PREFIX", Help: "Path in front of /apps and /app, such as /push; both work without it too",
			Value: setting.Of(&s.Config.PathPrefix, parsePrefix)},
		{Name: "BRIDGE", Help: "Id of a Pusher app: events of POST /send also reach its public channel of the room's name, and the other way round",
			Value: setting.Text(&s.Bridge)},

		{Name: "PUSHER_CLIENT_EVENTS", Changes: setting.OnReload, Default: "off", Help: "on lets clients send client- events (whispers) to private and presence channels",
			Value: setting.Switch(&s.App.ClientEvents)},
		{Name: "PUSHER_SUBSCRIPTION_COUNT", Changes: setting.OnReload, Default: "off", Help: "on tells the clients of a channel how many they are",
			Value: setting.Switch(&s.App.SubscriptionCount)},
		{Name: "PUSHER_WATCHLIST", Changes: setting.OnReload, Default: "off", Help: "on tells signed-in clients who of their watchlist is online",
			Value: setting.Switch(&s.App.Watchlist)},
		{Name: "PUSHER_AUTHORIZE_CONNECTIONS", Changes: setting.OnReload, Default: "off", Help: "on closes clients that have not signed in nor joined a private or presence channel in time",
			Value: setting.Switch(&s.App.Authorize)},
		{Name: "PUSHER_AUTHORIZE_TIMEOUT", Changes: setting.OnReload, Default: setting.SpanText(time.Duration(usual.AuthorizeTimeout)), Help: "That time",
			Value: setting.Span(&s.App.AuthorizeTimeout, time.Second, time.Hour)},
		{Name: "PUSHER_TERMINATE_PRESENCE_MEMBERS", Changes: setting.OnReload, Default: "off", Help: "on makes terminate_connections also close who is that user only in a presence channel",
			Value: setting.Switch(&s.App.TerminateMembers)},
		{Name: "PUSHER_ALLOWED_ORIGINS", Changes: setting.OnReload, Help: "Hosts whose pages may connect, with commas between, such as example.com,*.example.com; unset for all",
			Value: setting.Texts(&s.App.AllowedOrigins)},
		{Name: "PUSHER_WEBHOOK_URL", Changes: setting.OnReload, Help: "Address that is told of all webhook events; filters and more addresses are in the file of apps",
			Value: setting.Text(&s.WebhookURL), Secret: true},

		{Name: "PUSHER_MAX_CONNECTIONS", Changes: setting.OnReload, Help: "Connections that an app may have open; 0 or unset for no limit beside MAX_CONNECTIONS",
			Value: setting.Count(&s.App.MaxConnections, 0, 10_000_000)},
		{Name: "PUSHER_MAX_CHANNELS", Changes: setting.OnReload, Default: strconv.Itoa(usual.MaxChannels), Help: "Channels that one connection may subscribe to",
			Value: setting.Count(&s.App.MaxChannels, 1, 1_000_000)},
		{Name: "PUSHER_MAX_EVENT_BYTES", Changes: setting.OnReload, Default: strconv.Itoa(usual.MaxEventBytes), Help: "Bytes of the data of one event; more is answered 413",
			Value: setting.Size(&s.App.MaxEventBytes, "1", "64MiB")},
		{Name: "PUSHER_MAX_EVENT_CHANNELS", Changes: setting.OnReload, Default: strconv.Itoa(usual.MaxEventChannels), Help: "Channels that one event may be sent to",
			Value: setting.Count(&s.App.MaxEventChannels, 1, 100_000)},
		{Name: "PUSHER_MAX_BATCH", Changes: setting.OnReload, Default: strconv.Itoa(usual.MaxBatch), Help: "Events in one batch",
			Value: setting.Count(&s.App.MaxBatch, 1, 100_000)},
		{Name: "PUSHER_MAX_MEMBERS", Changes: setting.OnReload, Default: strconv.Itoa(usual.MaxMembers), Help: "Users in one presence channel",
			Value: setting.Count(&s.App.MaxMembers, 1, 1_000_000)},
		{Name: "PUSHER_MAX_USER_INFO_BYTES", Changes: setting.OnReload, Default: strconv.Itoa(usual.MaxUserInfoBytes), Help: "Bytes of what a user tells about itself in a presence channel",
			Value: setting.Size(&s.App.MaxUserInfoBytes, "2", "64KiB")},
		{Name: "PUSHER_MAX_MESSAGE_BYTES", Changes: setting.OnReload, Default: "64KiB", Help: "Bytes of one message of a Pusher client; more closes its connection",
			Value: setting.Size(&s.Config.MaxMessageBytes, "1KiB", "64MiB")},
		{Name: "PUSHER_MAX_BODY_BYTES", Changes: setting.OnReload, Default: "10MB", Help: "Bytes of one request to the Pusher API",
			Value: setting.Size(&s.Config.MaxBodyBytes, "1KiB", "64MiB")},

		{Name: "PUSHER_CLIENT_EVENT_RATE", Changes: setting.OnReload, Default: usual.ClientEventRate.String(), Help: "Client events of one connection in a time, or off for no limit",
			Value: setting.Rate(&s.App.ClientEventRate, "100/60s")},
		{Name: "PUSHER_SUBSCRIBE_RATE", Changes: setting.OnReload, Default: usual.SubscribeRate.String(), Help: "Subscriptions that one connection may make in a time, and PUSHER_MAX_CHANNELS at once in any case; off for no limit",
			Value: setting.Rate(&s.App.SubscribeRate, "100/60s")},
		{Name: "PUSHER_API_RATE", Changes: setting.OnReload, Default: "off", Help: "Requests for one app in a time, such as 100/60s; off for no limit",
			Value: setting.Rate(&s.App.APIRate, "100/60s")},
		{Name: "PUSHER_API_RATE_PER_ADDRESS", Changes: setting.OnReload, Default: "off", Help: "Requests from one address in a time",
			Value: setting.Rate(&s.Config.APIRate, "100/60s")},
		{Name: "PUSHER_CONNECT_RATE", Changes: setting.OnReload, Default: "off", Help: "Connections opened to one app in a time",
			Value: setting.Rate(&s.App.ConnectRate, "100/60s")},
		{Name: "PUSHER_CONNECT_RATE_PER_ADDRESS", Changes: setting.OnReload, Default: "off", Help: "Connections opened from one address in a time",
			Value: setting.Rate(&s.Config.ConnectRate, "100/60s")},

		{Name: "PUSHER_ACTIVITY_TIMEOUT", Changes: setting.OnReload, Default: setting.SpanText(time.Duration(usual.ActivityTimeout)), Help: "Silence of a connection before it is asked for a sign of life",
			Value: setting.Span(&s.App.ActivityTimeout, time.Second, time.Hour)},
		{Name: "PUSHER_PONG_TIMEOUT", Changes: setting.OnReload, Default: "30s", Help: "Time for that sign",
			Value: setting.Span(&s.Config.PongTimeout, time.Second, time.Hour)},
		{Name: "PUSHER_CACHE_TTL", Changes: setting.OnReload, Default: setting.SpanText(time.Duration(usual.CacheTTL)), Help: "How long a cache channel keeps its last event",
			Value: setting.Span(&s.App.CacheTTL, time.Second, 365*24*time.Hour)},
		{Name: "PUSHER_CACHE_BYTES", Changes: setting.OnReload, Default: "64MiB", Help: "Bytes that the kept events of one app may take; the oldest go first",
			Value: setting.Size(&s.Config.CacheBytes, "1KiB", "1GiB")},
		{Name: "PUSHER_HISTORY", Help: "Time for which the app's events are kept for clients that resume, and for GET .../history; unset, nothing is kept",
			Value: setting.Span(&s.App.History, time.Second, 7*24*time.Hour)},
		{Name: "PUSHER_HISTORY_BYTES", Default: setting.SizeText(usual.HistoryBytes), Help: "Bytes that the events kept of one app may take, with 300 for each beside its payload; more and the oldest go",
			Value: setting.Size(&s.App.HistoryBytes, "64KiB", "1024GiB")},
		{Name: "PUSHER_HISTORY_EVENTS", Default: strconv.Itoa(usual.HistoryEvents), Help: "Events that are kept of one channel; more and its oldest go",
			Value: setting.Count(&s.App.HistoryEvents, 1, 1_000_000)},
		{Name: "PUSHER_WEBHOOK_QUEUE", Changes: setting.OnReload, Default: "10000", Help: "Events that may wait for one webhook; more are dropped and counted. Half is kept for private and presence channels, and clients of one address may take an eighth, of those a quarter",
			Value: setting.Count(&s.Config.WebhookQueue, 1, 10_000_000)},
	}}
}

// check gathers the apps and looks at what settings mean together.
func (s *settings) check(m *setting.Mistakes) {
	if !s.on() {
		if s.Bridge != "" {
			m.Add("BRIDGE", "is %s: no Pusher app is named; want PUSHER_APP_ID or PUSHER_APPS too", setting.Shown(s.Bridge))
		}
		return
	}
	s.Config.Apps = nil
	if s.App.ID != "" || s.App.Key != "" || s.App.Secret != "" {
		s.addApp(m)
	}
	if s.AppsFile != "" {
		apps, err := readApps(s.AppsFile, s.App)
		if err != nil {
			m.Add("PUSHER_APPS", "is %s: %w", setting.Shown(s.AppsFile), err)
		}
		s.listed, s.Config.Apps = apps, append(s.Config.Apps, apps...)
	}
	ids, keys := make(map[string]bool), make(map[string]string) // ids of apps, by key
	for _, a := range s.Config.Apps {
		if ids[a.ID] {
			m.Add("PUSHER_APPS", "is %s: two apps have the id %q", setting.Shown(s.AppsFile), a.ID)
		} else if other, taken := keys[a.Key]; taken {
			m.Add("PUSHER_APPS", "is %s: apps %q and %q have the same key", setting.Shown(s.AppsFile), other, a.ID)
		}
		ids[a.ID], keys[a.Key] = true, a.ID
		if out, least := s.network.OutboxBytes, LeastOutbox(a); out < least && !m.Has("OUTBOX_BYTES") {
			m.Add("OUTBOX_BYTES", "is %d: want at least %d, so that the largest event and presence list of Pusher app %q fit", out, least, a.ID)
		}
	}
	if s.Bridge != "" && !m.Has("PUSHER_APPS", "PUSHER_APP_ID") && !slices.ContainsFunc(s.Config.Apps, func(a App) bool { return a.ID == s.Bridge }) {
		m.Add("BRIDGE", "is %s: want the id of a Pusher app", setting.Shown(s.Bridge))
	}
}

// addApp adds the app that the environment names.
func (s *settings) addApp(m *setting.Mistakes) {
	for _, part := range []struct{ name, value string }{
		{"PUSHER_APP_ID", s.App.ID}, {"PUSHER_APP_KEY", s.App.Key}, {"PUSHER_APP_SECRET", s.App.Secret},
	} {
		if part.value == "" {
			m.Add(part.name, "is not set: an app needs PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET")
		}
	}
	a := s.App
	if s.WebhookURL != "" {
		a.Webhooks = []Webhook{{URL: s.WebhookURL}}
	}
	if err := a.Validate(); err != nil && !m.Has("PUSHER_APP_ID", "PUSHER_APP_KEY", "PUSHER_APP_SECRET") {
		m.Add("PUSHER_APP_ID", "is %s: %w", setting.Shown(a.ID), err)
	}
	s.Config.Apps = append(s.Config.Apps, a)
}

// parts are the apps of the file.
func (s *settings) parts() (list []setting.Part) {
	for _, a := range s.listed {
		list = append(list, setting.Part{Setting: "PUSHER_APPS", Name: fmt.Sprintf("PUSHER_APPS: app %q", a.ID), Is: a})
	}
	return list
}

// warn tells of secrets that may be guessed.
func (s *settings) warn() (lines []string) {
	for _, a := range s.Config.Apps {
		name := "PUSHER_APP_SECRET"
		if a.ID != s.App.ID {
			name = fmt.Sprintf("PUSHER_APPS: the secret of app %q", a.ID)
		}
		lines = append(lines, setting.WeakSecret(name, a.Secret)...)
		previous := "PUSHER_APP_SECRET_PREVIOUS"
		if a.ID != s.App.ID {
			previous = fmt.Sprintf("PUSHER_APPS: the previous secret of app %q", a.ID)
		}
		lines = append(lines, setting.WeakSecret(previous, a.PreviousSecret)...)
	}
	return lines
}

// LeastOutbox is what must fit into an outbox: an event, of which each byte may
// become six on the wire, or the list that a newcomer to a full presence channel
// is given, whose quotes are escaped and in which an id stands twice. a has its defaults.
func LeastOutbox(a App) int {
	return dialect.FrameBytes + max(dialect.Growth*a.MaxEventBytes, a.MaxMembers*(2*a.MaxUserInfoBytes+100))
}

// maxAppsFile bounds the file of apps, in bytes.
const maxAppsFile = 10 << 20

func readApps(path string, base App) ([]App, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxAppsFile) {
		err = errors.New("not a file of at most 10 MiB")
	}
	var file []byte
	if err == nil {
		file, err = os.ReadFile(path)
	}
	if err != nil {
		var withPath *os.PathError
		if errors.As(err, &withPath) {
			err = withPath.Err
		}
		return nil, fmt.Errorf("%w: want the path of a JSON file with apps", err)
	}
	return ParseApps(file, base)
}

// parsePrefix reads the beginning of a path.
func parsePrefix(text string) (string, error) {
	if !strings.HasPrefix(text, "/") || strings.ContainsAny(text, "?#% \t") {
		return "", errors.New("want a path such as /push, without escapes")
	}
	return text, nil
}

// start wires both doors.
func (s *settings) start(h *dialect.Host) (*dialect.Running, error) {
	cfg := s.Config
	cfg.MaxConnections = h.Network.MaxConnections
	cfg.BodyTimeout, cfg.WriteTimeout = h.Network.BodyTimeout, h.Network.WriteTimeout
	cfg.Gate, cfg.Channels, cfg.Health, cfg.Closed, cfg.Sends, cfg.Keys = h.Gate, h.Rooms, h.Health, h.Closed, h.Sends, h.Keys
	cfg.Across = app.Across{Desk: h.Desk, Census: h.Census, Bus: h.Bus, Delivered: h.Delivered}
	d, err := New(cfg, h.Hub, h.WebSockets, h.Log)
	if err != nil {
		return nil, err
	}
	return &dialect.Running{
		Reload: func(options any, n network.Config) (func(), error) {
			next := options.(*settings).Config
			next.MaxConnections = n.MaxConnections
			return d.change(next)
		},
		Routes:   map[string]*route.Router{portSetting: d.routes},
		Leave:    func() []dialect.Leaver { return dialect.Leavers(d.clients.Leave()) },
		Shutdown: d.Shutdown,
		Kick:     d.kick,
		Metrics:  d.metrics,
		Apps:     d.numbers,
		Sign:     d.fill,
	}, nil
}
