package pusher

import (
	"poosh/server/hub"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/webhook"
	"poosh/server/rate"
)

// What an operator says about apps, and about the dialect as a whole in [Config].
type (
	App      = app.Config
	Webhook  = webhook.Config
	Duration = app.Duration
	Rate     = rate.Rate
)

// ParseApps reads a JSON file of apps; see [app.Parse].
func ParseApps(file []byte, base App) ([]App, error) { return app.Parse(file, base) }

// HubApp returns the name that a Pusher app has in the hub.
func HubApp(id string) string { return app.HubName(id) }

// Import makes a publication of a Pusher app's from one whose Data is JSON text, for a
// [hub.Hub.Bridge] to the app; see [protocol.Import].
func Import(p *hub.Publication) bool { return protocol.Import(p) }

// Export makes a publication whose Data is JSON text from one of a Pusher app's, for a
// [hub.Hub.Bridge] from the app; see [protocol.Export].
func Export(p *hub.Publication) bool { return protocol.Export(p) }
