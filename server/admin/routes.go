package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"poosh/server/dashboard"
	"poosh/server/respond"
	"poosh/server/route"
)

// probes are the paths that want no token: what they say is said on the client ports too.
var probes = map[string]bool{"/live": true, "/ready": true}

// An endpoint is one path of the API: what it answers, and the parameters that its query
// may have. One that is not there is a mistake that its caller is told of.
type endpoint struct {
	path   string
	method string
	params []string
	handle http.HandlerFunc // nil for none
}

// endpoints are all there are. openapi.json describes each, which a test sees to.
func (s *Server) endpoints() []endpoint {
	p := s.parts
	return []endpoint{
		{"/api/overview", http.MethodGet, nil, p.Overview},
		{"/api/stream", http.MethodGet, nil, while(p.Stream)},
		{"/api/series", http.MethodGet, []string{"step", "from", "names"}, p.Series},
		{"/api/top", http.MethodGet, []string{"limit"}, p.Top},
		{"/api/rooms", http.MethodGet, []string{"dialect", "app", "search", "own", "limit", "after", "sort"}, s.withToken(p.Rooms, "clients' own rooms are shown", asksOwn)},
		{"/api/rooms/one", http.MethodGet, []string{"dialect", "app", "room", "limit"}, s.withToken(p.Room, "who is in a room is shown", always)},
		{"/api/connections/{id}", http.MethodGet, nil, s.withToken(p.Connection, "connections are shown", always)},
		{"/api/left", http.MethodGet, []string{"reason", "dialect", "limit"}, s.withToken(p.Left, "clients that left are shown", always)},
		{"/api/slow", http.MethodGet, []string{"limit"}, s.withToken(p.Slow, "slow clients are shown", always)},
		{"/api/tail", http.MethodGet, []string{"dialect", "app", "room", "payload", "node"}, s.withToken(while(p.Tail), "payloads are shown", asksPayload)},
		{"/api/openapi.json", http.MethodGet, nil, serveOpenAPI},
		{"/api/send", http.MethodPost, nil, s.sender()},
		{"/api/kick", http.MethodPost, []string{"id", "room", "address", "dialect", "app", "node"}, p.Kick},
		// It costs something, so a page of elsewhere must not be able to ask for it, not even
		// without being shown the answer: browsers say of a POST where it is from.
		{"/api/bundle", http.MethodPost, []string{"seconds"}, p.Bundle},
		// Everybody on this machine may look, and not everybody may send signals.
		{"/api/reload", http.MethodPost, []string{"dry-run"}, s.withToken(p.Reload, "the settings are read again from here", always)},
		{"/api/drain", http.MethodPost, []string{"node"}, s.withToken(p.Drain, "the process is ended from here", always)},
	}
}

// withToken answers 403 to a request that asks for something while there is no token: the
// id of a client, who may have that alone to show for its session, or what is in a send;
// what says which of it that is.
func (s *Server) withToken(h http.HandlerFunc, what string, asks func(*http.Request) bool) http.HandlerFunc {
	if h == nil || s.tokens != nil {
		return h // the guard has seen the token
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if asks(r) {
			respond.Go.Error(w, http.StatusForbidden, what+" with ADMIN_TOKEN alone")
			return
		}
		h(w, r)
	}
}

func always(*http.Request) bool { return true }

// asksPayload reports whether a request for sends wants what is in them.
func asksPayload(r *http.Request) bool { return r.URL.Query().Has("payload") }

// asksOwn reports whether a request for rooms wants those of clients' own ids.
func asksOwn(r *http.Request) bool { return r.URL.Query().Get("own") == "1" }

// routes is the map of the port: all there is for operators, and who has it to tell.
func (s *Server) routes() http.Handler { return s.guarded(s.router()) }

func (s *Server) router() *route.Router {
	r := route.New(name)
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
	for _, e := range s.endpoints() {
		switch {
		case e.handle == nil:
		case e.method == http.MethodGet:
			get(r, e.path, e.asked)
		default:
			r.On(e.path, route.Methods{e.method: e.asked})
		}
	}
	if p.Profiles != nil && s.cfg.Pprof {
		r.On("/debug/pprof/*", route.Methods{"GET": p.Profiles})
	}
	return r
}

// name names a request by its path as it was sent: an id in it may have a slash.
func name(r *http.Request) string { return r.URL.EscapedPath() }

// asked answers a request whose query has nothing but what is known, each once.
func (e endpoint) asked(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		respond.Go.Error(w, http.StatusBadRequest, "the query has a broken escape")
		return
	}
	for name, values := range q {
		if !slices.Contains(e.params, name) {
			respond.Go.Error(w, http.StatusBadRequest, fmt.Sprintf("%.40q is no parameter of this path", name))
			return
		}
		if len(values) > 1 {
			respond.Go.Error(w, http.StatusBadRequest, name+" is there twice")
			return
		}
	}
	e.handle(w, r)
}

// sender answers what sends an event: for who has shown a token alone, and has not guessed
// too many secrets.
func (s *Server) sender() http.HandlerFunc {
	if s.parts.Send == nil {
		return nil
	}
	return s.withToken(func(w http.ResponseWriter, r *http.Request) {
		if !s.tokens.guess(w, r) {
			return
		}
		if !s.parts.Send(w, r) {
			s.tokens.right(r)
			return
		}
		s.parts.Log.Warn("operators' port: wrong secret", "remote", r.RemoteAddr)
	}, "events are sent from here", always)
}

// get mounts what a path answers to GET and HEAD; nothing where there is none.
func get(r *route.Router, path string, h http.HandlerFunc) {
	if h != nil {
		r.On(path, route.Methods{"GET": h, "HEAD": h})
	}
}
