package server

import (
	"poosh/server/hub"
	"poosh/server/poosh"
	"poosh/server/pusher"
)

// addPusher wires Pusher Channels, the API and the clients on one port, and the
// bridge between one of its apps and Poosh.
func (s *Server) addPusher() error {
	p := s.cfg.Pusher
	cfg := p.Dialect
	cfg.Apps = p.Apps
	if len(cfg.Apps) == 0 && p.AppsFile == "" { // a Config made by hand
		cfg.Apps = []pusher.App{p.App}
	}
	cfg.MaxConnections = s.cfg.Network.MaxConnections
	cfg.Gate = s.gate
	cfg.Channels = s.rooms
	cfg.BodyTimeout = s.cfg.Network.BodyTimeout
	cfg.WriteTimeout = s.cfg.Network.WriteTimeout
	d, err := pusher.New(cfg, s.hub, s.websockets, s.log)
	if err != nil {
		return err
	}
	if p.Bridge != "" {
		s.hub.Bridge(poosh.App, pusher.HubApp(p.Bridge), pusher.Import)
		s.hub.Bridge(pusher.HubApp(p.Bridge), poosh.App, func(pub *hub.Publication) bool {
			return poosh.Bridgeable(pub) && pusher.Export(pub)
		})
	}
	s.add(portConfig{setting: "PUSHER_PORT", number: p.Port, handler: d, where: upgradesWhere(pusher.IsPublish), bounds: s.limit.forBoth()})
	s.parts = append(s.parts, part{"pusher", d.Shutdown})
	s.counts = append(s.counts, func() []any {
		st := d.Stats()
		return []any{"pusher_connections", st.Connections, "pusher_channels", st.Channels, "pusher", st.Counts}
	})
	return nil
}
