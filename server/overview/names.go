package overview

import "slices"

// A reading is one that an overview is made of. There is none but by named, so that Names
// has all: of a reading that nobody has an overview would say 0, and nobody would know.
type reading struct{ name string }

var names []string // changed while variables are initialized alone

func named(name string) reading {
	names = append(names, name)
	return reading{name}
}

// Names are the readings that an overview is made of, by the name that a collector has for
// them or else by their key: see package metric.
func Names() []string { return slices.Clone(names) }

var (
	readDraining                 = named("draining")
	readWebSockets               = named("websockets")
	readHTTPConnections          = named("http_connections")
	readGoroutineConnections     = named("goroutine_connections")
	readPublished                = named("published_total")
	readDelivered                = named("delivered_total")
	readDeliveriesRefused        = named("deliveries_refused_total")
	readSentBytes                = named("sent_bytes_total")
	readReceivedBytes            = named("received_bytes_total")
	readCPUSeconds               = named("cpu_seconds")
	readGoroutines               = named("goroutines")
	readMemoryBytes              = named("memory_bytes")
	readHeapBytes                = named("heap_bytes")
	readResidentBytes            = named("resident_bytes")
	readGCCycles                 = named("gc_cycles")
	readOpenFilesLimit           = named("open_files_limit")
	readOutboxBytes              = named("outbox_bytes")
	readBacklogBytes             = named("backlog_bytes")
	readStuckBytes               = named("stuck_bytes")
	readUnfetchedBytes           = named("unfetched_bytes")
	readBacklogLimitBytes        = named("backlog_limit_bytes")
	readInputBytes               = named("input_bytes")
	readInputLimitBytes          = named("input_limit_bytes")
	readRoomBytes                = named("room_bytes")
	readRoomLimitBytes           = named("room_limit_bytes")
	readOpenFiles                = named("open_files")
	readClients                  = named("clients")
	readClientMessages           = named("client_messages_total")
	readClosed                   = named("closed_total")
	readWebhookEvents            = named("webhook_events_total")
	readWebhookQueueEvents       = named("webhook_queue_events")
	readWebhookQueueBytes        = named("webhook_queue_bytes")
	readConnections              = named("connections")
	readConnectionsLimit         = named("connections_limit")
	readConnectionsRefused       = named("connections_refused_total")
	readConnectionsEvicted       = named("connections_evicted_total")
	readEchoRefused              = named("echo_subscriptions_refused_total")
	readInputRefused             = named("input_refused_total")
	readPusherAnswers            = named("pusher_answers_total")
	readPusherConnectionsRefused = named("pusher_connections_refused_total")
	readPushSocketRefused        = named("push_socket_refused_total")
	readRoomsRefused             = named("rooms_refused_total")
	readPublicationsHeldBack     = named("publications_held_back_total")
	readSendsRefused             = named("sends_refused_total")
	readSocktopusRefused         = named("socktopus_refused_total")
)
