package migration

import (
	"strings"
	"time"

	"poosh/server/migration/php"
)

// reverb reads the .env of a Laravel application with Reverb, or its config/reverb.php.
// Facts: laravel/reverb 1.10.2, commit dca414f3, config/reverb.php,
// src/ConfigApplicationProvider.php, src/Protocols/Pusher/{Server,ClientEvent}.php and
// src/Console/Commands/InstallCommand.php.
func reverb() *source {
	return &source{
		name: "reverb", product: "Laravel Reverb", version: "1.10.2",
		formats:   []format{formatEnv, formatPHP},
		rules:     reverbRules(),
		variables: reverbVariables,
		ours: func(name string) bool {
			return strings.HasPrefix(name, "REVERB_") || strings.HasPrefix(name, "VITE_REVERB_")
		},
		laravel: true,
		value:   php.EnvValue,
		finish:  reverbFinish,
	}
}

// reverbVariables are those of config/reverb.php.
const reverbVariables = `
REVERB_SERVER default
REVERB_SERVER_HOST servers.reverb.host
REVERB_SERVER_PORT servers.reverb.port
REVERB_SERVER_PATH servers.reverb.path
REVERB_MAX_REQUEST_SIZE servers.reverb.max_request_size
REVERB_SCALING_ENABLED servers.reverb.scaling.enabled
REVERB_SCALING_CHANNEL servers.reverb.scaling.channel
REDIS_URL servers.reverb.scaling.server.url
REDIS_HOST servers.reverb.scaling.server.host
REDIS_PORT servers.reverb.scaling.server.port
REDIS_USERNAME servers.reverb.scaling.server.username
REDIS_PASSWORD servers.reverb.scaling.server.password
REDIS_DB servers.reverb.scaling.server.database
REDIS_TIMEOUT servers.reverb.scaling.server.timeout
REVERB_PULSE_INGEST_INTERVAL servers.reverb.pulse_ingest_interval
REVERB_TELESCOPE_INGEST_INTERVAL servers.reverb.telescope_ingest_interval
REVERB_APP_KEY apps.apps.0.key
REVERB_APP_SECRET apps.apps.0.secret
REVERB_APP_ID apps.apps.0.app_id
REVERB_HOST apps.apps.0.options.host
REVERB_PORT apps.apps.0.options.port
REVERB_SCHEME apps.apps.0.options.scheme
REVERB_APP_PING_INTERVAL apps.apps.0.ping_interval
REVERB_APP_ACTIVITY_TIMEOUT apps.apps.0.activity_timeout
REVERB_APP_MAX_CONNECTIONS apps.apps.0.max_connections
REVERB_APP_MAX_MESSAGE_SIZE apps.apps.0.max_message_size
REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM apps.apps.0.accept_client_events_from
REVERB_APP_RATE_LIMITING_ENABLED apps.apps.0.rate_limiting.enabled
REVERB_APP_RATE_LIMIT_MAX_ATTEMPTS apps.apps.0.rate_limiting.max_attempts
REVERB_APP_RATE_LIMIT_DECAY_SECONDS apps.apps.0.rate_limiting.decay_seconds
REVERB_APP_RATE_LIMIT_TERMINATE apps.apps.0.rate_limiting.terminate_on_limit
`

// stays is said of what the application needs as before.
const stays = "is for the application and its pages, which keep it: Poosh answers at the same address"

func reverbRules() []rule {
	app := func(name string) string { return "apps.apps.*." + name }
	return []rule{
		{keys: "default", look: other("reverb"), says: "there is one server"},
		{keys: "servers.*.host", take: toSetting("HOST", words)},
		{keys: "servers.*.port", take: toSetting("PUSHER_PORT", count(1, 65535))},
		{keys: "servers.*.path", take: toSetting("PUSHER_PATH_PREFIX", prefix)},
		{keys: "servers.*.hostname", says: "was for finding a certificate of Herd or Valet; " + ownTLS},
		{keys: "servers.*.options.tls servers.*.options.tls.**", look: set, says: ownTLS},
		{keys: "servers.*.max_request_size", take: later("PUSHER_MAX_EVENT_BYTES")},
		{keys: "servers.*.scaling.enabled", look: on, says: noNodes},
		{keys: `servers.*.scaling: channel
			servers.*.scaling.server: url host port username password database timeout`, says: noNodes},
		{keys: "servers.*: pulse_ingest_interval telescope_ingest_interval", says: "numbers are on ADMIN_PORT, not in Pulse and Telescope"},
		{keys: "apps.provider", look: other("config"), says: "Poosh has its apps in a file: put those of your provider there", same: "Poosh has its apps in a file too"},
		{keys: app("app_id"), take: toField("id", needed)},
		{keys: app("key"), take: toField("key", needed)},
		{keys: app("secret"), take: toField("secret", needed)},
		{keys: "apps.apps.*.options: host port scheme useTLS path", says: stays},
		{keys: app("allowed_origins"), take: toField("allowed_origins", origins)},
		{keys: app("ping_interval"), says: "clients are asked for a sign of life after activity_timeout without one"},
		{keys: app("activity_timeout"), take: toField("activity_timeout", span(time.Second, leastSpan, mostSpan))},
		{keys: app("max_connections"), take: toField("max_connections", unless(1, count(0, 10_000_000)))},
		{keys: app("max_message_size"), take: later("PUSHER_MAX_MESSAGE_BYTES")},
		{keys: app("accept_client_events_from"), take: toField("client_events", clientEventsFrom)},
		{keys: app("rate_limiting.enabled"), take: inApp("client_event_rate"), look: on,
			says: "the rate counts client events, not every message; subscribe_rate counts subscriptions"},
		{keys: "apps.apps.*.rate_limiting: max_attempts decay_seconds", take: inApp("client_event_rate")},
		{keys: app("rate_limiting.terminate_on_limit"), look: on, says: oneLimit},
		{keys: "VITE_REVERB_APP_KEY VITE_REVERB_HOST VITE_REVERB_PORT VITE_REVERB_SCHEME BROADCAST_CONNECTION BROADCAST_DRIVER", says: stays},
	}
}

// clientEventsFrom says whether clients may send events
// (src/Protocols/Pusher/ClientEvent.php).
func clientEventsFrom(v any) converted {
	switch from, _ := textOf(v); {
	case isEmpty(v):
		return converted{}
	case from == "all":
		return converted{true, "a client must have joined the channel, which has to be a private or presence one", true}
	case from == "members":
		return converted{value: true, says: "the channel has to be a private or presence one"}
	}
	return converted{value: false}
}

// reverbFinish adds what Reverb has without being told (config/reverb.php).
func reverbFinish(d *draft) {
	const why = "Reverb's own default"
	d.usual("PUSHER_PORT", "8080", why)
	d.usual("PUSHER_ACTIVITY_TIMEOUT", "30s", why)
	d.wideMembers()
	request, message := 10_000.0, 10_000.0
	for key, v := range d.values {
		n, ok := numberOf(v)
		switch {
		case ok && strings.HasSuffix(key, "\x00max_request_size"):
			request = max(request, n)
		case ok && strings.HasSuffix(key, "\x00max_message_size"):
			message = max(message, n)
		}
	}
	d.atLeast("PUSHER_MAX_EVENT_BYTES", request, 64<<20)
	d.atLeast("PUSHER_MAX_MESSAGE_BYTES", message, 64<<20)
	for _, a := range d.apps {
		limit := func(name string) []string { return []string{"apps", "apps", a.at, "rate_limiting", name} }
		a.usual(d, "client_events", true, why)
		text := "off"
		if d.switched(limit("enabled"), false) {
			text = d.rate("client_event_rate of app "+shown(a.at), d.number(limit("max_attempts"), 60), d.number(limit("decay_seconds"), 60))
		}
		a.fields["client_event_rate"] = text
	}
	d.fit()
}

// atLeast sets a bound that is more than the usual one.
func (d *draft) atLeast(name string, n, most float64) {
	if usual := float64(bytesOf(name)); n > usual {
		d.set[name] = settingText(d.nearest(name, n, usual, most))
	}
}

// manyMembers are enough for who had no bound, and fit into an outbox.
const manyMembers = 1000

// wideMembers is for servers that do not bound presence channels.
func (d *draft) wideMembers() {
	why := d.source.product + " has no bound on the members of a presence channel and Poosh needs one"
	d.usual("PUSHER_MAX_MEMBERS", settingText(manyMembers), why)
	d.note("Poosh bounds what %s does not: PUSHER_MAX_MEMBERS, PUSHER_MAX_USER_INFO_BYTES, PUSHER_MAX_CHANNELS of one connection, PUSHER_MAX_EVENT_CHANNELS and PUSHER_MAX_BATCH. Raise them where the application needs more.", d.source.product)
}
