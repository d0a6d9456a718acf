package server

import (
	"log/slog"
	"net/http"

	"poosh/server/respond"
)

// Reread reloads for whoever has sent SIGHUP, and says in the log and to systemd what came
// of it. It returns when that is done. Any goroutine may call it.
func (s *Server) Reread() {
	if s.ready.Load() && s.unlessEnding(s.manager.Reloading) { // else the manager hears of that, and not that it is ready
		defer s.unlessEnding(s.manager.Ready) // in any case: it is as well as it was
	}
	s.log.Info("reading the settings again", "asked_by", "SIGHUP")
	r, err := s.Reload(false)
	if err != nil {
		s.log.Warn("the settings were not read again", "err", err)
		return
	}
	r.note(s.log)
}

// serveReload reloads for an operator.
func (s *Server) serveReload(w http.ResponseWriter, r *http.Request) {
	dry := r.URL.Query().Get("dry-run")
	if dry != "" && dry != "1" {
		respond.Go.Error(w, http.StatusBadRequest, "dry-run is 1 or not there")
		return
	}
	s.log.Info("reading the settings again", "asked_by", r.RemoteAddr, "dry_run", dry != "")
	done, err := s.Reload(dry != "")
	if err != nil {
		respond.Go.Error(w, http.StatusConflict, err.Error())
		return
	}
	status := http.StatusOK
	if len(done.Errors) > 0 {
		status = http.StatusUnprocessableEntity
	}
	if !done.DryRun {
		done.note(s.log)
	}
	respond.Go.JSON(w, status, done)
}

// note says in the log what came of a reload.
func (r *Reloaded) note(log *slog.Logger) {
	if len(r.Errors) > 0 {
		for _, f := range r.Errors {
			log.Error("wrong setting", "mistake", f.Text)
		}
		log.Error("nothing has changed: mend the settings that are wrong, and reload again", "mistakes", len(r.Errors))
		return
	}
	for _, f := range r.Changed {
		log.Info("setting changed", "change", f.Text)
	}
	for _, f := range r.Restart {
		log.Warn("setting not changed", "change", f.Text)
	}
	for _, f := range r.Warnings {
		log.Warn("settings", "warning", f.Text)
	}
	log.Info("settings reloaded", "changed", len(r.Changed), "needs_restart", len(r.Restart))
}
