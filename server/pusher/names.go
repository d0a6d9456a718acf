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

// Bridgeable reports whether a publication may go over a [hub.Hub.Bridge] between a
// Pusher app and another dialect; see [protocol.Bridgeable].
func Bridgeable(p *hub.Publication) bool { return protocol.Bridgeable(p) }
