package server

import "poosh/server/admin"

// operators prepares the operators' port with what the parts of the server have for it;
// nil when the settings ask for none.
func (s *Server) operators() *admin.Server {
	if !s.cfg.Admin.On() {
		return nil
	}
	return admin.New(s.cfg.Admin, admin.Parts{
		Proxies: s.limit.proxies,
		Log:     s.log,
		Live:    s.health.ServeLive,
		Ready:   s.health.ServeReady,
	})
}
