package migration

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// sockudo reads Sockudo's TOML or JSON file, with ${NAME:-default} in it, and its
// variables. Facts: Sockudo 5.0.1, commit 7040dc04, crates/sockudo-core/src/options
// (keys, variables in env), src/app.rs (apps, in policy and as before in one level),
// src/webhook_types.rs, and docs/reference/environment-variables.mdx.
func sockudo() *source {
	return &source{
		name: "sockudo", product: "Sockudo", version: "5.0.1",
		formats:   []format{formatTOML, formatJSON, formatEnv},
		rules:     append(append(sockudoRules(), sockudoAppRules()...), sockudoDropped()...),
		variables: sockudoVariables,
		ours:      func(name string) bool { return strings.HasPrefix(name, "SOCKUDO_") },
		spell:     sockudoSpell,
		merge:     sockudoMerge,
		expand:    sockudoExpand,
		finish:    sockudoFinish,
	}
}

const sockudoApp = "app_manager.array.apps.*"

// sockudoGroups are where the keys of an app belong that stood in one level before.
var sockudoGroups = map[string]string{
	"limits": `max_connections max_backend_events_per_second max_client_events_per_second max_read_requests_per_second
		max_presence_members_per_channel max_presence_member_size_in_kb max_channel_name_length max_event_channels_at_once
		max_event_name_length max_event_payload_in_kb max_event_batch_size decay_seconds terminate_on_limit message_rate_limit`,
	"features": "enable_client_messages enable_user_authentication enable_watchlist_events",
	"channels": "allowed_origins annotations_enabled channel_delta_compression channel_namespaces",
	"":         "webhooks idempotency connection_recovery",
}

func sockudoSpell(path []string) []string {
	if len(path) < 5 || joined(path[:3]) != joined(dotted("app_manager.array.apps")) {
		return path
	}
	for group, names := range sockudoGroups {
		if slices.Contains(strings.Fields(names), path[4]) {
			spelled := append(slices.Clone(path[:4]), "policy")
			if group != "" {
				spelled = append(spelled, group)
			}
			return append(spelled, path[4:]...)
		}
	}
	return path
}

var sockudoReference = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}`)

// sockudoExpand puts variables into a text as Sockudo does before it reads it.
func sockudoExpand(text string, env map[string]string) (string, error) {
	var missing []string
	added := 0
	text = sockudoReference.ReplaceAllStringFunc(text, func(reference string) string {
		m := sockudoReference.FindStringSubmatch(reference)
		switch {
		case added > maxReferred:
			return ""
		case env[m[1]] != "":
			added += len(env[m[1]])
			return env[m[1]]
		case strings.Contains(reference, ":-"):
			return m[2]
		case !slices.Contains(missing, m[1]):
			missing = append(missing, m[1])
		}
		return reference
	})
	if added > maxReferred {
		return "", errReferences
	}
	if missing != nil {
		return "", fmt.Errorf("%w: %s", errExpand, strings.Join(missing, ", "))
	}
	return text, nil
}

// errExpand is said of a file with variables that are not known.
var errExpand = errors.New("names variables of the environment that are not known: name the file that has them with --env")

// sockudoMerge has the app of the environment take the place of those in the file, and
// count only when it is whole, as crates/sockudo-core/src/options/env/apps.rs does.
func sockudoMerge(file, env []entry) {
	found := make(map[string]any)
	for _, e := range env {
		found[e.name] = e.value
	}
	const name = "SOCKUDO_DEFAULT_APP_"
	has := func(part string) bool { return found[name+part] != nil }
	off, _ := boolOf(found[name+"ENABLED"])
	off = has("ENABLED") && !off
	switch {
	case isOn(found["SOCKUDO_SKIP_INLINE_APPS"]), has("ID") || has("KEY") || has("SECRET"), off, isOff(found["APP_MANAGER_REGISTER_INLINE_APPS"]):
		for i := range file {
			if len(file[i].path) > 3 && file[i].path[2] == "apps" {
				file[i].over = "does not count: the environment has the app in its place, or switches those of the file off"
			}
		}
	}
	if off || !has("ID") || !has("KEY") || !has("SECRET") {
		for i := range env {
			if strings.HasPrefix(env[i].name, name) {
				env[i].over = "does not count: an app of the environment needs its id, key and secret, and is not to be switched off"
			}
		}
	}
}

func isOn(v any) bool  { b, ok := boolOf(v); return ok && b }
func isOff(v any) bool { b, ok := boolOf(v); return ok && !b && !isEmpty(v) }

func sockudoRules() []rule {
	return []rule{
		{keys: "port", take: toSetting("PUSHER_PORT", count(1, 65535))},
		{keys: "host", take: toSetting("HOST", words)},
		{keys: "path_prefix", take: toSetting("PUSHER_PATH_PREFIX", prefix)},
		{keys: "debug", take: toSetting("LOG_LEVEL", logLevel)},
		{keys: "max_connections", take: toSetting("MAX_CONNECTIONS", unless(1, count(1, 10_000_000)))},
		{keys: "shutdown_grace_period", take: toSetting("SHUTDOWN_TIMEOUT", span(time.Second, leastSpan, mostSpan)),
			says: "Poosh ends as soon as everything accepted has left, and this is the longest it waits"},
		{keys: "activity_timeout", take: toSetting("PUSHER_ACTIVITY_TIMEOUT", span(time.Second, leastSpan, mostSpan))},
		{keys: "user_authentication_timeout", take: toSetting("PUSHER_AUTHORIZE_TIMEOUT", span(time.Second, leastSpan, mostSpan))},
		{keys: "websocket_max_payload_kb", take: later("PUSHER_MAX_MESSAGE_BYTES")},
		{keys: "websocket.max_bytes", take: later("PUSHER_MAX_MESSAGE_BYTES"),
			says: "this is the largest message of a client; what may wait for a connection is OUTBOX_BYTES"},
		{keys: "websocket: max_message_size max_frame_size", says: "PUSHER_MAX_MESSAGE_BYTES is the bound on messages, and on their frames"},
		{keys: "websocket: max_messages write_buffer_size max_backpressure", says: "OUTBOX_BYTES and BACKLOG_BYTES bound what may wait"},
		{keys: "websocket.disconnect_on_buffer_full", look: isOff, says: "a connection for which too much waits is closed: no event is left out silently"},
		{keys: "websocket: auto_ping ping_interval idle_timeout", says: "heartbeats follow from PUSHER_ACTIVITY_TIMEOUT and PUSHER_PONG_TIMEOUT"},
		{keys: "websocket.compression", look: other("disabled"), says: "messages are not compressed"},
		{keys: "event_limits.max_channels_at_once", take: toSetting("PUSHER_MAX_EVENT_CHANNELS", count(1, 100_000))},
		{keys: "event_limits.max_payload_in_kb", take: toSetting("PUSHER_MAX_EVENT_BYTES", kib(1, 64<<20))},
		{keys: "event_limits.max_batch_size", take: toSetting("PUSHER_MAX_BATCH", count(1, 100_000))},
		{keys: "event_limits.max_name_length channel_limits.max_name_length", says: noNames, look: other("200")},
		{keys: "channel_limits.cache_ttl", take: toSetting("PUSHER_CACHE_TTL", span(time.Second, leastSpan, 365*24*time.Hour))},
		{keys: "presence.max_members_per_channel", take: toSetting("PUSHER_MAX_MEMBERS", count(1, 1_000_000))},
		{keys: "presence.max_member_size_in_kb", take: toSetting("PUSHER_MAX_USER_INFO_BYTES", kib(2, 64<<10))},
		{keys: "presence.update_rate_limit_per_member_per_second", says: "members are not updated: they leave and join"},
		{keys: "presence.ungraceful_timeout_seconds", look: other("0"), says: "a member whose connection is gone leaves at once; webhooks wait a moment for a return"},
		{keys: "presence.v2_ungraceful_timeout_seconds", says: protocol2},
		{keys: "http_api.request_limit_in_mb", take: toSetting("PUSHER_MAX_BODY_BYTES", mib(1<<10, 64<<20))},
		{keys: "http_api.accept_traffic.memory_threshold", says: "/accept-traffic says no when Poosh does not keep up or has no place for a connection, whatever the memory"},
		{keys: "http_api.usage_enabled", says: "ADMIN_PORT has what /usage and /stats had, as /metrics"},
		{keys: "health_check_timeout_ms", says: "/up needs no other service, and its canary has a second"},
		{keys: "rate_limiter.enabled", take: later("PUSHER_API_RATE_PER_ADDRESS", "PUSHER_CONNECT_RATE_PER_ADDRESS")},
		{keys: "rate_limiter.api_rate_limit: max_requests window_seconds", take: later("PUSHER_API_RATE_PER_ADDRESS")},
		{keys: "rate_limiter.websocket_rate_limit: max_requests window_seconds", take: later("PUSHER_CONNECT_RATE_PER_ADDRESS")},
		{keys: "rate_limiter: api_rate_limit.trust_hops websocket_rate_limit.trust_hops", look: other("0"), says: "set TRUSTED_PROXIES to the addresses of the proxies, not to their number"},
		{keys: "rate_limiter.driver", look: other("memory"), says: "rates are counted in the process"},
		{keys: "rate_limiter: api_rate_limit.identifier websocket_rate_limit.identifier redis.prefix redis.url_override redis.cluster_mode", says: "rates are counted in the process"},
		{keys: "metrics.enabled metrics.port", take: later("ADMIN_PORT")},
		{keys: "metrics.host", says: adminHost},
		{keys: "metrics.driver metrics.prometheus.prefix", says: oneMetric},
		{keys: "metrics.tcp_exporter.enabled", look: on, says: "numbers are fetched from ADMIN_PORT, not sent"},
		{keys: "metrics.tcp_exporter: host port buffer_size", says: "numbers are fetched from ADMIN_PORT, not sent"},
		{keys: "webhooks.batching.enabled", take: inHooks("batch")},
		{keys: "webhooks.batching: duration size", says: noBatch},
		{keys: "webhooks.retry: enabled max_attempts max_elapsed_time_ms initial_backoff_ms max_backoff_ms", says: noRetry},
		{keys: "webhooks.request_timeout_ms", says: "a request of a webhook has a time that no setting changes"},
		{keys: "app_manager.driver", look: other("memory"), says: noDatabase + ": put those of the database into the file", same: "Poosh has its apps in a file too"},
		{keys: "ssl.enabled", look: on, says: ownTLS},
		{keys: "ssl: cert_path key_path passphrase ca_path redirect_http http_port", says: ownTLS},
		{keys: "cors: credentials origin methods allowed_headers", says: noCORS + "; which pages may connect is allowed_origins of the app"},
		{keys: "unix_socket.enabled", look: on, says: "Poosh listens on TCP ports: HOST=127.0.0.1 keeps others out"},
		{keys: "unix_socket: path permission_mode", says: "Poosh listens on TCP ports"},
		{keys: "mode", says: "there is one mode"},
		{keys: "server_role", look: other("default"), says: "Poosh serves clients and senders in one process"},
		{keys: "instance.process_id", says: "the log has no name of the process"},
		{keys: "logging: colors_enabled include_target", says: "the log has no colours; LOG_FORMAT=json is for programs"},
		{keys: "cleanup: queue_buffer_size batch_size batch_timeout_ms worker_threads max_retry_attempts async_enabled fallback_to_sync", says: "who leaves is gone at once"},

		{keys: "LOG_OUTPUT_FORMAT", take: toSetting("LOG_FORMAT", logFormat)},
		{keys: "RUST_LOG SOCKUDO_LOG_DEBUG SOCKUDO_LOG_PROD", says: "LOG_LEVEL is debug, info, warn or error"},
		{keys: "HOSTNAME", says: noNodes},
		{keys: "SOCKUDO_ENABLE_CLIENT_MESSAGES", take: inApp("client_events")},
		{keys: "SOCKUDO_SKIP_INLINE_APPS APP_MANAGER_REGISTER_INLINE_APPS", says: "the file of apps has those that are meant"},
	}
}

// logFormat is JSON or lines for people.
func logFormat(v any) converted {
	if text, _ := textOf(v); strings.EqualFold(text, "json") {
		return converted{value: "json"}
	}
	return converted{value: "text"}
}

func sockudoAppRules() []rule {
	limit := func(name string) string { return sockudoApp + ".policy.limits." + name }
	hook := func(name string) string { return sockudoApp + ".policy.webhooks.*." + name }
	return []rule{
		{keys: sockudoApp + ".id", take: toField("id", needed)},
		{keys: sockudoApp + ".key", take: toField("key", needed)},
		{keys: sockudoApp + ".secret", take: toField("secret", needed)},
		{keys: sockudoApp + ".enabled", take: toField("enabled", toggle)},
		{keys: limit("max_connections"), take: toField("max_connections", unless(1, count(0, 10_000_000)))},
		{keys: limit("max_client_events_per_second") + " " + limit("decay_seconds"), take: inApp("client_event_rate")},
		{keys: limit("max_backend_events_per_second") + " " + limit("max_read_requests_per_second"), look: limited(1), says: allRates},
		{keys: limit("max_presence_members_per_channel"), take: toField("max_presence_members", count(1, 1_000_000))},
		{keys: limit("max_presence_member_size_in_kb"), take: toField("max_presence_user_info_bytes", kib(2, 64<<10))},
		{keys: limit("max_event_channels_at_once"), take: toField("max_channels_per_event", count(1, 100_000))},
		{keys: limit("max_event_payload_in_kb"), take: toField("max_event_bytes", kib(1, 64<<20))},
		{keys: limit("max_event_batch_size"), take: toField("max_batch_events", count(1, 100_000))},
		{keys: limit("max_channel_name_length") + " " + limit("max_event_name_length"), says: noNames, look: other("200")},
		{keys: limit("terminate_on_limit"), look: on, says: oneLimit},
		{keys: limit("message_rate_limit.enabled"), look: on, says: "client_event_rate and subscribe_rate are bounds on what a client sends"},
		{keys: sockudoApp + ".policy.limits.message_rate_limit: max_attempts decay_seconds terminate_on_limit", says: "client_event_rate and subscribe_rate are bounds on what a client sends"},
		{keys: sockudoApp + ".policy.features.enable_client_messages", take: toField("client_events", toggle)},
		{keys: sockudoApp + ".policy.features.enable_user_authentication", take: toField("authorize_connections", toggle)},
		{keys: sockudoApp + ".policy.features.enable_watchlist_events", take: toField("watchlist", toggle)},
		{keys: sockudoApp + ".policy.channels.allowed_origins", take: toField("allowed_origins", origins)},
		{keys: sockudoApp + ".policy.channels.annotations_enabled", look: on, says: protocol2},
		{keys: sockudoApp + ".policy.channels.channel_delta_compression " + sockudoApp + ".policy.channels.channel_delta_compression.**", look: set, says: protocol2},
		{keys: sockudoApp + ".policy.webhooks", take: nested, says: "there are none"},
		{keys: hook("url"), take: toHook("url", address)},
		{keys: hook("event_types"), take: toHook("event_types", eventTypes)},
		{keys: hook("headers.*"), take: toHeader},
		{keys: hook("filter.channel_prefix"), take: toHook("channel_prefix", words)},
		{keys: hook("filter.channel_suffix"), take: toHook("channel_suffix", words)},
		{keys: hook("filter.channel_pattern"), take: toHook("channel_pattern", pattern)},
		{keys: hook("filter.channel_namespace") + " " + hook("filter.channel_namespaces"), look: set,
			says: "Poosh has no namespaces: channel_pattern is a regular expression for names"},
		{keys: sockudoApp + ".policy.webhooks.*: lambda_function lambda.function_name lambda.region", look: set, says: noLambda},
		{keys: sockudoApp + ".policy.webhooks.*.retry: enabled max_attempts max_elapsed_time_ms initial_backoff_ms max_backoff_ms", says: noRetry},
		{keys: hook("request_timeout_ms"), says: "a request of a webhook has a time that no setting changes"},
	}
}

// protocol2 is said of what pusher-js and Echo do not know.
const protocol2 = "is of Sockudo's own protocol and client; pusher-js, Echo and Pusher's libraries do not use it"

// What is said of history.
const (
	resumes = "set PUSHER_HISTORY, or history of the app: clients of Sockudo's version resume and rewind then, and the application asks for what is kept"
	keeps   = "PUSHER_HISTORY, PUSHER_HISTORY_BYTES and PUSHER_HISTORY_EVENTS, or history, history_bytes and history_events of the app, bound what is kept"
)

// sockudoDropped are parts of Sockudo that Poosh has not.
func sockudoDropped() []rule {
	const phones = "Poosh reaches clients that are connected, and no phones through other services"
	return []rule{
		{keys: "adapter.driver", look: other("local"), says: noNodes, same: "Poosh is one process too, unless CLUSTER_REDIS is set"},
		{keys: "cache.driver", look: other("memory", "none"), says: "what cache channels keep is in the process, up to PUSHER_CACHE_BYTES"},
		{keys: "queue.driver", look: other("memory", "none"), says: noQueue},
		{keys: sockudoNodes, says: noNodes},
		{keys: sockudoQueue, says: noQueue},
		{keys: sockudoDatabase, says: noDatabase},
		{keys: sockudoCache, says: "what cache channels keep is in the process, up to PUSHER_CACHE_BYTES"},
		{keys: "push: fcm_enabled apns_enabled webpush_enabled hms_enabled wns_enabled", look: on, says: phones},
		{keys: sockudoPush + sockudoPushVariables, says: phones},
		{keys: "ably_compat.enabled", look: on, says: "Poosh does not speak Ably's protocol"},
		{keys: "history.enabled connection_recovery.enabled", look: on, says: resumes},
		{keys: "presence_history.enabled", look: on, says: "nothing is kept of who came and left"},
		{keys: sockudoHistory, says: keeps},
		{keys: sockudoAppHistory, look: on, says: keeps},
		{keys: sockudoApp + ".policy.idempotency.enabled", look: isOff, says: "idempotency keys are looked at where a sender gives one", same: "Poosh looks at idempotency keys too"},
		{keys: sockudoApp + ".policy.idempotency.ttl_seconds", look: set, says: "IDEMPOTENCY_TTL is that of all apps"},
		{keys: "idempotency.enabled", look: isOff, says: "idempotency keys are looked at where a sender gives one", same: "Poosh looks at idempotency keys too"},
		{keys: "idempotency.ttl_seconds", take: toSetting("IDEMPOTENCY_TTL", span(time.Second, time.Second, 24*time.Hour))},
		{keys: "idempotency.max_key_length", look: other("128"), says: "an idempotency key may have 128 bytes"},
		{keys: "delta_compression.enabled tag_filtering.enabled ephemeral.enabled echo_control.enabled event_name_filtering.enabled versioned_messages.enabled annotations.enabled ai_transport.enabled", look: on, says: protocol2},
		{keys: sockudoFeatures, says: protocol2},
		{keys: sockudoAppFeatures, look: on, says: protocol2},
		{keys: sockudoNamespaces, look: set, says: "Poosh has no namespaces: all channels of an app have its limits"},
	}
}

// sockudoFinish adds what Sockudo has without being told (defaults in
// crates/sockudo-core/src/options and, for the app of the environment, in env/apps.rs).
func sockudoFinish(d *draft) {
	const why = "Sockudo's own default"
	d.usual("PUSHER_MAX_EVENT_BYTES", "102400", why)
	d.usual("PUSHER_MAX_USER_INFO_BYTES", "2048", why)
	d.usual("PUSHER_CACHE_TTL", "1h", why)
	d.usual("PUSHER_AUTHORIZE_TIMEOUT", "1h", why)
	message := d.number(dotted("websocket.max_bytes"), d.number(dotted("websocket_max_payload_kb"), 64)*1024)
	if message != float64(bytesOf("PUSHER_MAX_MESSAGE_BYTES")) {
		d.set["PUSHER_MAX_MESSAGE_BYTES"] = settingText(d.nearest("PUSHER_MAX_MESSAGE_BYTES", message, 1<<10, 64<<20))
	}
	if d.switched(dotted("rate_limiter.enabled"), true) {
		d.perAddress("PUSHER_API_RATE_PER_ADDRESS", "rate_limiter.api_rate_limit", 100)
		d.perAddress("PUSHER_CONNECT_RATE_PER_ADDRESS", "rate_limiter.websocket_rate_limit", 20)
	}
	for _, a := range d.apps {
		sockudoDefaults(d, a)
	}
	d.batch(d.switched(dotted("webhooks.batching.enabled"), true))
	d.metrics(d.switched(dotted("metrics.enabled"), true), d.number(dotted("metrics.port"), 9601))
	d.tidy()
	d.fit()
}

// perAddress sets a rate of each address.
func (d *draft) perAddress(name, path string, usual float64) {
	n, seconds := d.number(dotted(path+".max_requests"), usual), d.number(dotted(path+".window_seconds"), 60)
	d.usual(name, d.rate(name, n, seconds), "rate_limiter is on, with Sockudo's own default where it says nothing")
}

// sockudoDefaults adds what an app has without being told.
func sockudoDefaults(d *draft, a *appDraft) {
	limit := func(name string) []string {
		return []string{"app_manager", "array", "apps", a.at, "policy", "limits", name}
	}
	usual := 0.0
	if d.names["SOCKUDO_DEFAULT_APP_ID"] {
		usual = 100
		for _, f := range []struct {
			name  string
			value any
		}{
			{"client_events", d.switched(dotted("SOCKUDO_ENABLE_CLIENT_MESSAGES"), false)}, {"max_connections", 100},
			{"max_channels_per_event", 100}, {"max_event_bytes", 100 << 10}, {"max_batch_events", 100},
			{"max_presence_members", 100}, {"max_presence_user_info_bytes", 64 << 10},
		} {
			a.usual(d, f.name, f.value, "Sockudo's own default of an app of the environment")
		}
	} else if _, found := a.fields["enabled"]; !found {
		a.fields["enabled"] = false
		d.note("App %s has no key enabled: Sockudo takes that for false, so it is off here too.", shown(a.at))
		d.report.Look = true
	}
	text := "off"
	if n := d.number(limit("max_client_events_per_second"), usual); n > 0 {
		text = d.rate("client_event_rate of app "+shown(a.at), n, d.number(limit("decay_seconds"), 1))
	}
	a.fields["client_event_rate"] = text
}
