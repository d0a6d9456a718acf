package migration

import (
	"strings"

	"poosh/server/migration/php"
)

// laravelWebsockets reads config/websockets.php of laravel-websockets, or the variables
// of its stock file. Facts: beyondcode/laravel-websockets 1.14.1 and 2.0.0-beta.37
// (commit 2e4b2f35), config/websockets.php, src/Console and src/Server.
func laravelWebsockets() *source {
	return &source{
		name: "laravel-websockets", product: "laravel-websockets", version: "1.14.1 and 2.0.0-beta.37",
		formats:   []format{formatPHP, formatEnv},
		rules:     websocketsRules(),
		variables: websocketsVariables,
		ours: func(name string) bool {
			return strings.HasPrefix(name, "LARAVEL_WEBSOCKETS_") || strings.HasPrefix(name, "WEBSOCKETS_")
		},
		laravel: true,
		value:   php.EnvValue,
		finish:  websocketsFinish,
	}
}

const websocketsVariables = `
LARAVEL_WEBSOCKETS_PORT dashboard.port
LARAVEL_WEBSOCKETS_DOMAIN dashboard.domain
LARAVEL_WEBSOCKETS_PATH dashboard.path
LARAVEL_WEBSOCKETS_SSL_LOCAL_CERT ssl.local_cert
LARAVEL_WEBSOCKETS_SSL_LOCAL_PK ssl.local_pk
LARAVEL_WEBSOCKETS_SSL_CA ssl.capath
LARAVEL_WEBSOCKETS_SSL_PASSPHRASE ssl.passphrase
WEBSOCKETS_REPLICATION_MODE replication.mode
WEBSOCKETS_REDIS_REPLICATION_CONNECTION replication.modes.redis.connection
PUSHER_APP_ID apps.0.id
PUSHER_APP_KEY apps.0.key
PUSHER_APP_SECRET apps.0.secret
PUSHER_APP_HOST apps.0.host
PUSHER_APP_PATH apps.0.path
`

func websocketsRules() []rule {
	const dashboard = "there is no such dashboard: what it showed is on ADMIN_PORT"
	const parts = "Poosh has no parts in PHP to put in their place"
	return []rule{
		{keys: "dashboard.port", take: toSetting("PUSHER_PORT", count(1, 65535)), says: "is where the dashboard found the server; what counts is --port of websockets:serve"},
		{keys: "dashboard: domain path middleware", says: dashboard},
		{keys: "path middleware", says: dashboard},
		{keys: "apps.*.id", take: toField("id", needed)},
		{keys: "apps.*.key", take: toField("key", needed)},
		{keys: "apps.*.secret", take: toField("secret", needed)},
		{keys: "apps.*: name host path", says: "was for the dashboard"},
		{keys: "apps.*.capacity", take: toField("max_connections", unless(1, count(0, 10_000_000)))},
		{keys: "apps.*.enable_client_messages", take: toField("client_events", toggle)},
		{keys: "apps.*.enable_statistics", says: "numbers of each app are on ADMIN_PORT, as /metrics"},
		{keys: "apps.*.allowed_origins", take: toField("allowed_origins", origins)},
		{keys: "allowed_origins", take: toFields("allowed_origins", origins)},
		{keys: "max_request_size_in_kb", take: toSetting("PUSHER_MAX_EVENT_BYTES", kib(1, 64<<20))},
		{keys: "app_provider", look: other(`beyondcode\laravelwebsockets\apps\configappprovider`), says: "Poosh has its apps in a file: put those of your provider there", same: "Poosh has its apps in a file too"},
		{keys: "managers.app", look: other(`beyondcode\laravelwebsockets\apps\configappmanager`), says: "Poosh has its apps in a file: put those of the database there", same: "Poosh has its apps in a file too"},
		{keys: "managers: sqlite.database mysql.connection mysql.table", says: noDatabase},
		{keys: "replication.mode", look: other("local"), says: noNodes, same: "Poosh is one process too, unless CLUSTER_REDIS is set"},
		{keys: "replication.modes: local.channel_manager local.collector redis.connection redis.channel_manager redis.collector", says: noNodes},
		{keys: "channel_manager promise_resolver", says: parts},
		{keys: "handlers: websocket health trigger_event fetch_channels fetch_channel fetch_users", look: otherThanStock, says: parts},
		{keys: "statistics: store model logger interval_in_seconds delete_statistics_older_than_days perform_dns_lookup", says: "numbers are on ADMIN_PORT, as /metrics, and Prometheus keeps them"},
		{keys: "ssl: local_cert local_pk capath passphrase", look: set, says: ownTLS},
		{keys: "ssl: verify_peer allow_self_signed", says: ownTLS},
		{keys: "PUSHER_APP_CLUSTER PUSHER_HOST PUSHER_PORT PUSHER_SCHEME VITE_PUSHER_APP_KEY VITE_PUSHER_HOST VITE_PUSHER_PORT VITE_PUSHER_SCHEME VITE_PUSHER_APP_CLUSTER MIX_PUSHER_APP_KEY MIX_PUSHER_APP_CLUSTER BROADCAST_CONNECTION BROADCAST_DRIVER", says: stays},
	}
}

// otherThanStock has a person look at a class that is not of the package.
func otherThanStock(v any) bool {
	text, ok := textOf(v)
	return !isEmpty(v) && (!ok || !strings.HasPrefix(strings.ToLower(text), `beyondcode\`))
}

// websocketsFinish adds what laravel-websockets has without being told.
func websocketsFinish(d *draft) {
	const why = "laravel-websockets' own default"
	d.usual("PUSHER_MAX_EVENT_BYTES", "256000", why)
	d.usual("PUSHER_ACTIVITY_TIMEOUT", "30s", why)
	d.wideMembers()
	d.clientRate("off")
	d.fit()
}
