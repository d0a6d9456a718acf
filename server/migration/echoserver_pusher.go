package migration

import (
	"crypto/rand"
	"strings"
)

// echoServerPusher reads laravel-echo-server.json for those who change to Pusher's protocol on the
// occasion: what is made is a server of that, which applications and pages find at the same
// address. It has to be named, since [echoServer] changes nothing for them. Facts: there.
func echoServerPusher() *source {
	return &source{
		name: "laravel-echo-server-to-pusher", product: "laravel-echo-server", version: "1.6.3", asked: true,
		formats:   []format{formatJSON, formatEnv},
		rules:     echoServerPusherRules(),
		variables: echoServerVariables,
		ours:      func(name string) bool { return strings.HasPrefix(name, "LARAVEL_ECHO_SERVER_") },
		finish:    echoServerPusherFinish,
	}
}

// newWord makes what nobody can guess. Tests have others.
var newWord = rand.Text

// echoServerPusherFinish makes apps of its clients, which have no secrets, or one of none: what
// came from Redis unsigned comes over HTTP signed.
func echoServerPusherFinish(d *draft) {
	if len(d.apps) == 0 {
		d.app("0")
	}
	for _, a := range d.apps {
		a.usual(d, "id", "laravel-"+a.at, "an app needs one")
		a.usual(d, "key", newWord(), "pages name their app by it")
		a.usual(d, "secret", newWord(), "the application signs with it")
		a.usual(d, "client_events", true, "whispers went to private and presence channels without being asked for")
	}
	d.usual("PUSHER_PORT", "6001", "laravel-echo-server's own default")
	d.wideMembers()
	d.clientRate("off")
	d.fit()
	d.report.Look = true
	d.note("Echo and Laravel change to Pusher: broadcaster 'pusher' with the app's key in the page, BROADCAST_CONNECTION=pusher with PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET in the application, as %s has them. Names of channels and events, and routes/channels.php, stay. With --from laravel-echo-server they change nothing.", appsFile)
}

// toClient makes a key of an app of one of a client, which stood for an application.
func toClient(name string) taker {
	return func(d *draft, e *entry) taken {
		a, got := d.app(place(e.path, "clients")), needed(e.value)
		if got.value == nil {
			return taken{says: got.says, look: got.look}
		}
		a.fields[name] = got.value
		return taken{as: name + " of the app"}
	}
}

func echoServerPusherRules() []rule {
	const asks = "Poosh asks nobody who may join: the page asks the application at its authEndpoint, and shows Poosh the signature"
	return []rule{
		{keys: "authHost authEndpoint", says: asks},
		{keys: "clients.*.appId", take: toClient("id")},
		{keys: "clients.*.key", take: toClient("key")},
		{keys: "clients", says: "an app with id, key and secret takes their place"},
		{keys: "database databaseConfig.redis databaseConfig.redis.** databaseConfig.sqlite databaseConfig.sqlite.databasePath", says: "members of presence channels are those who are connected: there is nothing to keep"},
		{keys: "databaseConfig.publishPresence", look: on, says: "webhooks member_added and member_removed tell the application"},
		{keys: "devMode", says: "LOG_LEVEL=debug"},
		{keys: "host", take: toSetting("HOST", words)},
		{keys: "port", take: toSetting("PUSHER_PORT", count(1, 65535))},
		{keys: "protocol secureOptions sslCertPath sslKeyPath sslCertChainPath sslPassphrase", says: ownTLS},
		{keys: "socketio socketio.**", says: "Pusher clients use WebSocket, and no options of socket.io"},
		{keys: "subscribers.http", says: "the Pusher API takes events, signed with the app's secret"},
		{keys: "subscribers.redis", look: on, says: "events come over HTTP alone: BROADCAST_CONNECTION=pusher in place of redis"},
		{keys: "subscribers", says: "events come over HTTP"},
		{keys: "headers headers.**", says: asks},
		{keys: "apiOriginAllow: allowCors allowOrigin allowMethods allowHeaders", says: noCORS},
	}
}
