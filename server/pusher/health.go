package pusher

import (
	"net/http"

	"poosh/server/health"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/app"
	"poosh/server/respond"
	"poosh/server/route"
)

// health says whether the server is well: /up for the server, /up/{app id} for an
// app, /live while the process runs. The probes of who had soketi before find what it
// answered: / as /live, /ready, and /accept-traffic, which also says no when there is no
// place for a connection more. /ready is the same real one as on other ports.
func (d *Dialect) health(w http.ResponseWriter, r *http.Request) {
	parts := route.Parts(r)
	status, text := http.StatusOK, "OK"
	var a *app.App // looked for once: the next look may find that it is gone
	if len(parts) == 2 {
		a = d.apps.ID(parts[1])
	}
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		d.answer.Fail(w, &answer.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Text: "want GET"})
		return
	case len(parts) > 2, len(parts) == 2 && (parts[0] != "up" || a == nil):
		d.answer.Fail(w, answer.ErrNoApp)
		return
	case parts[0] == "live", parts[0] == "":
	case parts[0] == "ready" && d.cfg.Health != nil:
		if report := d.cfg.Health.Ready(r.Context()); report.Status == health.NotReady {
			w.Header().Set("X-Health-Check", "ERROR")
			w.Header().Set("Cache-Control", "no-store")
			respond.Go.JSON(w, report.Code(), report)
			return
		} else if report.Status == health.Degraded {
			text = "DEGRADED"
		}
	case d.apps.Draining(), d.cfg.Health != nil && d.cfg.Health.Draining(), a != nil && a.Disabled():
		status, text = http.StatusServiceUnavailable, "ERROR"
	case parts[0] == "accept-traffic":
		if d.clients.Full() {
			status, text = http.StatusServiceUnavailable, "FULL"
		}
	case d.loop.Behind():
		text = "DEGRADED"
	}
	w.Header().Set("X-Health-Check", text)
	w.Header().Set("Cache-Control", "no-store")
	respond.Text(w, status, text)
}
