package migration

import "strings"

// echoServer names what happens to each key of laravel-echo-server.json. Facts:
// laravel-echo-server 1.6.3, commit 967a11cc, src/echo-server.ts, src/cli/cli.ts and
// README.md.
func echoServer() *source {
	return &source{
		name: "laravel-echo-server", product: "laravel-echo-server", version: "1.6.3",
		formats:   []format{formatJSON, formatEnv},
		rules:     echoServerRules(),
		variables: echoServerVariables,
		ours:      func(name string) bool { return strings.HasPrefix(name, "LARAVEL_ECHO_SERVER_") },
		nothing:   true,
		finish: func(d *draft) {
			d.report.Look = true
			d.note("Poosh does not speak laravel-echo-server's kind of socket.io, so there is nothing to start with. Echo and Laravel change to Pusher: broadcaster 'pusher' in the page, BROADCAST_CONNECTION=pusher in the application, and an app with id, key and secret in Poosh. Names of channels and events, and routes/channels.php, stay.")
		},
	}
}

const echoServerVariables = `
LARAVEL_ECHO_SERVER_AUTH_HOST authHost
LARAVEL_ECHO_SERVER_DEBUG devMode
LARAVEL_ECHO_SERVER_HOST host
LARAVEL_ECHO_SERVER_PORT port
LARAVEL_ECHO_SERVER_REDIS_HOST databaseConfig.redis.host
LARAVEL_ECHO_SERVER_REDIS_PORT databaseConfig.redis.port
LARAVEL_ECHO_SERVER_REDIS_PASSWORD databaseConfig.redis.password
LARAVEL_ECHO_SERVER_PROTO protocol
LARAVEL_ECHO_SERVER_SSL_CERT sslCertPath
LARAVEL_ECHO_SERVER_SSL_KEY sslKeyPath
LARAVEL_ECHO_SERVER_SSL_CHAIN sslCertChainPath
LARAVEL_ECHO_SERVER_SSL_PASS sslPassphrase
`

func echoServerRules() []rule {
	const asks = "Poosh asks nobody who may join: the page asks the application at its authEndpoint, and shows Poosh the signature"
	return []rule{
		{keys: "authHost authEndpoint", says: asks},
		{keys: "clients.*.appId", says: "becomes the id of an app"},
		{keys: "clients.*.key", says: "becomes the key of an app, which then needs a secret too"},
		{keys: "clients", says: "an app with id, key and secret takes their place"},
		{keys: "database databaseConfig.redis databaseConfig.redis.** databaseConfig.sqlite databaseConfig.sqlite.databasePath", says: "members of presence channels are those who are connected: there is nothing to keep"},
		{keys: "databaseConfig.publishPresence", look: on, says: "webhooks member_added and member_removed tell the application"},
		{keys: "devMode", says: "LOG_LEVEL=debug"},
		{keys: "host", says: "HOST"},
		{keys: "port", says: "PUSHER_PORT"},
		{keys: "protocol secureOptions sslCertPath sslKeyPath sslCertChainPath sslPassphrase", says: ownTLS},
		{keys: "socketio socketio.**", says: "Pusher clients use WebSocket, and no options of socket.io"},
		{keys: "subscribers.http", says: "the Pusher API takes events, signed with the app's secret"},
		{keys: "subscribers.redis", look: on, says: "events come over HTTP alone: BROADCAST_CONNECTION=pusher in place of redis"},
		{keys: "subscribers", says: "events come over HTTP"},
		{keys: "headers headers.**", says: asks},
		{keys: "apiOriginAllow: allowCors allowOrigin allowMethods allowHeaders", says: noCORS},
	}
}
