package migration

// What Sockudo 5.0.1 has and Poosh has not: see [sockudo] for where it is from.

// sockudoNodes are about reaching other processes.
const sockudoNodes = `
	adapter.redis: requests_timeout prefix cluster_mode redis_pub_options redis_sub_options
	adapter.redis.redis_pub_options: **
	adapter.redis.redis_sub_options: **
	adapter.cluster: nodes prefix request_timeout_ms use_connection_manager use_sharded_pubsub
	adapter.cluster.tls: enabled accept_invalid_certs ca_path client_cert_path client_key_path
	adapter.nats: servers prefix request_timeout_ms username password token connection_timeout_ms nodes_number discovery_max_wait_ms
	adapter.nats: discovery_idle_wait_ms subscription_capacity client_capacity max_reconnects presence_sync_chunk_size no_echo
	adapter.pulsar: url prefix request_timeout_ms token nodes_number
	adapter.rabbitmq: url prefix request_timeout_ms connection_timeout_ms nodes_number
	adapter.google_pubsub: project_id prefix request_timeout_ms emulator_host nodes_number
	adapter.kafka: brokers prefix request_timeout_ms security_protocol sasl_mechanism sasl_username sasl_password nodes_number
	adapter.iggy: connection_string username password consumer_name stream topic_prefix queue_topic_prefix consumer_group_prefix
	adapter.iggy: request_timeout_ms poll_interval_ms poll_batch_size partitions_count partition_id auto_create start_from_latest nodes_number
	adapter: buffer_multiplier_per_cpu enable_socket_counting fallback_to_local aggregate_counts fast_presence_transitions
	adapter.cluster_health: enabled heartbeat_interval_ms node_timeout_ms cleanup_interval_ms
	cluster_health: enabled heartbeat_interval_ms node_timeout_ms cleanup_interval_ms
`

// sockudoQueue are about queues of webhooks outside of the process.
const sockudoQueue = `
	queue.reliability: max_attempts retry_base_delay_ms retry_max_delay_ms retry_jitter lease_duration_ms lease_renew_interval_ms
	queue.reliability: stalled_batch_size worker_poll_interval_ms worker_prefetch shutdown_timeout_ms completed_retention failed_retention
	queue.reliability: event_retention deduplication_ttl_ms memory_capacity max_batch_size
	queue.redis: concurrency prefix url_override cluster_mode response_timeout_ms
	queue.redis_cluster: concurrency prefix nodes request_timeout_ms
	queue.nats: servers prefix request_timeout_ms username password token connection_timeout_ms nodes_number discovery_max_wait_ms
	queue.nats: discovery_idle_wait_ms subscription_capacity client_capacity max_reconnects presence_sync_chunk_size no_echo
	queue.pulsar: url prefix request_timeout_ms token nodes_number
	queue.rabbitmq: url prefix request_timeout_ms connection_timeout_ms nodes_number
	queue.google_pubsub: project_id prefix request_timeout_ms emulator_host nodes_number
	queue.kafka: brokers prefix request_timeout_ms security_protocol sasl_mechanism sasl_username sasl_password nodes_number
	queue.iggy: connection_string username password consumer_name stream topic_prefix queue_topic_prefix consumer_group_prefix
	queue.iggy: request_timeout_ms poll_interval_ms poll_batch_size partitions_count partition_id auto_create start_from_latest nodes_number
	queue.sqs: region queue_url_prefix visibility_timeout endpoint_url max_messages wait_time_seconds concurrency fifo message_group_id
	queue.sns: region topic_arn endpoint_url
`

// sockudoDatabase are about apps in databases.
const sockudoDatabase = `
	app_manager.cache: enabled ttl
	app_manager.scylladb: nodes keyspace table_name username password replication_class replication_factor
	database.mysql: host port username password database table_name connection_pool_size pool_min pool_max cache_ttl cache_cleanup_interval
	database.mysql: cache_max_capacity
	database.postgres: host port username password database table_name connection_pool_size pool_min pool_max cache_ttl cache_cleanup_interval
	database.postgres: cache_max_capacity
	database.redis: host port db username password key_prefix sentinel_password sentinel_username name
	database.redis.sentinels.*: host port
	database.redis.sentinel_tls: enabled accept_invalid_certs ca_path client_cert_path client_key_path
	database.redis.master_tls: enabled accept_invalid_certs ca_path client_cert_path client_key_path
	database.redis.cluster.nodes.*: host port
	database.redis.cluster: username password use_tls
	database.redis: cluster_nodes
	database.redis.cluster_nodes.*: host port
	database.dynamodb: region table_name endpoint_url aws_access_key_id aws_secret_access_key aws_profile_name
	database.surrealdb: url namespace database username password table_name cache_ttl cache_max_capacity
	database.scylladb: nodes keyspace table_name username password replication_class replication_factor
	database_pooling: enabled min max
`

// sockudoCache are about what cache channels keep.
const sockudoCache = `
	cache.redis: prefix url_override cluster_mode
	cache.memory: ttl cleanup_interval max_capacity
`

// sockudoPush are about notifications of phones.
const sockudoPush = `
	push: storage_driver queue_driver allow_memory_drivers fcm_credential_ref apns_credential_ref webpush_credential_ref hms_credential_ref
	push: wns_credential_ref accept_worker_count planner_worker_count shard_worker_count dispatch_worker_count dispatch_max_outbound_requests
	push: feedback_worker_count retry_worker_count queue_partition_count channel_shard_count fanout_fast_threshold fanout_shard_size
	push: fanout_sync_threshold backpressure_lag_threshold_secs publish_status_ttl_days stale_device_max_age_days credential_encryption_key
	push: kms_key_ref vault_secret_ref dry_run analytics_enabled analytics_retention_days scheduler_interval_secs repair_interval_secs
	push: repair_min_age_secs repair_batch_size cleanup_interval_secs cleanup_batch_size cleanup_max_deleted_per_tick
	push.retry: max_attempts initial_backoff_ms max_backoff_ms max_elapsed_secs jitter jitter_ratio_percent respect_retry_after
	push.circuit_breaker: failure_threshold cooldown_secs half_open_max_inflight
	push.default_quotas: acceptance_rps delivery_quota_daily fanout_max inflight_max
	push.payload_redaction: redact_payload redact_template_data redact_provider_overrides allow_debug_payload_logging
	push_rules.*: enabled channel_pattern event_filter rate_limit_per_second
	push_rules.*.payload_mapping: title_field body_field template_data_field include_remaining_fields
`

// sockudoFeatures are details of what Sockudo's own protocol has.
const sockudoFeatures = `
	ably_compat: realtime_admission attach_timeout_ms max_token_ttl_ms token_request_timestamp_skew_ms nonce_ttl_seconds
	ably_compat: stats_fixture_ingest_enabled stats_queue_capacity stats_flush_interval_ms stats_retention_seconds stats_max_scan_entries
	ably_compat: stats_cas_retries
	ably_compat: keys
	ably_compat.keys.*: app_id key_name secret capability revocable_tokens enabled rotation_id created_at_ms expires_at_ms revoked_at_ms
	delta_compression: algorithm full_message_interval min_message_size max_state_age_secs max_channel_states_per_socket
	delta_compression: max_conflation_states_per_channel conflation_key_path cluster_coordination coordination_backend omit_delta_algorithm
	tag_filtering: enable_tags
	presence_history: retention_window_seconds max_page_size max_events_per_channel max_bytes_per_channel
	echo_control: default_echo_messages
	event_name_filtering: max_events_per_filter max_event_name_length
	versioned_messages: driver max_page_size retention_window_seconds purge_interval_seconds purge_batch_size max_purge_per_tick
	ai_transport.channels.*: prefix
	ai_transport: max_accumulated_message_bytes max_appends_per_message max_open_streaming_messages_per_channel max_transport_value_bytes
	ai_transport: max_steer_codec_message_ids_bytes
	ai_transport.rollup: enabled default_window_ms min_window_ms max_window_ms orphan_ttl_ms wheel_tick_ms shards
`

// sockudoHistory are about what is kept for clients that come back, and sockudoAppHistory the
// same of one app.
const sockudoHistory = `
	connection_recovery: buffer_ttl_seconds max_buffer_size
	history: rewind_enabled backend retention_window_seconds max_page_size max_messages_per_channel max_bytes_per_channel writer_shards
	history: writer_queue_capacity purge_interval_seconds purge_batch_size max_purge_per_tick
	history.postgres: table_prefix write_timeout_ms
	history.mysql: table_prefix write_timeout_ms
	history.dynamodb: table_prefix write_timeout_ms
	history.surrealdb: table_prefix write_timeout_ms
	history.scylladb: table_prefix write_timeout_ms
`

const sockudoAppHistory = `
	app_manager.array.apps.*.policy.connection_recovery: enabled buffer_ttl_seconds max_buffer_size
	app_manager.array.apps.*.policy.history: enabled rewind_enabled retention_window_seconds max_messages_per_channel max_bytes_per_channel
`

// sockudoAppFeatures are the same of one app.
const sockudoAppFeatures = `
	app_manager.array.apps.*.policy.presence_history: enabled retention_window_seconds max_events_per_channel max_bytes_per_channel
`

// sockudoNamespaces are about kinds of channels.
const sockudoNamespaces = `
	app_manager.array.apps.*.policy.channels.channel_namespaces.*: name channel_name_pattern max_channel_name_length annotations_enabled
	app_manager.array.apps.*.policy.channels.channel_namespaces.*: allow_user_limited_channels allow_subscribe_for_client
	app_manager.array.apps.*.policy.channels.channel_namespaces.*: allow_publish_for_client allow_presence_for_client
	app_manager.array.apps.*.policy.channels.channel_namespaces.*.history: rewind_enabled retention_window_seconds max_messages_per_channel
	app_manager.array.apps.*.policy.channels.channel_namespaces.*.history: max_bytes_per_channel
	app_manager.array.apps.*.policy.channels.channel_namespaces.*.presence_history: enabled retention_window_seconds max_events_per_channel
	app_manager.array.apps.*.policy.channels.channel_namespaces.*.presence_history: max_bytes_per_channel
`
