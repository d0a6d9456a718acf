package admin

import (
	"net/http"

	"poosh/server/dashboard"
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
	for path, file := range dashboard.Handlers() {
		get(r, path, file)
	}
	get(r, "/api/tail", s.tail)
	if p.Bundle != nil {
		// It costs something, so a page of elsewhere must not be able to ask for it, not even
		// without being shown the answer: browsers say of a POST where it is from.
		r.On("/api/bundle", route.Methods{"POST": p.Bundle})
	}
	if p.Profiles != nil && s.cfg.Pprof {
		r.On("/debug/pprof/*", route.Methods{"GET": p.Profiles})
	}

	return s.guarded(r)
}

// tail shows sends, and what is in them only to who has shown a token.
func (s *Server) tail(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.parts.Tail == nil:
		respond.Go.Error(w, http.StatusNotFound, "not found")
	case s.tokens == nil && r.URL.Query().Has("payload"):
		respond.Go.Error(w, http.StatusForbidden, "payloads are shown with ADMIN_TOKEN alone")
	default:
		s.parts.Tail(w, r)
	}
}

// get mounts what a path answers to GET and HEAD; nothing where there is none.
func get(r *route.Router, path string, h http.HandlerFunc) {
	if h != nil {
		r.On(path, route.Methods{"GET": h, "HEAD": h})
	}
}
