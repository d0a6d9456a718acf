package server

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"poosh/server/pusher"
)

// A PusherConfig holds what belongs to the Pusher dialect alone.
type PusherConfig struct {
	Port int // PUSHER_PORT: of the API and of clients; AnyPort for any

	// App is the app of PUSHER_APP_ID, if that is set. Its limits and switches also
	// hold for apps of AppsFile that do not name their own.
	App      pusher.App
	AppsFile string       // PUSHER_APPS: path of a file with apps
	Apps     []pusher.App // those of the file and App; made by FromEnv

	Bridge     string // BRIDGE: id of the app that shares its public channels with Poosh
	WebhookURL string // PUSHER_WEBHOOK_URL: of App

	Dialect pusher.Config // the rest; its Apps are not looked at
}

// on reports whether an app is named.
func (p *PusherConfig) on() bool {
	return p.App.ID != "" || p.App.Key != "" || p.App.Secret != "" || p.AppsFile != "" || len(p.Apps) > 0
}

// maxAppsFile bounds the file of apps, in bytes.
const maxAppsFile = 10 << 20

var pusherSettings = group{
	title: "Pusher",
	settings: []setting{
		{name: "PUSHER_APP_ID", help: "Id of the app; setting it turns the Pusher dialect on",
			field: words(func(c *Config) *string { return &c.Pusher.App.ID })},
		{name: "PUSHER_APP_KEY", help: "Key of the app, which its pages know",
			field: words(func(c *Config) *string { return &c.Pusher.App.Key })},
		{name: "PUSHER_APP_SECRET", help: "Secret of the app, which its servers sign with; at least 8 characters, best 20 random ones",
			field: words(func(c *Config) *string { return &c.Pusher.App.Secret }), secret: true},
		{name: "PUSHER_APPS", help: "Path of a JSON file with several apps and their own limits; the limits below hold for what it does not name",
			field: words(func(c *Config) *string { return &c.Pusher.AppsFile })},
		{name: "PUSHER_PORT", def: "6001", help: "Port of the Pusher API and of Pusher clients",
			field: portNumber(func(c *Config) *int { return &c.Pusher.Port })},
		{name: "PUSHER_PATH_PREFIX", help: "Path in front of /apps and /app, such as /push; both work without it too",
			field: pathPrefix(func(c *Config) *string { return &c.Pusher.Dialect.PathPrefix })},
		{name: "BRIDGE", help: "Id of a Pusher app: events of POST /send also reach its public channel of the room's name, and the other way round",
			field: words(func(c *Config) *string { return &c.Pusher.Bridge })},

		{name: "PUSHER_CLIENT_EVENTS", def: "off", help: "on lets clients send client- events (whispers) to private and presence channels",
			field: onOff(func(c *Config) *bool { return &c.Pusher.App.ClientEvents })},
		{name: "PUSHER_SUBSCRIPTION_COUNT", def: "off", help: "on tells the clients of a channel how many they are",
			field: onOff(func(c *Config) *bool { return &c.Pusher.App.SubscriptionCount })},
		{name: "PUSHER_WATCHLIST", def: "off", help: "on tells signed-in clients who of their watchlist is online",
			field: onOff(func(c *Config) *bool { return &c.Pusher.App.Watchlist })},
		{name: "PUSHER_AUTHORIZE_CONNECTIONS", def: "off", help: "on closes clients that have not signed in nor joined a private or presence channel in time",
			field: onOff(func(c *Config) *bool { return &c.Pusher.App.Authorize })},
		{name: "PUSHER_AUTHORIZE_TIMEOUT", def: "30s", help: "That time",
			field: span(func(c *Config) *time.Duration { return (*time.Duration)(&c.Pusher.App.AuthorizeTimeout) }, time.Second, time.Hour)},
		{name: "PUSHER_TERMINATE_PRESENCE_MEMBERS", def: "off", help: "on makes terminate_connections also close who is that user only in a presence channel",
			field: onOff(func(c *Config) *bool { return &c.Pusher.App.TerminateMembers })},
		{name: "PUSHER_ALLOWED_ORIGINS", help: "Hosts whose pages may connect, with commas between, such as example.com,*.example.com; unset for all",
			field: list(func(c *Config) *[]string { return &c.Pusher.App.AllowedOrigins })},
		{name: "PUSHER_WEBHOOK_URL", help: "Address that is told of all webhook events; filters and more addresses are in the file of apps",
			field: words(func(c *Config) *string { return &c.Pusher.WebhookURL }), secret: true},

		{name: "PUSHER_MAX_CONNECTIONS", help: "Connections that an app may have open; 0 or unset for no limit beside MAX_CONNECTIONS",
			field: count(func(c *Config) *int { return &c.Pusher.App.MaxConnections }, 0, 10_000_000)},
		{name: "PUSHER_MAX_CHANNELS", def: "200", help: "Channels that one connection may subscribe to",
			field: count(func(c *Config) *int { return &c.Pusher.App.MaxChannels }, 1, 1_000_000)},
		{name: "PUSHER_MAX_EVENT_BYTES", def: "10240", help: "Bytes of the data of one event; more is answered 413",
			field: size(func(c *Config) *int { return &c.Pusher.App.MaxEventBytes }, "1", "64MiB")},
		{name: "PUSHER_MAX_EVENT_CHANNELS", def: "100", help: "Channels that one event may be sent to",
			field: count(func(c *Config) *int { return &c.Pusher.App.MaxEventChannels }, 1, 100_000)},
		{name: "PUSHER_MAX_BATCH", def: "10", help: "Events in one batch",
			field: count(func(c *Config) *int { return &c.Pusher.App.MaxBatch }, 1, 100_000)},
		{name: "PUSHER_MAX_MEMBERS", def: "100", help: "Users in one presence channel",
			field: count(func(c *Config) *int { return &c.Pusher.App.MaxMembers }, 1, 1_000_000)},
		{name: "PUSHER_MAX_USER_INFO_BYTES", def: "1024", help: "Bytes of what a user tells about itself in a presence channel",
			field: size(func(c *Config) *int { return &c.Pusher.App.MaxUserInfoBytes }, "2", "64KiB")},
		{name: "PUSHER_MAX_MESSAGE_BYTES", def: "64KiB", help: "Bytes of one message of a Pusher client; more closes its connection",
			field: size(func(c *Config) *int { return &c.Pusher.Dialect.MaxMessageBytes }, "1KiB", "64MiB")},
		{name: "PUSHER_MAX_BODY_BYTES", def: "10MB", help: "Bytes of one request to the Pusher API",
			field: size(func(c *Config) *int { return &c.Pusher.Dialect.MaxBodyBytes }, "1KiB", "64MiB")},

		{name: "PUSHER_CLIENT_EVENT_RATE", def: "10/1s", help: "Client events of one connection in a time, or off for no limit",
			field: ratio(func(c *Config) *pusher.Rate { return &c.Pusher.App.ClientEventRate })},
		{name: "PUSHER_SUBSCRIBE_RATE", def: "600/60s", help: "Subscriptions that one connection may make in a time, and PUSHER_MAX_CHANNELS at once in any case; off for no limit",
			field: ratio(func(c *Config) *pusher.Rate { return &c.Pusher.App.SubscribeRate })},
		{name: "PUSHER_API_RATE", def: "off", help: "Requests for one app in a time, such as 100/60s; off for no limit",
			field: ratio(func(c *Config) *pusher.Rate { return &c.Pusher.App.APIRate })},
		{name: "PUSHER_API_RATE_PER_ADDRESS", def: "off", help: "Requests from one address in a time",
			field: ratio(func(c *Config) *pusher.Rate { return &c.Pusher.Dialect.APIRate })},
		{name: "PUSHER_CONNECT_RATE", def: "off", help: "Connections opened to one app in a time",
			field: ratio(func(c *Config) *pusher.Rate { return &c.Pusher.App.ConnectRate })},
		{name: "PUSHER_CONNECT_RATE_PER_ADDRESS", def: "off", help: "Connections opened from one address in a time",
			field: ratio(func(c *Config) *pusher.Rate { return &c.Pusher.Dialect.ConnectRate })},

		{name: "PUSHER_ACTIVITY_TIMEOUT", def: "2m", help: "Silence of a connection before it is asked for a sign of life",
			field: span(func(c *Config) *time.Duration { return (*time.Duration)(&c.Pusher.App.ActivityTimeout) }, time.Second, time.Hour)},
		{name: "PUSHER_PONG_TIMEOUT", def: "30s", help: "Time for that sign",
			field: span(func(c *Config) *time.Duration { return &c.Pusher.Dialect.PongTimeout }, time.Second, time.Hour)},
		{name: "PUSHER_CACHE_TTL", def: "30m", help: "How long a cache channel keeps its last event",
			field: span(func(c *Config) *time.Duration { return (*time.Duration)(&c.Pusher.App.CacheTTL) }, time.Second, 365*24*time.Hour)},
		{name: "PUSHER_CACHE_BYTES", def: "64MiB", help: "Bytes that the kept events of one app may take; the oldest go first",
			field: size(func(c *Config) *int { return &c.Pusher.Dialect.CacheBytes }, "1KiB", "1GiB")},
		{name: "PUSHER_WEBHOOK_QUEUE", def: "10000", help: "Events that may wait for one webhook; more are dropped and counted. Half is kept for private and presence channels, and clients of one address may take an eighth, of those a quarter",
			field: count(func(c *Config) *int { return &c.Pusher.Dialect.WebhookQueue }, 1, 10_000_000)},
	},
	on:    func(c *Config) bool { return c.Pusher.on() },
	check: checkPusher,
}

// checkPusher gathers the apps and looks at what settings mean together.
func checkPusher(c *Config, m *mistakes) {
	p := &c.Pusher
	if !p.on() {
		if p.Bridge != "" {
			m.add("BRIDGE", "is %s: no Pusher app is named; want PUSHER_APP_ID or PUSHER_APPS too", shown(p.Bridge))
		}
		return
	}
	p.Apps = nil
	if p.App.ID != "" || p.App.Key != "" || p.App.Secret != "" {
		p.addApp(m)
	}
	if p.AppsFile != "" {
		apps, err := readApps(p.AppsFile, p.App)
		if err != nil {
			m.add("PUSHER_APPS", "is %s: %w", shown(p.AppsFile), err)
		}
		p.Apps = append(p.Apps, apps...)
	}
	for i, a := range p.Apps {
		for _, b := range p.Apps[:i] {
			if a.ID == b.ID || a.Key == b.Key {
				m.add("PUSHER_APPS", "is %s: two apps have the id %q or the same key", shown(p.AppsFile), a.ID)
			}
		}
		if least := appOutbox(a); c.Network.OutboxBytes < least && !m.has("OUTBOX_BYTES") {
			m.add("OUTBOX_BYTES", "is %d: want at least %d, so that the largest event and presence list of Pusher app %q fit", c.Network.OutboxBytes, least, a.ID)
		}
	}
	if p.Bridge != "" && !m.has("PUSHER_APPS", "PUSHER_APP_ID") {
		switch {
		case !slices.ContainsFunc(p.Apps, func(a pusher.App) bool { return a.ID == p.Bridge }):
			m.add("BRIDGE", "is %s: want the id of a Pusher app", shown(p.Bridge))
		case c.Poosh.Secret == "":
			m.add("BRIDGE", "is %s: Poosh is off, there is nothing to bridge; want SERVER_SECRET too", shown(p.Bridge))
		}
	}
	for _, other := range []struct {
		name string
		port int
	}{{"CLIENT_PORT", c.Poosh.ClientPort}, {"SERVER_PORT", c.Poosh.ServerPort}} {
		if c.Poosh.Secret != "" && p.Port == other.port && p.Port != AnyPort && !m.has("PUSHER_PORT", other.name) {
			m.add("PUSHER_PORT", "is %d: want another port than %s", p.Port, other.name)
		}
	}
}

// addApp adds the app that the environment names.
func (p *PusherConfig) addApp(m *mistakes) {
	for _, part := range []struct{ name, value string }{
		{"PUSHER_APP_ID", p.App.ID}, {"PUSHER_APP_KEY", p.App.Key}, {"PUSHER_APP_SECRET", p.App.Secret},
	} {
		if part.value == "" {
			m.add(part.name, "is not set: an app needs PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET")
		}
	}
	a := p.App
	if p.WebhookURL != "" {
		a.Webhooks = []pusher.Webhook{{URL: p.WebhookURL}}
	}
	if err := a.Validate(); err != nil && !m.has("PUSHER_APP_ID", "PUSHER_APP_KEY", "PUSHER_APP_SECRET") {
		m.add("PUSHER_APP_ID", "is %s: %w", shown(a.ID), err)
	}
	p.Apps = append(p.Apps, a)
}

// appOutbox is what must fit into an outbox: an event, of which each byte may
// become six on the wire, or the list that a newcomer to a full presence channel
// is given, whose quotes are escaped and in which an id stands twice.
func appOutbox(a pusher.App) int {
	return frameBytes + max(growth*a.MaxEventBytes, a.MaxMembers*(2*a.MaxUserInfoBytes+100))
}

func readApps(path string, base pusher.App) ([]pusher.App, error) {
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
	return pusher.ParseApps(file, base)
}

// words is a field for a text that is checked later.
func words(at func(*Config) *string) field {
	return place[string]{at, func(text string) (string, error) { return text, nil }}
}

// onOff is a field for a switch.
func onOff(at func(*Config) *bool) field {
	return choice(at, []string{"on", "off", "true", "false"}, []bool{true, false, true, false})
}

// list is a field for texts with commas between.
func list(at func(*Config) *[]string) field {
	return place[[]string]{at, func(text string) ([]string, error) {
		parts := strings.Split(text, ",")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		return parts, nil
	}}
}

// ratio is a field for a number of things in a time.
func ratio(at func(*Config) *pusher.Rate) field {
	return place[pusher.Rate]{at, func(text string) (pusher.Rate, error) {
		var r pusher.Rate
		if r.UnmarshalText([]byte(strings.ToLower(text))) != nil {
			return r, errors.New("want a number and a time such as 100/60s, or off")
		}
		return r, nil
	}}
}

// pathPrefix is a field for the beginning of a path.
func pathPrefix(at func(*Config) *string) field {
	return place[string]{at, func(text string) (string, error) {
		if !strings.HasPrefix(text, "/") || strings.ContainsAny(text, "?#% \t") {
			return "", errors.New("want a path such as /push, without escapes")
		}
		return text, nil
	}}
}
