package server

import (
	"net/http"

	"poosh/server/admin"
	"poosh/server/respond"
)

// operators prepares the operators' port with what the parts of the server have for it;
// nil when the settings ask for none.
func (s *Server) operators() *admin.Server {
	if !s.cfg.Admin.On() {
		return nil
	}
	return admin.New(s.cfg.Admin, admin.Parts{
		Proxies: s.limit.proxies,
		Log:     s.log,
		Live:    live,
	})
}

// live says that the process answers.
func live(w http.ResponseWriter, _ *http.Request) {
	respond.Go.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
}
