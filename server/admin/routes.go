package admin

import (
	"net/http"

	"poosh/server/respond"
	"poosh/server/route"
)

// probes are the paths that want no token: what they say is said on the client ports too.
var probes = map[string]bool{"/live": true, "/ready": true}

// routes is the map of the port: all there is for operators, and who has it to tell.
func (s *Server) routes() http.Handler {
	r := route.New(route.Decoded)
	r.Wrong(func(w http.ResponseWriter, _ *http.Request) {
		respond.Go.Error(w, http.StatusMethodNotAllowed, "method not allowed")
	})
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) { respond.Go.Error(w, http.StatusNotFound, "not found") })
	p := s.parts

	get(r, "/live", p.Live)
	get(r, "/ready", p.Ready)

	if p.Metrics != nil {
		get(r, "/metrics", p.Metrics.ServeHTTP)
	}
	get(r, "/api/tail", p.Tail)
	if p.Bundle != nil {
		r.On("/api/bundle", route.Methods{"GET": p.Bundle}) // HEAD would cost as much
	}
	if p.Profiles != nil && s.cfg.Pprof {
		r.On("/debug/pprof/*", route.Methods{"GET": p.Profiles})
	}

	return s.guarded(r)
}

// get mounts what a path answers to GET and HEAD; nothing where there is none.
func get(r *route.Router, path string, h http.HandlerFunc) {
	if h != nil {
		r.On(path, route.Methods{"GET": h, "HEAD": h})
	}
}
