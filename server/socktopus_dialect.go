package server

import (
	"net/http"

	"poosh/server/http1"
	"poosh/server/socktopus"
)

// addSocktopus wires Socktopus, its clients and its API on one port.
func (s *Server) addSocktopus() error {
	c := s.cfg.Socktopus
	d, err := socktopus.New(socktopus.Config{
		Secrets:     c.Secrets,
		Origins:     c.Origins,
		ReadTimeout: c.ReadTimeout,
		MaxBody:     c.MaxBodyBytes,
		MaxMessage:  c.MaxMessageBytes,
		MaxMessages: c.MaxMessages,
		MaxKicks:    c.MaxKicks,
		Outbox:      max(s.cfg.Network.OutboxBytes, c.MaxBodyBytes+frameBytes), // the largest content fits
		Gate:        s.gate,
	}, s.hub, s.websockets, s.log)
	if err != nil {
		return err
	}
	s.add(portConfig{setting: "SOCKTOPUS_PORT", number: c.Port, handler: d, where: joinsWhere, bounds: s.limit.forBoth()})
	s.parts = append(s.parts, part{"socktopus", d.Shutdown})
	s.counts = append(s.counts, func() []any {
		st := d.Stats()
		return []any{"socktopus_clients", st.Connected, "socktopus", st.Counts}
	})
	return nil
}

// joinsWhere serves joins on the loop. Nothing else may go there, whatever headers it
// has: it would hold up everybody while it waits.
func joinsWhere(r *http.Request) http1.Where {
	if socktopus.IsJoin(r) {
		return http1.Here
	}
	return http1.Elsewhere
}
