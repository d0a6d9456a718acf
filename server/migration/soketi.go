package migration

import (
	"strings"
	"time"
)

// soketi reads soketi's JSON file, and variables with SOKETI_ in front or, as of
// versions before 1.0, without. Facts: soketi 1.6.1, commit 5d188786, src/options.ts,
// src/server.ts (defaults), src/app.ts (keys of apps) and src/cli/cli.ts (variables).
func soketi() *source {
	return &source{
		name: "soketi", product: "soketi", version: "1.6.1",
		formats:    []format{formatJSON, formatEnv},
		rules:      soketiRules(),
		variables:  soketiVariables(),
		jsonValues: true,
		ours:       func(name string) bool { return strings.HasPrefix(name, "SOKETI_") },
		choose:     soketiChoose,
		spell:      soketiSpell,
		finish:     soketiFinish,
	}
}

// soketiChoose leaves names without SOKETI_ to other programs where there is any with it.
func soketiChoose(name string, env map[string]string) bool {
	if strings.HasPrefix(name, "SOKETI_") {
		return true
	}
	for other := range env {
		if strings.HasPrefix(other, "SOKETI_") {
			return false
		}
	}
	return true
}

// soketiSpell takes names with dots apart, which its file has beside objects, and gives
// the keys of apps the first of their three spellings (src/app.ts).
func soketiSpell(path []string) []string {
	path = append(dotted(path[0]), path[1:]...)
	if len(path) > 4 && path[0] == "appManager" && path[2] == "apps" {
		if name := soketiSpellings[path[4]]; name != "" {
			path[4] = name
		}
	}
	return path
}

// soketiSpellings are other spellings of keys of apps.
var soketiSpellings = func() map[string]string {
	spellings := map[string]string{
		"AppId": "id", "AppKey": "key", "AppSecret": "secret",
		"max_backend_events_per_sec": "maxBackendEventsPerSecond", "max_client_events_per_sec": "maxClientEventsPerSecond",
		"max_read_req_per_sec": "maxReadRequestsPerSecond",
	}
	for _, name := range strings.Fields(`maxConnections enableClientMessages enabled maxBackendEventsPerSecond
		maxClientEventsPerSecond maxReadRequestsPerSecond webhooks maxPresenceMembersPerChannel maxPresenceMemberSizeInKb
		maxChannelNameLength maxEventChannelsAtOnce maxEventNameLength maxEventPayloadInKb maxEventBatchSize
		enableUserAuthentication`) {
		spellings[strings.ToUpper(name[:1])+name[1:]] = name
		snake := ""
		for _, c := range name {
			if c >= 'A' && c <= 'Z' {
				snake += "_"
			}
			snake += strings.ToLower(string(c))
		}
		if snake != name {
			spellings[snake] = name
		}
	}
	return spellings
}()

const soketiApp = "appManager.array.apps.*"

func soketiRules() []rule {
	return append(soketiAppRules(),
		rule{keys: "port", take: toSetting("PUSHER_PORT", count(1, 65535))},
		rule{keys: "host", take: toSetting("HOST", words)},
		rule{keys: "pathPrefix", take: toSetting("PUSHER_PATH_PREFIX", prefix)},
		rule{keys: "debug", take: toSetting("LOG_LEVEL", logLevel)},
		rule{keys: "shutdownGracePeriod", take: toSetting("SHUTDOWN_TIMEOUT", span(time.Millisecond, 100*time.Millisecond, mostSpan)),
			says: "Poosh ends as soon as everything accepted has left, and this is the longest it waits"},
		rule{keys: "eventLimits.maxChannelsAtOnce", take: toSetting("PUSHER_MAX_EVENT_CHANNELS", count(1, 100_000))},
		rule{keys: "eventLimits.maxPayloadInKb", take: toSetting("PUSHER_MAX_EVENT_BYTES", kib(1, 64<<20))},
		rule{keys: "eventLimits.maxBatchSize", take: toSetting("PUSHER_MAX_BATCH", count(1, 100_000))},
		rule{keys: "channelLimits.maxNameLength eventLimits.maxNameLength", says: noNames, look: other("200")},
		rule{keys: "channelLimits.cacheTtl", take: toSetting("PUSHER_CACHE_TTL", span(time.Second, leastSpan, 365*24*time.Hour))},
		rule{keys: "presence.maxMembersPerChannel", take: toSetting("PUSHER_MAX_MEMBERS", count(1, 1_000_000))},
		rule{keys: "presence.maxMemberSizeInKb", take: toSetting("PUSHER_MAX_USER_INFO_BYTES", kib(2, 64<<10))},
		rule{keys: "httpApi.requestLimitInMb", take: toSetting("PUSHER_MAX_BODY_BYTES", mib(1<<10, 64<<20))},
		rule{keys: "httpApi.acceptTraffic.memoryThreshold", says: "/accept-traffic says no when Poosh does not keep up or has no place for a connection, whatever the memory"},
		rule{keys: "userAuthenticationTimeout", take: toSetting("PUSHER_AUTHORIZE_TIMEOUT", span(time.Millisecond, leastSpan, mostSpan))},
		rule{keys: "webhooks.batching.enabled", take: inHooks("batch")},
		rule{keys: "webhooks.batching.duration", says: noBatch},
		rule{keys: "metrics.enabled", take: later("ADMIN_PORT"), says: oneMetric, look: on},
		rule{keys: "metrics.port", take: later("ADMIN_PORT"), says: "counts where metrics.enabled is true"},
		rule{keys: "metrics.host", says: adminHost},
		rule{keys: "metrics.driver metrics.prometheus.prefix", says: oneMetric},
		rule{keys: "mode", says: "Poosh serves and sends webhooks in one process", look: other("full")},
		rule{keys: "instance.process_id", says: "the log has no number of the process"},
		rule{keys: "cors: credentials origin methods allowedHeaders", says: noCORS},
		rule{keys: "ssl: certPath keyPath passphrase caPath", says: ownTLS, look: set},
		rule{keys: "appManager.driver", look: other("array"), says: noDatabase + ": put those of the database into the file", same: "Poosh has its apps in a file too"},
		rule{keys: "appManager: cache.enabled cache.ttl dynamodb.table dynamodb.region dynamodb.endpoint mysql.table mysql.version mysql.useMysql2 postgres.table postgres.version", says: noDatabase},
		rule{keys: `database.mysql: host port user password database
			database.postgres: host port user password database
			database.redis: host port db username password keyPrefix sentinels sentinels.** sentinelPassword name clusterNodes clusterNodes.**
			databasePooling: enabled min max`, says: noDatabase},
		rule{keys: "adapter.driver", look: other("local"), says: noNodes, same: "Poosh is one process too, unless CLUSTER_REDIS is set"},
		rule{keys: "cache.driver", look: other("memory"), says: "what cache channels keep is in the process, up to PUSHER_CACHE_BYTES"},
		rule{keys: "rateLimiter.driver", says: "rates are counted in the process", look: other("local")},
		rule{keys: "queue.driver", says: noQueue, look: other("sync")},
		rule{keys: `adapter: cluster.requestsTimeout redis.requestsTimeout redis.prefix redis.redisPubOptions redis.redisPubOptions.** redis.redisSubOptions redis.redisSubOptions.** redis.clusterMode
			adapter.nats: requestsTimeout prefix servers user pass token timeout nodesNumber
			cluster: hostname helloInterval checkInterval nodeTimeout masterTimeout port prefix ignoreProcess broadcast unicast multicast
			cache: redis.redisOptions redis.redisOptions.** redis.clusterMode
			rateLimiter: redis.redisOptions redis.redisOptions.** redis.clusterMode`, says: noNodes},
		rule{keys: `queue.redis: concurrency redisOptions redisOptions.** clusterMode
			queue.sqs: region endpoint clientOptions clientOptions.** consumerOptions consumerOptions.** queueUrl processBatch batchSize pollingWaitTimeMs`, says: noQueue},
	)
}

func soketiAppRules() []rule {
	app := func(name string) string { return soketiApp + "." + name }
	hook := func(name string) string { return soketiApp + ".webhooks.*." + name }
	return []rule{
		{keys: app("id"), take: toField("id", needed)},
		{keys: app("key"), take: toField("key", needed)},
		{keys: app("secret"), take: toField("secret", needed)},
		{keys: app("enabled"), take: toField("enabled", toggle)},
		{keys: app("maxConnections"), take: toField("max_connections", unless(1, count(0, 10_000_000)))},
		{keys: app("enableClientMessages"), take: toField("client_events", toggle)},
		{keys: app("maxClientEventsPerSecond"), take: toField("client_event_rate", each(0))},
		{keys: app("maxBackendEventsPerSecond"), take: later(), says: allRates, look: limited(0)},
		{keys: app("maxReadRequestsPerSecond"), take: later(), says: allRates, look: limited(0)},
		{keys: app("maxPresenceMembersPerChannel"), take: toField("max_presence_members", count(1, 1_000_000))},
		{keys: app("maxPresenceMemberSizeInKb"), take: toField("max_presence_user_info_bytes", kib(2, 64<<10))},
		{keys: app("maxEventChannelsAtOnce"), take: toField("max_channels_per_event", count(1, 100_000))},
		{keys: app("maxEventPayloadInKb"), take: toField("max_event_bytes", kib(1, 64<<20))},
		{keys: app("maxEventBatchSize"), take: toField("max_batch_events", count(1, 100_000))},
		{keys: app("maxChannelNameLength") + " " + app("maxEventNameLength"), says: noNames, look: other("200")},
		{keys: app("enableUserAuthentication"), take: toField("authorize_connections", toggle)},
		{keys: soketiApp + ": hasClientEventWebhooks hasChannelOccupiedWebhooks hasChannelVacatedWebhooks hasMemberAddedWebhooks hasMemberRemovedWebhooks hasCacheMissedWebhooks", says: "follows from the webhooks"},
		{keys: app("webhooks"), take: nested, says: "there are none"},
		{keys: hook("url"), take: toHook("url", address)},
		{keys: hook("event_types"), take: toHook("event_types", eventTypes)},
		{keys: hook("headers.*"), take: toHeader},
		{keys: hook("filter.channel_name_starts_with"), take: toHook("channel_prefix", words)},
		{keys: hook("filter.channel_name_ends_with"), take: toHook("channel_suffix", words)},
		{keys: soketiApp + ".webhooks.*: lambda_function lambda.async lambda.region lambda.client_options lambda.client_options.**", says: noLambda, look: set},
	}
}

// limited has a person look at a limit that is one, as those from least on are.
func limited(least float64) func(any) bool {
	return func(v any) bool {
		n, ok := numberOf(v)
		return !isEmpty(v) && (!ok || n >= least)
	}
}

// logLevel is the level of a log that is or is not to tell everything.
func logLevel(v any) converted {
	got := toggle(v)
	if on, ok := got.value.(bool); ok {
		got.value = map[bool]string{true: "debug", false: "info"}[on]
	}
	return got
}

// soketiFinish adds what soketi has without being told (src/server.ts).
func soketiFinish(d *draft) {
	const why = "soketi's own default"
	if driver, _ := textOf(d.values["appManager\x00driver"]); len(d.apps) == 0 && (driver == "" || driver == "array") {
		a := d.app("0")
		a.fields["id"], a.fields["key"], a.fields["secret"] = "app-id", "app-key", "app-secret"
		d.note("No app is named: soketi's own is taken, whose secret everybody knows. Choose another one.")
		d.report.Look = true
	}
	d.usual("PUSHER_MAX_EVENT_BYTES", "102400", why)
	d.usual("PUSHER_MAX_USER_INFO_BYTES", "2048", why)
	d.usual("PUSHER_CACHE_TTL", "1h", why)
	d.clientRate("off")
	d.batch(d.switched(dotted("webhooks.batching.enabled"), false))
	d.metrics(d.switched(dotted("metrics.enabled"), false), d.number(dotted("metrics.port"), 9601))
	d.tidy()
	d.fit()
}

// metrics opens the operators' port where metrics were served.
func (d *draft) metrics(on bool, port float64) {
	if on {
		got := d.nearest("ADMIN_PORT", port, 1, 65535)
		d.set["ADMIN_PORT"] = settingText(got)
		d.note("%s.", adminHostNote(got))
	}
}

func adminHostNote(port int) string {
	return "Metrics are on port " + settingText(port) + " of this machine; " + adminHost
}

// soketiVariables are the names of src/cli/cli.ts, with SOKETI_ and without.
func soketiVariables() string {
	var b strings.Builder
	for line := range strings.Lines(soketiNames) {
		b.WriteString("SOKETI_" + line + line)
	}
	return b.String()
}

// soketiNames are variables without SOKETI_ in front, and what they stand for.
const soketiNames = `ADAPTER_DRIVER adapter.driver
ADAPTER_CLUSTER_REQUESTS_TIMEOUT adapter.cluster.requestsTimeout
ADAPTER_REDIS_PREFIX adapter.redis.prefix
ADAPTER_REDIS_CLUSTER_MODE adapter.redis.clusterMode
ADAPTER_REDIS_REQUESTS_TIMEOUT adapter.redis.requestsTimeout
ADAPTER_REDIS_SUB_OPTIONS adapter.redis.redisSubOptions
ADAPTER_REDIS_PUB_OPTIONS adapter.redis.redisPubOptions
ADAPTER_NATS_PREFIX adapter.nats.prefix
ADAPTER_NATS_SERVERS adapter.nats.servers
ADAPTER_NATS_USER adapter.nats.user
ADAPTER_NATS_PASSWORD adapter.nats.pass
ADAPTER_NATS_TOKEN adapter.nats.token
ADAPTER_NATS_TIMEOUT adapter.nats.timeout
ADAPTER_NATS_REQUESTS_TIMEOUT adapter.nats.requestsTimeout
ADAPTER_NATS_NODES_NUMBER adapter.nats.nodesNumber
APP_MANAGER_DRIVER appManager.driver
APP_MANAGER_CACHE_ENABLED appManager.cache.enabled
APP_MANAGER_CACHE_TTL appManager.cache.ttl
APP_MANAGER_DYNAMODB_TABLE appManager.dynamodb.table
APP_MANAGER_DYNAMODB_REGION appManager.dynamodb.region
APP_MANAGER_DYNAMODB_ENDPOINT appManager.dynamodb.endpoint
APP_MANAGER_MYSQL_TABLE appManager.mysql.table
APP_MANAGER_MYSQL_VERSION appManager.mysql.version
APP_MANAGER_POSTGRES_TABLE appManager.postgres.table
APP_MANAGER_POSTGRES_VERSION appManager.postgres.version
APP_MANAGER_MYSQL_USE_V2 appManager.mysql.useMysql2
CHANNEL_LIMITS_MAX_NAME_LENGTH channelLimits.maxNameLength
CHANNEL_CACHE_TTL channelLimits.cacheTtl
CACHE_DRIVER cache.driver
CACHE_REDIS_CLUSTER_MODE cache.redis.clusterMode
CACHE_REDIS_OPTIONS cache.redis.redisOptions
CLUSTER_CHECK_INTERVAL cluster.checkInterval
CLUSTER_HOST cluster.hostname
CLUSTER_IGNORE_PROCESS cluster.ignoreProcess
CLUSTER_BROADCAST_ADDRESS cluster.broadcast
CLUSTER_KEEPALIVE_INTERVAL cluster.helloInterval
CLUSTER_MASTER_TIMEOUT cluster.masterTimeout
CLUSTER_MULTICAST_ADDRESS cluster.multicast
CLUSTER_NODE_TIMEOUT cluster.nodeTimeout
CLUSTER_PORT cluster.port
CLUSTER_PREFIX cluster.prefix
CLUSTER_UNICAST_ADDRESSES cluster.unicast
DEBUG debug
DEFAULT_APP_ID appManager.array.apps.0.id
DEFAULT_APP_KEY appManager.array.apps.0.key
DEFAULT_APP_SECRET appManager.array.apps.0.secret
DEFAULT_APP_MAX_CONNS appManager.array.apps.0.maxConnections
DEFAULT_APP_ENABLE_CLIENT_MESSAGES appManager.array.apps.0.enableClientMessages
DEFAULT_APP_ENABLED appManager.array.apps.0.enabled
DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SEC appManager.array.apps.0.maxBackendEventsPerSecond
DEFAULT_APP_MAX_CLIENT_EVENTS_PER_SEC appManager.array.apps.0.maxClientEventsPerSecond
DEFAULT_APP_MAX_READ_REQ_PER_SEC appManager.array.apps.0.maxReadRequestsPerSecond
DEFAULT_APP_USER_AUTHENTICATION appManager.array.apps.0.enableUserAuthentication
DEFAULT_APP_WEBHOOKS appManager.array.apps.0.webhooks
DB_POOLING_ENABLED databasePooling.enabled
DB_POOLING_MIN databasePooling.min
DB_POOLING_MAX databasePooling.max
DB_MYSQL_HOST database.mysql.host
DB_MYSQL_PORT database.mysql.port
DB_MYSQL_USERNAME database.mysql.user
DB_MYSQL_PASSWORD database.mysql.password
DB_MYSQL_DATABASE database.mysql.database
DB_POSTGRES_HOST database.postgres.host
DB_POSTGRES_PORT database.postgres.port
DB_POSTGRES_USERNAME database.postgres.user
DB_POSTGRES_PASSWORD database.postgres.password
DB_POSTGRES_DATABASE database.postgres.database
DB_REDIS_HOST database.redis.host
DB_REDIS_PORT database.redis.port
DB_REDIS_DB database.redis.db
DB_REDIS_USERNAME database.redis.username
DB_REDIS_PASSWORD database.redis.password
DB_REDIS_KEY_PREFIX database.redis.keyPrefix
DB_REDIS_SENTINELS database.redis.sentinels
DB_REDIS_SENTINEL_PASSWORD database.redis.sentinelPassword
DB_REDIS_CLUSTER_NODES database.redis.clusterNodes
DB_REDIS_INSTANCE_NAME database.redis.name
EVENT_MAX_BATCH_SIZE eventLimits.maxBatchSize
EVENT_MAX_CHANNELS_AT_ONCE eventLimits.maxChannelsAtOnce
EVENT_MAX_NAME_LENGTH eventLimits.maxNameLength
EVENT_MAX_SIZE_IN_KB eventLimits.maxPayloadInKb
HOST host
HTTP_ACCEPT_TRAFFIC_MEMORY_THRESHOLD httpApi.acceptTraffic.memoryThreshold
METRICS_ENABLED metrics.enabled
METRICS_DRIVER metrics.driver
METRICS_HOST metrics.host
METRICS_PROMETHEUS_PREFIX metrics.prometheus.prefix
METRICS_SERVER_PORT metrics.port
MODE mode
PORT port
PATH_PREFIX pathPrefix
PRESENCE_MAX_MEMBER_SIZE presence.maxMemberSizeInKb
PRESENCE_MAX_MEMBERS presence.maxMembersPerChannel
QUEUE_DRIVER queue.driver
QUEUE_REDIS_CONCURRENCY queue.redis.concurrency
QUEUE_REDIS_OPTIONS queue.redis.redisOptions
QUEUE_REDIS_CLUSTER_MODE queue.redis.clusterMode
QUEUE_SQS_REGION queue.sqs.region
QUEUE_SQS_CLIENT_OPTIONS queue.sqs.clientOptions
QUEUE_SQS_URL queue.sqs.queueUrl
QUEUE_SQS_ENDPOINT queue.sqs.endpoint
QUEUE_SQS_PROCESS_BATCH queue.sqs.processBatch
QUEUE_SQS_BATCH_SIZE queue.sqs.batchSize
QUEUE_SQS_POLLING_WAIT_TIME_MS queue.sqs.pollingWaitTimeMs
RATE_LIMITER_DRIVER rateLimiter.driver
RATE_LIMITER_REDIS_OPTIONS rateLimiter.redis.redisOptions
RATE_LIMITER_REDIS_CLUSTER_MODE rateLimiter.redis.clusterMode
SHUTDOWN_GRACE_PERIOD shutdownGracePeriod
SSL_CERT ssl.certPath
SSL_KEY ssl.keyPath
SSL_PASS ssl.passphrase
SSL_CA ssl.caPath
USER_AUTHENTICATION_TIMEOUT userAuthenticationTimeout
WEBHOOKS_BATCHING webhooks.batching.enabled
WEBHOOKS_BATCHING_DURATION webhooks.batching.duration
`
