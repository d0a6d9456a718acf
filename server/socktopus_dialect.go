package server

import "poosh/server/socktopus"

// addSocktopus wires Socktopus, its clients and its API on one port.
func (s *Server) addSocktopus() error {
	c := s.cfg.Socktopus
	d, err := socktopus.New(socktopus.Config{
		Secrets:     c.Secrets,
		ReadTimeout: c.ReadTimeout,
		MaxBody:     c.MaxBodyBytes,
		MaxMessage:  c.MaxMessageBytes,
		MaxKicks:    c.MaxKicks,
		Outbox:      max(s.cfg.Network.OutboxBytes, c.MaxBodyBytes+frameBytes), // the largest content fits
		MaxBacklog:  s.cfg.Network.BacklogBytes,
	}, s.hub, s.loop, s.log)
	if err != nil {
		return err
	}
	s.add(portConfig{setting: "SOCKTOPUS_PORT", number: c.Port, handler: d, where: upgradesWhere(nil), bounds: s.limit.forBoth()})
	s.parts = append(s.parts, part{"socktopus", d.Shutdown})
	s.counts = append(s.counts, func() []any {
		st := d.Stats()
		return []any{"socktopus_clients", st.Connected, "socktopus", st.Counts}
	})
	return nil
}
